"""How many recordings it takes to show an error rate."""

from __future__ import annotations

import math
from dataclasses import dataclass

from edgefas.evaluation.intervals import binomial_at_most

CERTAINTY = 0.95
MOST = 1_000_000
"""Recordings; nobody makes more."""


@dataclass(frozen=True)
class Needed:
    """So many recordings, of which so many may be wrong, show a rate; independent ones, each of another person."""

    recordings: int
    errors: int


def needed(limit: float, share: float = 0.0) -> Needed | None:
    """The fewest recordings that show an error rate of at most `limit` with a certainty of 95 %.

    With `errors` wrong of them, the one-sided upper end of C. J. Clopper, E. S. Pearson (1934) is at most `limit`; and
    `errors` is no less than what is to be expected at the observed share. With none it is the rule of three: about
    3 / limit.

    Args:
        limit: above 0, below 1.
        share: of wrong ones, as observed.

    Returns:
        None where no number would do, as the share is not below the limit, or more than `MOST`.
    """
    if share >= limit:
        return None
    found = Needed(_fewest(limit, 0, 1), 0)
    while (expected := math.ceil(share * found.recordings - 1e-9)) > found.errors:
        # more errors take more recordings, which bring more errors: the first that agree are the fewest
        found = Needed(_fewest(limit, expected, found.recordings), expected)
        if found.recordings > MOST:
            return None
    return found


def shown(limit: float, errors: int, recordings: int) -> bool:
    """Whether so many errors show a rate of at most `limit` with a certainty of 95 %."""
    return binomial_at_most(errors, recordings, limit) <= 1 - CERTAINTY


def _fewest(limit: float, errors: int, start: int) -> int:
    """The fewest recordings, at least `start`, in which so many errors show the limit."""
    low, high = start - 1, start
    while not shown(limit, errors, high):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if shown(limit, errors, middle) else (middle, high)
    return high
