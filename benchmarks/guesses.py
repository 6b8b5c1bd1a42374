"""How likely a stream that cannot see the projector's commands answers a challenge all the same."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Any

import numpy as np

from edgefas.contracts import TamperRule
from edgefas.live.tamper.challenge import REFERENCE, Run, Sight, Switch, can_start, draw_lengths, verify

PERIOD_NS = 1_000_000_000 // 30
LIT, UNLIT = 0.05, 0.0
OBEYS_AFTER_NS = 60e6


def guess_odds(rule: TamperRule, draws: int, seed: int) -> list[dict[str, Any]]:
    """The chance of three kinds of guess, drawn `draws` times; the checks' own `verify` is the judge."""
    half_ns = rule.challenge_every_s * 0.5e9
    kinds: dict[str, Callable[[random.Random], float] | None] = {
        "plays a recorded challenge at some moment between two of ours": lambda rng: rng.uniform(-half_ns, half_ns),
        "knows the moment of the first pulse and guesses the rest": lambda rng: OBEYS_AFTER_NS,
        "a camera that obeys, for comparison": None,
    }
    rows = []
    for who, begins in kinds.items():
        rng, hits = random.Random(seed), 0  # noqa: S311 - a figure that repeats
        for _ in range(draws):
            ours = draw_lengths(rule, rng)
            theirs = ours if begins is None else draw_lengths(rule, rng)
            begin_ns = OBEYS_AFTER_NS if begins is None else begins(rng)
            run = _played(ours, np.cumsum([begin_ns, *theirs]), rng)
            hits += can_start(run.sights[:REFERENCE]) and verify(run, rule) is True
        chance = hits / draws
        bits = f"{abs(math.log2(chance)):.1f}" if hits else f"more than {math.log2(draws):.1f}"
        rows.append({"who": who, "draws": draws, "hits": hits, "chance": chance, "bits": bits})
    return rows


def _played(ours: tuple[int, ...], edges_ns: Any, rng: random.Random) -> Run:
    """A challenge of `ours` against pictures whose dots come and go at `edges_ns` after its first command."""
    commands = np.cumsum([0, *ours])
    switches = tuple(Switch(n % 2 == 1, int(at), int(at)) for n, at in enumerate(commands))
    phase, end = rng.randrange(PERIOD_NS), int(commands[-1]) + 600_000_000
    times = [phase + n * PERIOD_NS for n in range(-REFERENCE - 1, end // PERIOD_NS)]
    lit = np.searchsorted(edges_ns, times, side="right") % 2 == 0
    return Run(ours, tuple(Sight(at, LIT if on else UNLIT) for at, on in zip(times, lit, strict=True)), switches)
