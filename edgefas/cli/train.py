"""`edgefas train`."""

from __future__ import annotations


def command() -> None:
    """Train a network by a recipe."""
