"""Error rates of presentation attack detection (ISO/IEC 30107-3) at a threshold. Scores: higher is more alive."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgefas.contracts import Label

Scores = npt.NDArray[np.floating]


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
        return max(self.apcer.values(), default=0.0)

    @property
    def acer(self) -> float:
        """Mean of the worst APCER and the BPCER."""
        return (self.max_apcer + self.bpcer) / 2


def error_rates(scores: Scores, species: npt.NDArray[np.str_], threshold: float) -> ErrorRates:
    """Error rates; accept iff score >= threshold, and a score that is not finite is never accepted.

    Args:
        scores: (N,) log-odds of bona fide.
        species: (N,) `Label.BONA_FIDE.value`, or the attack's species.
    """
    accepted = np.isfinite(scores) & (scores >= threshold)
    bona_fide = species == Label.BONA_FIDE.value
    bpcer = float(np.mean(~accepted[bona_fide])) if bona_fide.any() else 0.0
    attacks = np.unique(species[~bona_fide])
    return ErrorRates(threshold, bpcer, {str(s): float(np.mean(accepted[species == s])) for s in attacks})


def equal_error_threshold(scores: Scores, species: npt.NDArray[np.str_]) -> tuple[float, float]:
    """(threshold, error) where bona fide rejected and attacks accepted (all species pooled) are closest to equal.

    Every midpoint between neighbouring distinct scores is tried, so tied scores are never split.
    """
    bona_fide = species == Label.BONA_FIDE.value
    alive, spoof = np.sort(scores[bona_fide]), np.sort(scores[~bona_fide])
    if not alive.size or not spoof.size:
        raise ValueError("an equal error rate needs bona fide and attack scores")
    levels = np.unique(np.concatenate([alive, spoof]))
    cuts = np.concatenate([levels[:1] - 1, (levels[1:] + levels[:-1]) / 2, levels[-1:] + 1])
    rejected = np.searchsorted(alive, cuts, side="left") / alive.size
    accepted = 1 - np.searchsorted(spoof, cuts, side="left") / spoof.size
    gap = np.abs(rejected - accepted)
    ties = np.flatnonzero(gap == gap.min())
    best = int(ties[len(ties) // 2])  # of several equally good cuts the middle one has the widest margins
    return float(cuts[best]), float((rejected[best] + accepted[best]) / 2)


def balanced_cross_entropy(scores: Scores, species: npt.NDArray[np.str_]) -> float:
    """Mean of the two classes' mean negative log-likelihoods, in nats; scores are log-odds of bona fide."""
    bona_fide = species == Label.BONA_FIDE.value
    wide = scores.astype(np.float64)
    return float(np.logaddexp(0, -wide[bona_fide]).mean() + np.logaddexp(0, wide[~bona_fide]).mean()) / 2
