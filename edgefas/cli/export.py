"""`edgefas export`."""

from __future__ import annotations


def command() -> None:
    """Export a trained network to ONNX, with its preprocessing contract inside."""
