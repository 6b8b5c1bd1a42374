"""How far the scores of an INT8 network are from those of its float source."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

F32 = npt.NDArray[np.float32]


@dataclass(frozen=True)
class ScoreDifference:
    """Of the same frames; scores are log-odds of bona fide."""

    frames: int
    max_abs: float
    mean_abs: float
    p99_abs: float
    sqnr_db: float | None
    """Signal to quantisation noise, each with its mean removed: a network whose scores hardly depend on the picture
    would otherwise look perfect. None where the scores do not vary or do not differ."""
    flips: int
    """Frames whose decision changes at the threshold."""


def compare_scores(reference: F32, other: F32, threshold: float = 0.0) -> ScoreDifference:
    """Compare two score vectors (N,) of the same frames."""
    expected, difference = reference.astype(np.float64), other.astype(np.float64) - reference
    signal, noise = expected.var(), difference.var()
    return ScoreDifference(
        frames=len(reference),
        max_abs=float(np.abs(difference).max()),
        mean_abs=float(np.abs(difference).mean()),
        p99_abs=float(np.percentile(np.abs(difference), 99)),
        sqnr_db=10 * math.log10(signal / noise) if signal > 0 and noise > 0 else None,
        flips=int(((reference >= threshold) != (other >= threshold)).sum()),
    )
