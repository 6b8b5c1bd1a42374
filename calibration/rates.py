"""Error rates of single frames in which every recording counts the same."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgefas.calibration.episodes import F64, ScoredEpisode
from edgefas.contracts import Label
from edgefas.evaluation.intervals import clopper_pearson


@dataclass(frozen=True)
class Rate:
    """The mean over recordings of the share of their frames that are wrong, with its 95 % interval.

    The interval is that of C. J. Clopper, E. S. Pearson (1934) for whole recordings: wrong frames are put together to
    recordings, rounded down for the low end and up for the high one. Recordings that are wrong in part vary less than
    those that are right or wrong, so it is rather too wide; of one person's it is too narrow.
    """

    share: float
    recordings: int
    low: float
    high: float


@dataclass(frozen=True)
class Rates:
    """BPCER, and APCER per PAI species."""

    bpcer: Rate
    apcer: dict[str, Rate]

    @property
    def worst(self) -> str:
        """The species of the highest APCER, which is the standard's."""
        return max(self.apcer, key=lambda name: self.apcer[name].share)


def wrong_share(episode: ScoredEpisode, threshold: float) -> float:
    """Share of a recording's scored frames on the wrong side."""
    accepted = episode.scores[episode.scored] >= threshold
    return float(np.mean(~accepted if episode.label is Label.BONA_FIDE else accepted))


def rates(episodes: Sequence[ScoredEpisode], wrong: F64) -> Rates:
    """From the (M,) wrong shares of recordings; see `wrong_share`."""
    kinds = np.array(["" if e.label is Label.BONA_FIDE else e.pai for e in episodes])
    species = sorted(set(kinds.tolist()) - {""})
    return Rates(_rate(wrong[kinds == ""]), {name: _rate(wrong[kinds == name]) for name in species})


def rates_at(episodes: Sequence[ScoredEpisode], threshold: float) -> Rates:
    """All recordings at one threshold."""
    return rates(episodes, np.array([wrong_share(e, threshold) for e in episodes]))


def errors_of(share: float, recordings: int) -> int:
    """Whole recordings that so large a share of them is at most."""
    return math.ceil(share * recordings - 1e-9)


def _rate(wrong: F64) -> Rate:
    total, sum_wrong = len(wrong), math.fsum(wrong)
    low = clopper_pearson(math.floor(sum_wrong + 1e-9), total).low
    high = clopper_pearson(math.ceil(sum_wrong - 1e-9), total).high
    return Rate(sum_wrong / total, total, low, high)
