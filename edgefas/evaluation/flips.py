"""Two files of scores of the same presentations: whose decision changed, per species."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgefas.evaluation.scores import Scores, ScoresError


@dataclass(frozen=True)
class Flips:
    """Decisions of one species, or of bona fide, that differ between two networks at their own thresholds."""

    pai: str
    presentations: int
    now_accepted: int
    now_rejected: int


def decision_flips(old: Scores, new: Scores, old_threshold: float, new_threshold: float) -> list[Flips]:
    """Flips of split test, bona fide first; a non-response is not accepted.

    Raises:
        ScoresError: the tables are of different presentations.
    """
    first, second = (_by_id(table.take(table.split.are("test"))) for table in (old, new))
    if len(first) != len(second) or (first.id != second.id).any():
        missing = sorted(set(first.id) ^ set(second.id))
        raise ScoresError(f"the two tables differ in {len(missing)} presentations, the first is {missing[0]}")
    was, is_now = first.score >= old_threshold, second.score >= new_threshold
    codes, words = second.species()
    order = sorted(np.unique(codes).tolist(), key=lambda code: (not second.bona_fide[codes == code][0], words[code]))
    return [
        Flips(words[code], int(here.sum()), int((~was & is_now)[here].sum()), int((was & ~is_now)[here].sum()))
        for code in order
        for here in [codes == code]
    ]


def _by_id(table: Scores) -> Scores:
    return table.take(np.argsort(table.id.astype(str), kind="stable"))
