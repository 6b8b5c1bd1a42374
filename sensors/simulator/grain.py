"""Pixel noise cut from prepared sheets: drawing a million normals per frame would cost more than rendering it."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

from edgefas.sensors.simulator.rig import F32

_SIDE = 1024


@lru_cache(maxsize=8)
def _sheet(sigma_px: float, channels: int) -> F32:
    white = np.random.default_rng(121).standard_normal((_SIDE, _SIDE, channels), dtype=np.float32)
    smooth = cv2.GaussianBlur(white, (0, 0), sigma_px) if sigma_px else white
    return np.asarray(smooth / smooth.std(), np.float32)


def grain(rng: np.random.Generator, shape: tuple[int, ...], sigma_px: float = 0.0) -> F32:
    """Gaussian noise (h, w[, c]) of unit deviation, correlated over `sigma_px`: a random, mirrored cut of a sheet."""
    height, width, *channels = shape
    y, x = rng.integers(_SIDE - height), rng.integers(_SIDE - width)
    sheet = _sheet(sigma_px, *(channels or [1]))
    cut = sheet.reshape(_SIDE, _SIDE, *channels)[y : y + height, x : x + width]
    return cut[:: rng.choice([-1, 1]), :: rng.choice([-1, 1])]
