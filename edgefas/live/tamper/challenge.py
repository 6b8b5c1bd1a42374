"""The challenge: the projector is switched off at random moments, and its dots must vanish from the infrared picture.

A stream that was recorded, or made elsewhere, does not know when. What is drawn by chance: the moment of the first
pulse, the length of each pulse and of each pause. All here is pure; `guard` talks to the camera.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

import numpy as np

from edgefas.contracts import TamperRule

PULSE_MS = (150, 350)
"""Off. Long enough for two pictures of a camera at 15 a second, shorter than a state is held."""
PAUSE_MS = (150, 1200)
"""On, between two pulses: the long range is where a guess goes wrong."""
MIN_SPECKS = 0.002
"""Speck share below which the dots cannot be seen at all (bright sun): no challenge then."""
LIT, UNLIT = 0.5, 0.3
"""Speck share over that of the lit pictures just before. Between the two the projector was switched in mid-exposure."""
REFERENCE = 3
"""Lit pictures before the first pulse."""
MAX_GAP_MS = 125
"""A wrong answer with a longer gap between pictures proves nothing: a pulse may have fallen into it."""


@dataclass(frozen=True)
class Sight:
    """What one infrared picture showed."""

    at_ns: int
    """Camera time: the load of the host, which delays arrivals, is not in it."""
    specks: float


@dataclass(frozen=True)
class Switch:
    """A command that the camera took, between two moments of host monotonic time."""

    on: bool
    before_ns: int
    after_ns: int


@dataclass(frozen=True)
class Run:
    """A challenge under way."""

    lengths_ns: tuple[int, ...]
    """Off, on, off ...: how long each lasts."""
    sights: tuple[Sight, ...]
    """The lit pictures before it, then all since."""
    switches: tuple[Switch, ...] = ()
    offset_ns: int = 0
    """Host time less camera time, of the promptest picture before it."""


def draw_lengths(rule: TamperRule, rng: random.Random) -> tuple[int, ...]:
    """Off, on, off ...: nanoseconds, from an unpredictable `rng`."""
    ranges = [PULSE_MS, *[PAUSE_MS, PULSE_MS] * (rule.challenge_pulses - 1)]
    return tuple(round(rng.uniform(*bounds) * 1e6) for bounds in ranges)


def can_start(sights: Sequence[Sight]) -> bool:
    """Whether the last pictures are evenly lit by dots that can be seen."""
    shares = [sight.specks for sight in sights[-REFERENCE:]]
    return len(shares) == REFERENCE and min(shares) >= max(MIN_SPECKS, LIT * max(shares))


def next_switch(run: Run, now_ns: int) -> bool | None:
    """What the projector must be switched to now: True on, False off, None nothing."""
    done = len(run.switches)
    if done == 0:
        return False
    if done > len(run.lengths_ns) or now_ns < run.switches[-1].before_ns + run.lengths_ns[done - 1]:
        return None
    return done % 2 == 1


def is_over(run: Run, rule: TamperRule, now_ns: int) -> bool:
    """Whether every answer must have been seen by now."""
    waits_ns = (rule.max_emitter_latency_ms + 2 * rule.emitter_jitter_ms + MAX_GAP_MS) * 1e6
    return len(run.switches) == len(run.lengths_ns) + 1 and now_ns > run.switches[-1].after_ns + waits_ns


def verify(run: Run, rule: TamperRule) -> bool | None:
    """True: answered. False: not answered. None: too few pictures to tell.

    The pictures must show lit, unlit, lit ... as commanded, and one latency, the same for all switches within
    `emitter_jitter_ms`, must explain every change: a change lies between the last picture of one kind and the first
    of the next.
    """
    kinds = _kinds(run)
    runs = [(lit, list(group)) for lit, group in groupby(kinds, key=lambda kind: kind[0])]
    if [lit for lit, _ in runs] == [True, *(switch.on for switch in run.switches)]:
        low_ns, high_ns = 0.0, rule.max_emitter_latency_ms * 1e6
        jitter_ns = rule.emitter_jitter_ms * 1e6
        for switch, ((_, before), (_, after)) in zip(run.switches, pairwise(runs), strict=True):
            low_ns = max(low_ns, before[-1][1] + run.offset_ns - switch.after_ns - jitter_ns)
            high_ns = min(high_ns, after[0][1] + run.offset_ns - switch.before_ns + jitter_ns)
        if low_ns <= high_ns:
            return True
    times = [at_ns for _, at_ns in kinds]
    gap_ns = max((b - a for a, b in pairwise(times)), default=math.inf)
    return None if gap_ns > MAX_GAP_MS * 1e6 else False


def is_lit(run: Run, sight: Sight) -> bool | None:
    """Whether the dots are there; None in between."""
    share = sight.specks / _reference(run)
    return True if share >= LIT else False if share <= UNLIT else None


def _kinds(run: Run) -> list[tuple[bool, int]]:
    """(lit, time) of the pictures that are clearly one or the other."""
    told = [(is_lit(run, sight), sight.at_ns) for sight in run.sights]
    return [(lit, at_ns) for lit, at_ns in told if lit is not None]


def _reference(run: Run) -> float:
    return float(np.median([sight.specks for sight in run.sights[:REFERENCE]]))
