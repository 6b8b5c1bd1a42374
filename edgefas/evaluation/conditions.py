"""Errors by what the data set tells of a presentation: its session, its device, its subject's group."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from edgefas.evaluation.scores import Scores

MOST = 40
"""Values of a condition that are shown: more are subjects in disguise."""


@dataclass(frozen=True)
class Condition:
    """Error rates of the presentations of split test under one condition."""

    kind: str
    name: str
    bona_fide: int
    bpcer: float | None
    """None: there are no bona fide."""
    attacks: int
    accepted: float | None
    """Share of attacks accepted, all species pooled."""


def by_condition(scores: Scores, told: Mapping[str, Sequence[str]], threshold: float) -> list[Condition]:
    """Error rates per value of each condition.

    Args:
        scores: (N,) of split test.
        told: by kind (session, device), N words; "" where nothing is known.
        threshold: accepted is score >= threshold; a non-response is not accepted.
    """
    return [condition for kind, words in told.items() for condition in _of_kind(scores, kind, words, threshold)]


def _of_kind(scores: Scores, kind: str, words: Sequence[str], threshold: float) -> Iterator[Condition]:
    column = np.array(words, dtype=object)
    names = sorted({word for word in words if word})
    if not 1 < len(names) <= MOST:
        return
    accepted = scores.score >= threshold  # of NaN never
    for name in names:
        here = column == name
        alive, spoof = here & scores.bona_fide, here & ~scores.bona_fide
        yield Condition(
            kind,
            name,
            int(alive.sum()),
            float(1 - accepted[alive].mean()) if alive.any() else None,
            int(spoof.sum()),
            float(accepted[spoof].mean()) if spoof.any() else None,
        )
