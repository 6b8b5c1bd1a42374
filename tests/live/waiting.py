"""Waiting for another thread, with a patience that a busy machine does not exhaust."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

PATIENCE_S = 60.0


def wait_for(holds: Callable[[], Any]) -> Any:
    """What `holds` gives, as soon as it is true."""
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        if found := holds():
            return found
        time.sleep(0.01)
    raise AssertionError("not in time")
