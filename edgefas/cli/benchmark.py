"""`edgefas benchmark`."""

from __future__ import annotations


def command() -> None:
    """Measure latency, FPS, MACs, FLOPs and parameters."""
