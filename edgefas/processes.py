"""Processes that share work: they neither outlive the one that started them nor die of a signal that is for it."""

from __future__ import annotations

import atexit
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import resource_tracker
from multiprocessing.context import SpawnContext, SpawnProcess

from edgefas.errors import EdgefasError
from edgefas.signals import STOPPING


class DeafProcess(SpawnProcess):
    """Does not hear SIGINT and SIGTERM, which a terminal or a job's end sends to all of a group: who started it ends
    it. It inherits what is blocked, so there is no moment in which it hears."""

    def run(self) -> None:
        super().run()
        # C++ ends its static objects later still, and torch's threads, where they are not done, abort then.
        atexit.register(os._exit, 0)

    def terminate(self) -> None:
        """By the signal that it cannot but hear."""
        self.kill()

    def start(self) -> None:
        resource_tracker.ensure_running()  # it, when it is started by the first process, unblocks them
        before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
        try:
            super().start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


class DeafContext(SpawnContext):
    """For whatever takes a multiprocessing context: its processes are `DeafProcess`."""

    Process = DeafProcess


@contextmanager
def worker_pool(workers: int | None = None, prepare: Callable[[], None] | None = None) -> Iterator[ProcessPoolExecutor]:
    """Gives a pool; when the block ends, however it does, what has not begun is not begun, and the rest is waited for.

    Args:
        workers: None: as many as there are cores.
        prepare: called first in each of them.

    Raises:
        EdgefasError: one of them was killed.
    """
    pool = ProcessPoolExecutor(workers, mp_context=DeafContext(), initializer=_begin, initargs=(prepare,))
    try:
        yield pool
    except BrokenProcessPool:
        raise EdgefasError("a process was ended from outside, maybe for want of memory; try fewer --workers") from None
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _begin(prepare: Callable[[], None] | None) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if prepare is not None:
        prepare()


def _end_with_parent() -> None:
    """A pool's process would wait for work for ever where its parent was killed."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
