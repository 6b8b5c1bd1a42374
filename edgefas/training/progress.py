"""What training tells as it goes on, and the wish to stop."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Protocol

from edgefas.errors import EdgefasError


class Report(Protocol):
    """Called as work goes on."""

    def __call__(self, what: str, done: int, total: int, note: str = "") -> None:
        """`done` of `total` of something; `note` says how it goes, as the loss."""


class TrainingStopped(EdgefasError):
    """Somebody asked for the end; what was done is saved."""

    exit_code = 128 + signal.SIGTERM


class StopFlag:
    """Set by SIGTERM: the step under way is finished and saved first."""

    def __init__(self) -> None:
        self.set = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        self.set = True


@contextmanager
def stop_on_sigterm() -> Iterator[StopFlag]:
    """Signals can only be heard in the main thread; elsewhere the flag stays down."""
    flag = StopFlag()
    if threading.current_thread() is not threading.main_thread():
        yield flag
        return
    before = signal.signal(signal.SIGTERM, flag)
    try:
        yield flag
    finally:
        signal.signal(signal.SIGTERM, before)
