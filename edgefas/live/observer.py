"""Whoever watches the stream: views and sinks. None of them can hold up or end the decisions."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from types import TracebackType
from typing import Protocol

from edgefas.live.line import DecisionLine
from edgefas.sensors.frame import Frame

log = logging.getLogger(__name__)


class Observer(Protocol):
    """Takes in every line, at once: what takes long is done in a thread of the observer's own, newest wins."""

    def update(self, frame: Frame | None, line: DecisionLine) -> None:
        """The newest line, and its frame if there was one."""

    def close(self) -> None:
        """End within a bounded time."""

    def summary(self) -> str | None:
        """What to say of it at the end, if anything: counts of what was kept and lost."""


class Observers:
    """Several as one; a context manager. An exception of one is logged, and the others and the stream go on."""

    def __init__(self, observers: Iterable[Observer] = ()) -> None:
        self._observers = tuple(observers)
        self._failures: dict[int, int] = {}

    def update(self, frame: Frame | None, line: DecisionLine) -> None:
        """Tell all."""
        for index, observer in enumerate(self._observers):
            try:
                observer.update(frame, line)
            except Exception:  # a defect of a view must not end the decisions of a door
                failures = self._failures[index] = self._failures.get(index, 0) + 1
                if failures == 1:  # thirty a second would bury the first
                    log.exception("%s failed; decisions go on", type(observer).__name__)

    def summaries(self) -> list[str]:
        """What each has to say, and how often it failed."""
        said = [text for observer in self._observers if (text := observer.summary()) is not None]
        failed = (f"{type(self._observers[i]).__name__} failed {n} times" for i, n in self._failures.items())
        return [*said, *failed]

    def close(self) -> None:
        """End all, in reverse."""
        for observer in reversed(self._observers):
            try:
                observer.close()
            except Exception:  # the others must be ended, too
                log.exception("%s did not end well", type(observer).__name__)

    def __enter__(self) -> Observers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
