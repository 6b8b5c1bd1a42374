"""`edgefas record`."""

from __future__ import annotations


def command() -> None:
    """Record a camera to a .db3 file."""
