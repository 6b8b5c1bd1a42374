"""What came of each fault, from the lines alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from edgefas.benchmarks.soak.faults import (
    LONGEST_GAP_S,
    NO_DECISION_WITHIN_S,
    OLDEST_FRAME_MS,
    RECOVERED_WITHIN_S,
    Fault,
)
from edgefas.benchmarks.soak.world import Key
from edgefas.contracts import Verdict
from edgefas.live.line import DecisionLine


@dataclass(frozen=True)
class Heard:
    """A line, and when it came (host monotonic)."""

    at_s: float
    line: DecisionLine


def parse(text: str) -> Heard:
    """From "SECONDS JSON"."""
    at_s, _, line = text.partition(" ")
    return Heard(float(at_s), DecisionLine.from_json(line))


@dataclass(frozen=True)
class Event:
    """One fault of the script, on the host's clock."""

    fault: Fault
    begin_s: float
    end_s: float


@dataclass(frozen=True)
class EventResult:
    """`problem` is None when it was as the table says."""

    fault: str
    problem: str | None
    no_decision_s: float | None
    recovery_s: float | None
    reasons: tuple[str, ...]


def result_of(event: Event, heard: Sequence[Heard]) -> EventResult:
    """Judge one event.

    Args:
        heard: from before its begin until the next event, in order of time.
    """
    during = [h for h in heard if event.begin_s <= h.at_s < event.end_s]
    undecided = next((h.at_s - event.begin_s for h in during if h.line.decision is Verdict.NO_DECISION), None)
    recovered = next(
        (h.at_s - event.end_s for h in heard if h.at_s >= event.end_s and h.line.state.decision is Verdict.BONA_FIDE),
        None,
    )
    problem = _problem(event, heard, during, undecided)
    if problem is None and (recovered is None or recovered > RECOVERED_WITHIN_S):
        problem = "never recovered" if recovered is None else f"recovered only after {recovered:.2f} s"
    reasons = {h.line.reason.value for h in during if h.line.decision is Verdict.NO_DECISION}
    return EventResult(event.fault.name, problem, undecided, recovered, tuple(sorted(reasons)))


def _problem(event: Event, heard: Sequence[Heard], during: list[Heard], undecided: float | None) -> str | None:
    if event.fault.outcome == "no decision":
        if undecided is None or undecided > NO_DECISION_WITHIN_S:
            return f"first undecided after {undecided} s"
        late = [h for h in during if h.at_s - event.begin_s > NO_DECISION_WITHIN_S]
        if not event.fault.momentary and any(h.line.state.decision is Verdict.BONA_FIDE for h in late):
            return "the state was bona fide later than 0.3 s into the fault"
        if not event.fault.momentary and _longest_gap([h.at_s for h in during], event) > LONGEST_GAP_S:
            return "no line for more than a second"
    if event.fault.outcome == "goes on":
        accepted = [h.at_s for h in during if h.line.decision is Verdict.BONA_FIDE]
        if (gap := _longest_gap(accepted, event)) > LONGEST_GAP_S:
            return f"no accepted frame for {gap:.2f} s"
    if any(h.line.state.decision is Verdict.ATTACK for h in during):
        return "the state was attack"
    return None


def _longest_gap(times_s: list[float], event: Event) -> float:
    marks = [event.begin_s, *times_s, event.end_s]
    return max(after - before for before, after in pairwise(marks))


@dataclass(frozen=True)
class Accepted:
    """Accepted lines that need a word."""

    faulty: list[Heard]
    """Their frame showed a fault: must be none."""
    first_copies: int
    """A frozen picture, and the first that came of it: librealsense had dropped the one it repeats."""


def accepted_faulty(heard: Sequence[Heard], faulty: set[Key], copies: Mapping[Key, Key]) -> Accepted:
    """Hold the lines against the truth of the camera.

    A frozen picture is a fault when it comes a second time: to whom the first never came, its copy is news.
    """
    shown: set[Key] = set()
    found, first_copies = [], 0
    for h in heard:
        if h.line.frame is None or h.line.device_ns is None:
            continue
        key = (h.line.frame, h.line.device_ns)
        original = copies.get(key)
        if h.line.decision is Verdict.BONA_FIDE:
            if key in faulty or original in shown:
                found.append(h)
            elif original is not None:
                first_copies += 1
        shown.add(key if original is None else original)
    return Accepted(found, first_copies)


def when_heard(heard: Heard, events: Sequence[Event]) -> str:
    """During which fault a line came, and how long after its beginning."""
    begun = [event for event in events if event.begin_s <= heard.at_s]
    if not begun:
        return "before the first fault"
    return f"{begun[-1].fault.name}, {heard.at_s - begun[-1].begin_s:.3f} s after it began"


def decided_old(heard: Sequence[Heard]) -> int:
    """How many decisions came from a frame older than 300 ms: must be none."""
    return sum(
        h.line.score is not None and (h.line.timing.age_ms is None or h.line.timing.age_ms > OLDEST_FRAME_MS)
        for h in heard
    )
