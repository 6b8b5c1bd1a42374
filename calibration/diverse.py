"""Choosing frames that differ: features of the network's inputs, and greedy k-centre on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import cv2
import numpy as np
import numpy.typing as npt

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]

GRID = 8
FEATURES = (
    f"per modality and channel, means and standard deviations of {GRID}x{GRID} blocks of the preprocessed input; "
    "each modality scaled to the same total variance"
)


def features(inputs: Mapping[str, F32]) -> F64:
    """(N, D) of preprocessed inputs, each (N, C, H, W) float32.

    Of the inputs, not of a network's layers: INT8 ranges follow brightness, contrast, relief and pose, which these see;
    and one set then serves every network of the same InputSpec, trained or not.
    """
    parts = []
    for values in inputs.values():
        flat = np.stack([_blocks(frame) for frame in values])
        centred = flat - flat.mean(0)
        spread = np.sqrt((centred**2).sum(1).mean())
        parts.append(centred / spread if spread > 0 else centred)
    return np.concatenate(parts, 1)


def _blocks(frame: F32) -> F64:
    """One input (C, H, W) -> (2 * C * GRID * GRID,)."""
    wide = frame.astype(np.float64)
    means = [_shrunk(channel) for channel in wide]
    squares = [_shrunk(channel**2) for channel in wide]
    deviations = [np.sqrt(np.maximum(s - m**2, 0)) for s, m in zip(squares, means, strict=True)]
    return np.concatenate([part.ravel() for part in [*means, *deviations]])


def _shrunk(channel: F64) -> F64:
    small: F64 = cv2.resize(channel, (GRID, GRID), interpolation=cv2.INTER_AREA)
    return small


def k_centre(points: F64, count: int, first: int) -> list[int]:
    """Indices of at most `count` points such that none is far from a chosen one (Gonzalez's farthest-point rule).

    The largest distance left is at most twice the smallest possible. Ends early when only copies of chosen points
    are left.

    Args:
        points: (N, D).
        count: >= 1.
        first: the index to begin with; the bound holds for any.
    """
    chosen = [first]
    nearest = np.linalg.norm(points - points[first], axis=1)
    while len(chosen) < count:
        farthest = int(np.argmax(nearest))
        if nearest[farthest] == 0:
            break
        chosen.append(farthest)
        nearest = np.minimum(nearest, np.linalg.norm(points - points[farthest], axis=1))
    return chosen


def share_out(sizes: Sequence[int], total: int) -> list[int]:
    """How many each group gives, as equal as their sizes allow; at most `total` together."""
    shares = [0] * len(sizes)
    left = min(total, sum(sizes))
    while left:
        hungry = [i for i, size in enumerate(sizes) if shares[i] < size]
        for i in hungry[:left]:
            shares[i] += min(sizes[i] - shares[i], max(1, left // len(hungry)))
        left = min(total, sum(sizes)) - sum(shares)
    return shares
