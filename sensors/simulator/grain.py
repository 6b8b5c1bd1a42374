"""Pixel noise cut from prepared sheets: drawing a million normals per frame would cost more than rendering it."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

from edgefas.sensors.simulator.rig import F32

_SIDE = 1536


@lru_cache(maxsize=6)
def _sheet(sigma_px: float) -> F32:
    white = np.random.default_rng(121).standard_normal((_SIDE, _SIDE), dtype=np.float32)
    smooth = cv2.GaussianBlur(white, (0, 0), sigma_px) if sigma_px else white
    return np.asarray(smooth / smooth.std(), np.float32)


def grain(rng: np.random.Generator, shape: tuple[int, int], sigma_px: float = 0.0) -> F32:
    """Gaussian noise (h, w) of unit deviation, correlated over `sigma_px`: a random, randomly mirrored cut of a sheet."""
    y, x = rng.integers(_SIDE - shape[0]), rng.integers(_SIDE - shape[1])
    cut = _sheet(sigma_px)[y : y + shape[0], x : x + shape[1]]
    return cut[:: rng.choice([-1, 1]), :: rng.choice([-1, 1])]
