"""How good log-likelihood ratios are: their loss, and whether they mean what they say.

Both classes weigh the same, and each recording of a class does, so that the prior of the recordings plays no part: a
ratio that tells nothing loses log(2) nats (N. Brümmer, J. du Preez, "Application-independent evaluation of speaker
detection", 2006, whose Cllr is this loss in bits).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgefas.calibration.episodes import F64, ScoredEpisode
from edgefas.contracts import Label

BINS = 10


@dataclass(frozen=True)
class Bin:
    """Frames of nearly equal probability."""

    said: float
    """Their mean probability of bona fide, if bona fide and attacks were as many."""
    found: float
    """Share of bona fide among them."""
    mass: float
    """Of all frames, by weight."""


@dataclass(frozen=True)
class Quality:
    """Of the log-likelihood ratios of some frames."""

    nll: float
    """Balanced negative log-likelihood, nats; log(2) tells nothing."""
    ece: float
    """Expected calibration error: mean of |said - found| over the bins, by mass."""
    bins: tuple[Bin, ...]


def quality(episodes: Sequence[ScoredEpisode], ratios: Sequence[F64]) -> Quality:
    """See `Quality`.

    Bins of equal mass, in the order of their probability, as those of equal width are empty where it matters (M. P.
    Naeini, G. F. Cooper, M. Hauskrecht, "Obtaining well calibrated probabilities using Bayesian binning", 2015, has
    the error); equal probabilities are never in two bins.

    Args:
        episodes: of both classes.
        ratios: of each, of its scored frames, float64 in nats.
    """
    counts = {label: sum(e.label is label for e in episodes) for label in Label}
    weight = np.repeat(
        [1 / (2 * counts[e.label] * len(r)) for e, r in zip(episodes, ratios, strict=True)], list(map(len, ratios))
    )
    alive = np.repeat([e.label is Label.BONA_FIDE for e in episodes], list(map(len, ratios)))
    ratio = np.concatenate(list(ratios))
    loss = float(weight @ np.logaddexp(0, np.where(alive, -ratio, ratio)))
    chance = np.exp(-np.logaddexp(0, -ratio))
    _, level = np.unique(chance, return_inverse=True)
    mass = np.bincount(level, weight)
    middle = np.cumsum(mass) - mass / 2
    place = np.minimum((middle * BINS).astype(np.int64), BINS - 1)[level]
    sums = [np.bincount(place, values, BINS) for values in (weight, weight * chance, weight * alive)]
    bins = tuple(Bin(s / w, f / w, w) for w, s, f in zip(*(column.tolist() for column in sums), strict=True) if w > 0)
    return Quality(loss, sum(b.mass * abs(b.said - b.found) for b in bins), bins)
