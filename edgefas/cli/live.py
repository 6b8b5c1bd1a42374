"""`edgefas live`."""

from __future__ import annotations


def command() -> None:
    """Decide, frame by frame, who is before the camera."""
