"""Intervals by drawing subjects: what other people, and attacks on other people, might have given.

Frames and clips of one subject resemble each other, so an interval that takes each for a new one is too narrow.
Subjects are drawn with replacement, all their presentations with them, and every figure is formed again from the drawn
counts (B. Efron, 1979; by subject as in R. M. Bolle, N. K. Ratha, S. Pankanti, "Error analysis of pattern recognition
systems - the subsets bootstrap", 2004); the interval runs between the 2.5th and the 97.5th percentile.
A draw is a row of multiplicities, so a resample of all counts is one product of matrices. The operating threshold stays
as it is: the intervals are those of the test, given the threshold.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from edgefas.evaluation.presentations import Floats, Presentations, few_cuts

F64 = npt.NDArray[np.float64]
Ints = npt.NDArray[np.integer]
Bools = npt.NDArray[np.bool_]

RESAMPLES = 1000
MAX_CUTS = 1024
"""EER and AUC of resamples are read off at most so many cuts; with fewer distinct scores they are exact."""
_DRAWN_AT_ONCE = 4_000_000

Interval = tuple[float, float]


@dataclass(frozen=True)
class SubjectIntervals:
    """95 % intervals; empty where no subjects can be drawn."""

    apcer: dict[str, Interval] = field(default_factory=dict)
    """Per PAI species."""
    figures: dict[str, Interval] = field(default_factory=dict)
    """By the names of the figures of a report: those at the threshold, and the curve's EER and AUC."""


@dataclass(frozen=True, eq=False)
class Rows:
    """Presentations in no order, with the subject each is of."""

    scores: Floats
    """(N,) log-odds of bona fide, -inf for none."""
    species: Ints
    """(N,) codes."""
    names: tuple[str, ...]
    """Of the species codes that are attacks, 0 to len - 1; the code -1 is bona fide."""
    subjects: Ints
    """(N,) codes from 0."""


def subject_intervals(
    rows: Rows, scores: Presentations, threshold: float, resamples: int = RESAMPLES, seed: int = 0
) -> SubjectIntervals:
    """Draw the subjects `resamples` times.

    A resample without any presentation of a species, or of a class, says nothing of it and is left out there.

    Args:
        rows: at least two subjects.
        scores: the same presentations.
        threshold: the operating threshold.
        resamples: how many.
        seed: of the draws; equal seeds give equal intervals.
    """
    _, subjects = np.unique(rows.subjects, return_inverse=True)
    count = int(subjects.max()) + 1
    accepted, alive = rows.scores >= threshold, rows.species < 0
    kinds = [rows.species == code for code in range(len(rows.names))]
    edges = few_cuts(scores, MAX_CUTS)
    bins = np.searchsorted(edges, rows.scores, side="right")
    columns = np.concatenate(
        [
            *(_per_subject(subjects, count, kind & accepted) for kind in kinds),
            *(_per_subject(subjects, count, kind) for kind in kinds),
            _per_subject(subjects, count, alive & ~accepted),
            _histograms(subjects, count, alive, bins, edges.size + 1),
            _histograms(subjects, count, ~alive, bins, edges.size + 1),
        ],
        axis=1,
    )
    drawn = _draw(columns, resamples, seed)
    widths = [len(kinds), len(kinds), 1, edges.size + 1, edges.size + 1]
    wrong, total, rejected, bona_fide, attacks = np.split(drawn, np.cumsum(widths)[:-1], axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return _summary(rows.names, wrong, total, rejected[:, 0], bona_fide, attacks)


def _summary(
    names: tuple[str, ...], wrong: F64, total: F64, rejected: F64, bona_fide: F64, attacks: F64
) -> SubjectIntervals:
    """From counts of (resamples, species), (resamples,) and (resamples, bins)."""
    alive, spoof = bona_fide.sum(axis=1), total.sum(axis=1)
    apcer, bpcer, pooled = wrong / total, rejected / alive, wrong.sum(axis=1) / spoof
    max_apcer = np.fmax.reduce(apcer, axis=1)
    present = total > 0
    mean_apcer = np.where(present, apcer, 0).sum(axis=1) / present.sum(axis=1)
    correct = alive - rejected + spoof - wrong.sum(axis=1)
    below_alive, below_spoof = np.cumsum(bona_fide, axis=1)[:, :-1], np.cumsum(attacks, axis=1)[:, :-1]
    fnr, fpr = below_alive / alive[:, None], 1 - below_spoof / spoof[:, None]
    gap = np.abs(below_alive * spoof[:, None] - (spoof[:, None] - below_spoof) * alive[:, None])  # whole numbers
    nearest = gap.shape[1] - 1 - gap[:, ::-1].argmin(axis=1)[:, None]
    eer = np.take_along_axis(fnr + fpr, nearest, axis=1)[:, 0] / 2
    auc = (bona_fide * (np.cumsum(attacks, axis=1) - attacks / 2)).sum(axis=1) / (alive * spoof)
    figures = {
        "APCER": max_apcer,
        "APCER_mean": mean_apcer,
        "APCER_pooled": pooled,
        "BPCER": bpcer,
        "ACER": (max_apcer + bpcer) / 2,
        "HTER": (pooled + bpcer) / 2,
        "accuracy": correct / (alive + spoof),
        "EER": eer,
        "AUC": auc,
    }
    return SubjectIntervals(
        {name: _interval(apcer[:, code]) for code, name in enumerate(names)},
        {name: _interval(figure) for name, figure in figures.items()},
    )


def _interval(figure: F64) -> Interval:
    low, high = np.nanpercentile(figure, [2.5, 97.5])
    return float(low), float(high)


def _draw(columns: F64, resamples: int, seed: int) -> F64:
    """Sums of `columns` (subjects, K) over the subjects of each draw: (resamples, K)."""
    rng, count = np.random.default_rng(seed), len(columns)
    block = max(1, min(resamples, _DRAWN_AT_ONCE // count))
    parts = []
    for begin in range(0, resamples, block):
        rows = min(block, resamples - begin)
        picked = rng.integers(count, size=(rows, count)) + count * np.arange(rows)[:, None]
        times = np.bincount(picked.ravel(), minlength=rows * count).reshape(rows, count)
        parts.append(times.astype(np.float64) @ columns)
    return np.concatenate(parts)


def _per_subject(subjects: Ints, count: int, mask: Bools) -> F64:
    return np.bincount(subjects[mask], minlength=count).astype(np.float64)[:, None]


def _histograms(subjects: Ints, count: int, mask: Bools, bins: Ints, width: int) -> F64:
    places = subjects[mask] * width + bins[mask]
    return np.bincount(places, minlength=count * width).reshape(count, width).astype(np.float64)
