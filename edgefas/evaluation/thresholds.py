"""Thresholds and the rules that choose them. Accepted is score >= threshold, everywhere.

A threshold is one of the cuts between neighbouring scores, so tied scores are never split and every rule has one
answer. A rule looks at the development split, never at the test split: a threshold chosen on what it is judged by
flatters.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from edgefas.errors import UsageError
from edgefas.evaluation.presentations import Floats, MetricError, Presentations

FORMS = "dev-eer, bpcer=SHARE (e.g. bpcer=0.01), apcer=SHARE (e.g. apcer=0.05) or fixed=SCORE (e.g. fixed=0.5)"


@dataclass(frozen=True)
class Rule:
    """How an operating threshold is chosen."""

    kind: Literal["dev-eer", "bpcer", "apcer", "fixed"]
    value: float | None = None

    def __str__(self) -> str:
        return self.kind if self.value is None else f"{self.kind}={self.value:g}"


@dataclass(frozen=True)
class Threshold:
    """An operating threshold and where it comes from."""

    value: float
    rule: str
    split: str | None
    """That it was chosen on; None: it was given."""


def parse_rule(text: str) -> Rule:
    """A rule as `--threshold` takes it.

    Raises:
        UsageError: no such rule, or a value out of range.
    """
    if text == "dev-eer":
        return Rule("dev-eer")
    kind, _, word = text.partition("=")
    try:
        value = float(word)
    except ValueError:
        value = math.nan
    if kind == "fixed" and math.isfinite(value):
        return Rule("fixed", value)
    if kind == "bpcer" and 0 < value < 1:
        return Rule("bpcer", value)
    if kind == "apcer" and 0 < value < 1:
        return Rule("apcer", value)
    raise UsageError(f"--threshold {text!r} is no rule; allowed are {FORMS}, a SHARE being between 0 and 1")


def choose(rule: Rule, dev: Presentations | None) -> Threshold:
    """Follow a rule.

    Args:
        rule: what to follow.
        dev: the development split; None if there is none.

    Raises:
        UsageError: the rule needs a development split.
        MetricError: no threshold meets the rule.
    """
    if rule.value is not None and rule.kind == "fixed":
        return Threshold(rule.value, str(rule), None)
    if dev is None:
        raise UsageError(
            f"threshold rule {rule} needs rows of split dev, and there are none; a threshold is never chosen on test: "
            "give one that was chosen elsewhere, --threshold fixed=SCORE"
        )
    if rule.value is None:
        value = eer_threshold(dev)[0]
    elif rule.kind == "bpcer":
        value = bpcer_threshold(dev, rule.value)
    else:
        value = apcer_threshold(dev, dev.attacks.values(), rule.value)
    return Threshold(value, str(rule), "dev")


def eer_threshold(scores: Presentations) -> tuple[float, float]:
    """(threshold, error): the cut where BPCER and the APCER of all species pooled are nearest, the higher of two.

    The error is the mean of both there. They are compared as whole numbers: no rounding decides which cut it is.
    """
    alive, spoof, cuts = scores.bona_fide, scores.pooled, scores.cuts
    rejected = np.searchsorted(alive, cuts, side="left")
    below = np.searchsorted(spoof, cuts, side="left")
    gap = np.abs(rejected * spoof.size - (spoof.size - below) * alive.size)
    best = gap.size - 1 - int(np.argmin(gap[::-1]))
    return float(cuts[best]), float((rejected[best] / alive.size + (1 - below[best] / spoof.size)) / 2)


def bpcer_threshold(scores: Presentations, limit: float) -> float:
    """The highest cut with a BPCER of at most `limit`, 0 <= limit < 1.

    Raises:
        MetricError: so many have no score that there is none.
    """
    alive = scores.bona_fide
    lowest_accepted = alive[most_errors(limit, alive.size)]
    if lowest_accepted == -np.inf:
        silent = float(np.mean(alive == -np.inf))
        raise MetricError(
            f"a BPCER of {limit:g} is out of reach: {silent:.2%} of the bona fide have no score; a larger share is in "
            "reach, or one without them: --nonresponse exclude"
        )
    return float(scores.cuts[np.searchsorted(scores.cuts, lowest_accepted, side="right") - 1])


def apcer_threshold(scores: Presentations, species: Iterable[Floats], limit: float) -> float:
    """The lowest cut with an APCER of at most `limit` for each of `species`, 0 <= limit < 1.

    Args:
        scores: whose cuts are tried.
        species: the attacks, ascending; `[scores.pooled]` makes all species one.
    """
    highest_rejected = max(attacks[attacks.size - 1 - most_errors(limit, attacks.size)] for attacks in species)
    return float(scores.cuts[np.searchsorted(scores.cuts, highest_rejected, side="right")])


def most_errors(limit: float, total: int) -> int:
    """The largest count whose share of `total` is at most `limit`; a bare product would lose 0.29 * 100."""
    count = int(limit * total) + 1
    while count / total > limit:
        count -= 1
    return count
