"""`edgefas quantize`."""

from __future__ import annotations


def command() -> None:
    """Make the INT8 scale table and the engine files."""
