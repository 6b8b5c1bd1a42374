"""`edgefas models`."""

from __future__ import annotations


def command() -> None:
    """List the networks: parameters, MACs and FLOPs beside the papers' figures."""
