"""The operating threshold of single frames, and how sure it is. Accepted is score >= threshold.

A recording is one piece of evidence, however long: its frames share the weight of one. Candidates are the cuts of
`edgefas.evaluation.thresholds`, and with recordings of equal length the rules for a target are those of that module.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgefas.calibration.episodes import F64, ScoredEpisode
from edgefas.calibration.folds import units
from edgefas.contracts import Label
from edgefas.evaluation.presentations import cuts

Ints = npt.NDArray[np.int64]
RESAMPLES = 1000
_DIGITS = 12
"""Rates are sums of weights such as 1/3, which are rounded: 0.29 of 100 recordings must be 0.29."""


@dataclass(frozen=True)
class Targets:
    """Error rates that are asked for."""

    max_apcer: float = 0.01
    """Of the temporal decision, and of single frames where nothing is asked of these."""
    max_bpcer: float = 0.05
    frame_apcer: float | None = None
    """Of single frames, for the worst PAI species."""
    frame_bpcer: float | None = None
    """Of single frames; this one sets the threshold if both are given."""

    @property
    def rule(self) -> str:
        """How the threshold is chosen, in words."""
        if self.frame_bpcer is not None:
            return f"the highest with a BPCER of at most {self.frame_bpcer:g}"
        if self.frame_apcer is not None:
            return f"the lowest with an APCER of at most {self.frame_apcer:g} for every species"
        asked = f"an APCER of at most {self.max_apcer:g} and a BPCER of at most {self.max_bpcer:g}"
        return f"the fewest bona fide rejected with {asked}, or both errors nearest where none has that"


@dataclass(frozen=True, eq=False)
class _Table:
    """N scored frames of M recordings."""

    scores: F64
    """(N,) ascending."""
    recording: Ints
    """(N,) row of the recording."""
    species: Ints
    """(N,) code of the PAI species, -1 for bona fide."""
    weight: F64
    """(N,) 1 / scored frames of the recording."""
    tried: F64
    """(C,) cuts, ascending."""
    below: Ints
    """(C,) how many of the N scores lie below each cut."""

    def shares(self, frames: npt.NDArray[np.bool_], times: F64) -> F64:
        """(C,) share of some frames below each cut, with each recording counted so many times; NaN if there is none.

        Args:
            frames: (N,) which.
            times: (M,) each recording counts.
        """
        weight = np.where(frames, self.weight * times[self.recording], 0.0)
        sums = np.concatenate([[0.0], np.cumsum(weight)])
        with np.errstate(invalid="ignore"):
            return (sums[self.below] / sums[-1]).round(_DIGITS)


def fit_threshold(episodes: Sequence[ScoredEpisode], targets: Targets) -> float:
    """The operating threshold of single frames; every recording counts the same.

    With a target for frames it is the highest cut whose BPCER is within it, or the lowest whose APCER is, for every
    species. Without one it accepts as many bona fide as `max_apcer` allows: where no attack scores above any bona
    fide, the middle of the gap. Where frames cannot meet both `max_apcer` and `max_bpcer`, it is where their errors
    are closest to equal: a threshold that asks of one frame what only many can give would silence those in between.
    """
    table = _table(episodes)
    return float(table.tried[_choose(table, np.ones(len(episodes)), targets)])


def threshold_interval(
    episodes: Sequence[ScoredEpisode], targets: Targets, resamples: int = RESAMPLES, seed: int = 0
) -> tuple[float, float]:
    """Between the 2.5th and 97.5th percentile of thresholds that other recordings might have given.

    The people of each class are drawn with replacement, all their recordings with them (see `units`); where nobody
    knows who is who, recordings are. Cuts are those of all data.
    """
    table, who = _table(episodes), units(episodes)
    rng = np.random.default_rng(seed)
    alive = np.array([e.label is Label.BONA_FIDE for e in episodes])
    pools = [np.unique(who[mask]) for mask in (alive, ~alive)]
    found = []
    for _ in range(resamples):
        drawn = [np.bincount(rng.choice(pool, pool.size), minlength=len(who)) for pool in pools]
        times = np.where(alive, drawn[0][who], drawn[1][who]).astype(np.float64)
        found.append(table.tried[_choose(table, times, targets)])
    # of thresholds themselves: between two of them there may be none
    low, high = np.percentile(found, [2.5, 97.5], method="nearest")
    return float(low), float(high)


def _choose(table: _Table, times: F64, targets: Targets) -> int:
    """Which cut; see `fit_threshold`."""
    bpcer = table.shares(table.species < 0, times)
    if targets.frame_bpcer is not None:
        return int(np.searchsorted(bpcer, targets.frame_bpcer, side="right")) - 1
    if targets.frame_apcer is not None:
        kinds = range(int(table.species.max()) + 1)
        apcer = np.fmax.reduce([1 - table.shares(table.species == kind, times) for kind in kinds]).round(_DIGITS)
        return int(np.argmax(apcer <= targets.frame_apcer))
    apcer = (1 - table.shares(table.species >= 0, times)).round(_DIGITS)
    both = (apcer <= targets.max_apcer) & (bpcer <= targets.max_bpcer)
    if both.any():
        best = both & (bpcer == bpcer[both].min())
    else:
        worse = np.maximum(apcer, bpcer)
        best = worse == worse.min()
    places = np.flatnonzero(best)
    return int(places[np.argmin(apcer[places])])


def _table(episodes: Sequence[ScoredEpisode]) -> _Table:
    names = sorted({e.pai for e in episodes if e.label is Label.ATTACK})
    kind = np.array([-1 if e.label is Label.BONA_FIDE else names.index(e.pai) for e in episodes])
    scores = np.concatenate([e.scores[e.scored] for e in episodes])
    length = np.array([int(e.scored.sum()) for e in episodes])
    order = np.argsort(scores, kind="stable")
    recording = np.repeat(np.arange(len(episodes)), length)[order]
    ranked, tried = scores[order], cuts(scores).astype(np.float64)
    below = np.searchsorted(ranked, tried, side="left")
    return _Table(ranked, recording, kind[recording], 1 / length[recording], tried, below)
