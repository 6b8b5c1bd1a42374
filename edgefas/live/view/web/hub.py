"""Where the deciding thread leaves the newest line, and viewers fetch it: one slot, newest wins, nobody waits."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import takewhile
from typing import Any, Final

from edgefas.live.line import DecisionLine
from edgefas.live.view.words import say
from edgefas.sensors.frame import Frame
from edgefas.sensors.source import SourceStats

CHART_S: Final = 30.0
MAX_POINTS: Final = 2000
"""Of the chart: 30 s at 60 a second, and some more."""
RATE_S: Final = 2.0
STATS_S: Final = 0.5


@dataclass(frozen=True)
class About:
    """What does not change while the page is open."""

    model: str
    camera: str
    trust: str
    threshold: float
    warning: str | None
    simulated: bool
    version: str


@dataclass(frozen=True, eq=False)
class Moment:
    """The newest line; `frame` is None where the camera was silent."""

    number: int
    """Counts lines from 1."""
    at_s: float
    frame: Frame | None
    line: DecisionLine


@dataclass(frozen=True)
class Point:
    """One dot of the chart."""

    number: int
    at_s: float
    score: float | None
    decision: str
    state: str


class Hub:
    """`publish` is for the deciding thread, all else for the web's."""

    def __init__(self, about: About, stats: Callable[[], SourceStats], clock: Callable[[], float] = time.monotonic):
        self.about = about
        self.closed = False
        self.newest: Moment | None = None
        self._stats, self._clock = stats, clock
        self._counts: dict[str, Any] = {}
        self._counted_s = -math.inf
        self._points: deque[Point] = deque(maxlen=MAX_POINTS)
        self._lock = threading.Lock()  # of the points alone, held for microseconds

    def publish(self, frame: Frame | None, line: DecisionLine) -> None:
        """Put the newest line in place of the last."""
        now_s = self._clock()
        if now_s - self._counted_s >= STATS_S:  # here, so that no viewer ever takes the camera's lock
            self._counts, self._counted_s = asdict(self._stats()), now_s
        number = 1 if self.newest is None else self.newest.number + 1
        with self._lock:
            self._points.append(Point(number, now_s, line.score, line.decision.value, line.state.decision.value))
        self.newest = Moment(number, now_s, frame, line)

    def event(self, moment: Moment, after: int) -> dict[str, Any]:
        """What a viewer is told who knows all up to line number `after`."""
        now_s = self._clock()
        said = say(moment.line)
        return {
            "number": moment.number,
            "line": moment.line.model_dump(mode="json", by_alias=True),
            "headline": said.headline,
            "why": said.why,
            "todo": said.todo,
            "stats": self._counts,
            "rate": self._rate(now_s),
            # seconds ago, so that the viewer's clock does not matter
            "points": [
                [round(now_s - p.at_s, 3), p.score, p.decision, p.state]
                for p in self._since(after)
                if now_s - p.at_s <= CHART_S
            ],
        }

    def _since(self, after: int) -> list[Point]:
        with self._lock:
            newer = list(takewhile(lambda p: p.number > after, reversed(self._points)))
        return newer[::-1]

    def _rate(self, now_s: float) -> float:
        with self._lock:
            return sum(1 for _ in takewhile(lambda p: now_s - p.at_s <= RATE_S, reversed(self._points))) / RATE_S
