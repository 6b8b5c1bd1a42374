"""What SIGINT and SIGTERM mean: a clean stop, and nothing to the processes that a command has started."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker

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


@contextmanager
def unheard_by_children() -> Iterator[None]:
    """Processes that are started within do not hear these signals, which a terminal or a job's end sends to all of a
    group: whoever started them ends them. They inherit what is blocked, so there is no moment in which they hear."""
    resource_tracker.ensure_running()  # it, when it is started by the first process, lets them hear again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
