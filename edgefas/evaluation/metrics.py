"""Error rates of presentation attack detection, named as in ISO/IEC 30107-3:2023. Accepted is score >= threshold.

APCER of a PAI species: its attack presentations classified as bona fide. BPCER: bona fide presentations classified as
attacks. The standard's APCER is that of the worst species; a mean over species, or all attacks in one pool, hides it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgefas.evaluation.presentations import Floats, MetricError, Presentations, presentations
from edgefas.evaluation.thresholds import apcer_threshold, bpcer_threshold, eer_threshold


@dataclass(frozen=True)
class ErrorRates:
    """Shares from 0 to 1."""

    threshold: float
    bpcer: float
    """Bona fide presentations classified as attacks."""
    apcer: dict[str, float]
    """Per PAI species: attack presentations classified as bona fide."""

    @property
    def max_apcer(self) -> float:
        """The standard's APCER: that of the worst species."""
        return max(self.apcer.values())

    @property
    def mean_apcer(self) -> float:
        """Every species counts the same."""
        return sum(self.apcer.values()) / len(self.apcer)

    @property
    def acer(self) -> float:
        """Mean of the worst APCER and the BPCER."""
        return (self.max_apcer + self.bpcer) / 2


@dataclass(frozen=True)
class ErrorCounts:
    """What the rates are shares of."""

    threshold: float
    rejected: int
    bona_fide: int
    accepted: dict[str, int]
    """Per PAI species."""
    attacks: dict[str, int]

    @property
    def rates(self) -> ErrorRates:
        """Error rates."""
        apcer = {species: count / self.attacks[species] for species, count in self.accepted.items()}
        return ErrorRates(self.threshold, self.rejected / self.bona_fide, apcer)

    @property
    def pooled_apcer(self) -> float:
        """Every attack counts the same, whatever its species: the FPR of the literature."""
        return sum(self.accepted.values()) / sum(self.attacks.values())

    @property
    def hter(self) -> float:
        """Half total error rate: mean of the pooled APCER and the BPCER."""
        return (self.pooled_apcer + self.rates.bpcer) / 2

    @property
    def correct(self) -> int:
        """Presentations classified as what they are."""
        return self.bona_fide - self.rejected + sum(self.attacks.values()) - sum(self.accepted.values())


@dataclass(frozen=True)
class Point:
    """A figure read off the curve of a set: at the threshold where another rate is at most a limit."""

    value: float | None
    reason: str | None
    """Why there is no value."""
    threshold: float | None
    limit: float
    achieved: float | None
    """The limited rate, at most `limit`."""


def error_rates(scores: Floats, species: npt.NDArray[np.str_], threshold: float) -> ErrorRates:
    """Error rates; a score that is not finite is never accepted.

    Args:
        scores: (N,) log-odds of bona fide.
        species: (N,) `Label.BONA_FIDE.value`, or the attack's species.

    Raises:
        MetricError: a class is missing.
    """
    never = np.where(np.isfinite(scores), scores, -np.inf)
    return count_errors(presentations(never, species), threshold).rates


def equal_error_threshold(scores: Floats, species: npt.NDArray[np.str_]) -> tuple[float, float]:
    """(threshold, error) as `eer_threshold`; arguments as of `error_rates`.

    Raises:
        MetricError: a class is missing, or a score is not finite.
    """
    if not np.isfinite(scores).all():
        broken = int((~np.isfinite(scores)).sum())
        raise MetricError(
            f"{broken} of {len(scores)} scores are not finite: the network is broken; train or export it "
            "again, with a lower learning rate if it broke in training"
        )
    return eer_threshold(presentations(scores, species))


def count_errors(scores: Presentations, threshold: float) -> ErrorCounts:
    """Errors at a threshold, which must not be -inf or NaN."""
    alive, spoof = scores.bona_fide, scores.attacks
    return ErrorCounts(
        threshold,
        int(np.searchsorted(alive, threshold, side="left")),
        alive.size,
        {name: attacks.size - int(np.searchsorted(attacks, threshold, side="left")) for name, attacks in spoof.items()},
        {name: attacks.size for name, attacks in spoof.items()},
    )


def auc(scores: Presentations) -> float:
    """Area under the ROC curve, all species pooled: the Mann-Whitney count, a tie counting one half; exact."""
    lower = np.searchsorted(scores.pooled, scores.bona_fide, side="left").sum(dtype=np.int64)
    not_higher = np.searchsorted(scores.pooled, scores.bona_fide, side="right").sum(dtype=np.int64)
    return (int(lower) + int(not_higher)) / (2 * scores.bona_fide.size * scores.pooled.size)


def tpr_at_fpr(scores: Presentations, limit: float) -> Point:
    """Bona fide accepted where at most a share `limit` of all attacks, pooled, is."""
    return _point(
        limit,
        {"attacks": scores.pooled.size},
        lambda: apcer_threshold(scores, [scores.pooled], limit),
        lambda at: (1 - count_errors(scores, at).rates.bpcer, count_errors(scores, at).pooled_apcer),
    )


def bpcer_at_apcer(scores: Presentations, limit: float) -> Point:
    """BPCER where the APCER of every species is at most `limit`: BPCER20 for 0.05, BPCER100 for 0.01."""
    return _point(
        limit,
        {f"attacks of {name}": attacks.size for name, attacks in scores.attacks.items()},
        lambda: apcer_threshold(scores, scores.attacks.values(), limit),
        lambda at: (count_errors(scores, at).rates.bpcer, count_errors(scores, at).rates.max_apcer),
    )


def apcer_at_bpcer(scores: Presentations, limit: float) -> Point:
    """APCER of the worst species where the BPCER is at most `limit`: APCER20 for 0.05."""
    return _at_bpcer(scores, limit, lambda found: found.rates.max_apcer)


def accuracy_at_bpcer(scores: Presentations, limit: float) -> Point:
    """Presentations classified as what they are where the BPCER is at most `limit`."""
    total = scores.bona_fide.size + scores.pooled.size
    return _at_bpcer(scores, limit, lambda found: found.correct / total)


def _at_bpcer(scores: Presentations, limit: float, figure: Callable[[ErrorCounts], float]) -> Point:
    return _point(
        limit,
        {"bona fide": scores.bona_fide.size},
        lambda: bpcer_threshold(scores, limit),
        lambda at: (figure(count_errors(scores, at)), count_errors(scores, at).rates.bpcer),
    )


def _point(
    limit: float, sizes: dict[str, int], find: Callable[[], float], read: Callable[[float], tuple[float, float]]
) -> Point:
    """None where the limited rate cannot be told from 0: one error would already be more than `limit`."""
    name, fewest = min(sizes.items(), key=lambda item: item[1])
    if 1 / fewest > limit:
        return Point(None, f"needs {round(1 / limit):,} {name}, there are {fewest:,}", None, limit, None)
    try:
        threshold = find()
    except MetricError as error:
        return Point(None, str(error), None, limit, None)
    value, achieved = read(threshold)
    return Point(value, None, threshold, limit, achieved)
