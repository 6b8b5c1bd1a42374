"""Clean stop: what SIGINT and SIGTERM mean to a command that runs until told otherwise."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

STOPPING = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def stop_signals() -> Iterator[Callable[[], bool]]:
    """Gives a function that says whether the command was asked to stop; a second signal ends the process at once.

    Python hears signals in the main thread only; elsewhere nothing is changed, and the answer is no.
    """
    asked = False

    def handler(number: int, _frame: object) -> None:
        nonlocal asked
        if asked:
            sys.exit(128 + number)
        asked = True

    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    before = {number: signal.signal(number, handler) for number in STOPPING}
    try:
        yield lambda: asked
    finally:
        for number, old in before.items():
            signal.signal(number, old)
