"""How a tensor's magnitudes are distributed, and the clip that each range method draws from that.

One pass over the data, whatever its range: a fixed number of equal bins over [0, reach), and a reach that doubles when
a larger value comes (two bins become one). At least half of the bins therefore lie below the largest value.
Exact zeros are counted apart: after a ReLU they are half of all values, INT8 keeps them exactly under any clip, and in
the lowest bin they would drown what the clip is about.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from edgefas.calibration.scale_table import INT8_MAX, Method

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]

BINS = 8192
PERCENTILE = 0.99999
MSE_CLIPS = 512
"""Clips tried by `mse`: the n-th is n/512 of the largest magnitude."""
ENTROPY_BINS = 2048
ENTROPY_LEVELS = 128
"""Magnitudes that INT8 has."""
ENTROPY_STRIDE = 8


@dataclass
class Histogram:
    """Of one tensor; `add` as often as there are batches."""

    counts: I64 = field(default_factory=lambda: np.zeros(BINS, np.int64))
    reach: float = 0.0
    zeros: int = 0
    minimum: float = np.inf
    maximum: float = -np.inf

    def add(self, values: npt.NDArray[np.float32]) -> None:
        """Count finite values of any shape."""
        if values.size == 0:
            return
        self.minimum = min(self.minimum, float(values.min()))
        self.maximum = max(self.maximum, float(values.max()))
        magnitudes = np.abs(values[values != 0]).astype(np.float64)
        self.zeros += values.size - magnitudes.size
        if magnitudes.size == 0:
            return
        largest = float(magnitudes.max())
        if self.reach == 0:
            self.reach = largest * (1 + 1e-6)
        while largest >= self.reach:
            self.counts = np.concatenate([self.counts.reshape(-1, 2).sum(1), np.zeros(BINS // 2, np.int64)])
            self.reach *= 2
        # clipped, because the quotient of a value just below the reach may round to BINS
        places = np.minimum((magnitudes * (BINS / self.reach)).astype(np.int64), BINS - 1)
        self.counts += np.bincount(places, minlength=BINS)

    @property
    def absmax(self) -> float:
        """The largest magnitude seen; 0 for a tensor of zeros."""
        return max(abs(self.minimum), abs(self.maximum)) if self.minimum <= self.maximum else 0.0


def minmax_clip(histogram: Histogram) -> float:
    """Nothing is clipped."""
    return histogram.absmax


def percentile_clip(histogram: Histogram) -> float:
    """The upper edge of the bin under which `PERCENTILE` of all values lie, zeros included."""
    seen = histogram.zeros + np.cumsum(histogram.counts)
    place = int(np.searchsorted(seen, PERCENTILE * seen[-1]))
    return min((place + 1) * histogram.reach / BINS, histogram.absmax)


def mse_clip(histogram: Histogram) -> float:
    """The clip whose INT8 steps give the smallest squared error of rounding and clipping together.

    Each bin stands for its middle; the clips tried are `MSE_CLIPS` equal parts of the largest magnitude.
    """
    kept = np.flatnonzero(histogram.counts)
    middles: F64 = (kept.astype(np.float64) + 0.5) * (histogram.reach / BINS)
    clips = [histogram.absmax * n / MSE_CLIPS for n in range(1, MSE_CLIPS + 1)]
    errors = [_squared_error(middles, histogram.counts[kept], clip) for clip in clips]
    return clips[int(np.argmin(errors))]


def _squared_error(values: F64, weights: I64, clip: float) -> float:
    step = clip / INT8_MAX
    kept = np.minimum(np.rint(values / step), INT8_MAX) * step
    return float(np.dot(weights, (values - kept) ** 2))


def entropy_clip(histogram: Histogram) -> float:
    """The clip that loses the least information: the divergence between the clipped histogram and its 128-level copy.

    A copy shares each level's count among those of its bins that are not empty. What lies beyond the clip is counted
    in the last bin of the original, not of the copy: cutting off much is therefore dear.
    """
    used = int(np.ceil(histogram.absmax / histogram.reach * BINS))
    places = np.arange(used) * ENTROPY_BINS // used
    counts: F64 = np.bincount(places, histogram.counts[:used], ENTROPY_BINS).astype(np.float64)
    sizes = np.arange(ENTROPY_LEVELS, ENTROPY_BINS + 1, ENTROPY_STRIDE)
    losses = [_information_lost(counts, int(size)) for size in sizes]
    return float(histogram.absmax * sizes[int(np.argmin(losses))] / ENTROPY_BINS)


def _information_lost(counts: F64, size: int) -> float:
    """Kullback-Leibler divergence of the first `size` bins to their copy in `ENTROPY_LEVELS` levels; inf if empty."""
    original = counts[:size].copy()
    level = np.arange(size) * ENTROPY_LEVELS // size
    held = original > 0
    if not held.any():
        return np.inf
    totals = np.bincount(level, original, ENTROPY_LEVELS)
    bins = np.bincount(level, held, ENTROPY_LEVELS)
    copy = np.where(held, totals[level] / np.maximum(bins[level], 1), 0.0)
    original[-1] += counts[size:].sum()
    p, q = original / original.sum(), copy / copy.sum()
    some = p > 0
    # outliers may have filled a bin that was empty: the copy cannot hold them, at the price of the smallest share
    floor = 1.0 / (counts.sum() * size)
    return float(np.dot(p[some], np.log(p[some] / np.maximum(q[some], floor))))


CLIPS: dict[Method, Callable[[Histogram], float]] = {
    "minmax": minmax_clip,
    "percentile": percentile_clip,
    "entropy": entropy_clip,
    "mse": mse_clip,
}
"""Method -> the largest magnitude it keeps."""


def clip(histogram: Histogram, method: Method) -> float:
    """The largest magnitude that `method` keeps; 0 for a tensor that is always 0."""
    return CLIPS[method](histogram) if histogram.absmax > 0 else 0.0
