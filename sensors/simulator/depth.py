"""Stereo depth as a D435 gives it: errors live in disparity, so they grow with z squared."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from edgefas.sensors.frame import U8, U16, Calibration
from edgefas.sensors.simulator.episode import Episode
from edgefas.sensors.simulator.grain import grain
from edgefas.sensors.simulator.rig import DEPTH_SCALE_M, F32, LAYOUTS

STATIC_SHARE = 0.6
"""Of the noise variance that stays as long as the scene does: 50-70 % [M]."""


@dataclass(frozen=True)
class StereoErrors:
    """One camera and scene; drawn over the ranges of the facts."""

    sigma_px: float
    """Disparity noise: .032 best case, "use about .08" (Intel, librealsense #3904)."""
    grain_px: float
    bias: float
    """Relative depth error of the calibration: .5-2 % of z [M]."""
    saddle_mm: float
    hair: float
    """Chance of a hole in black hair."""


def stereo_errors(episode: Episode) -> StereoErrors:
    """Bias and bow belong to the site's camera, the rest to the episode."""
    unit, rng = np.random.default_rng([91, episode.site]), np.random.default_rng([92, episode.seed, episode.site])
    dim = episode.illuminance_lx < 30
    return StereoErrors(
        sigma_px=float(rng.uniform(0.05, 0.10)),
        grain_px=float(rng.choice([2.0, 2.5, 3.0])),
        bias=float(unit.uniform(-0.012, 0.012)),
        saddle_mm=float(unit.uniform(1.0, 3.0)) * float(unit.choice([-1, 1])),
        hair=float(rng.uniform(0.1, 0.5) if dim else rng.uniform(0.02, 0.15)),
    )


def measure(
    z_mm: F32,
    holes: F32,
    facing: F32,
    ir_lit: U8,
    episode: Episode,
    index: int,
    calibration: Calibration,
    window_px: tuple[int, int, int, int],
) -> U16:
    """Depth (h, w) in units of `DEPTH_SCALE_M` from what the left imager truly sees; 0 is no return.

    Args:
        z_mm: true depth per pixel.
        holes: material's chance of no return 0-1 (1 = as black hair).
        facing: cosine to the line of sight.
        ir_lit: the picture the matcher works on; saturated pixels cannot be matched.
        episode: draws the errors.
        index: frame, for the part of the noise that changes.
        calibration: of the camera.
        window_px: what it reads out of its 640x480.
    """
    errors = stereo_errors(episode)
    fb = calibration.depth.fx_px * calibration.baseline_mm
    still = np.random.default_rng([93, episode.seed, episode.subject])
    now = np.random.default_rng([94, episode.seed, episode.subject, index])
    disparity = _matched(fb / z_mm)
    shape = (calibration.depth.height_px, calibration.depth.width_px)
    noise = STATIC_SHARE**0.5 * grain(still, shape, errors.grain_px)
    noise += (1 - STATIC_SHARE) ** 0.5 * grain(now, shape, errors.grain_px)
    disparity = disparity + errors.sigma_px * noise
    luck = 0.8 * grain(still, shape, 2.0) + 0.6 * grain(now, shape, 2.0)
    saturated = cv2.blur((ir_lit > 250).astype(np.float32), (5, 5))
    share = np.clip(
        holes * np.where(holes > 0.5, errors.hair / 0.9, 1.0)
        + 0.6 * np.clip(saturated * 2 - 0.6, 0, 1)
        + 0.5 * np.clip((0.22 - facing) / 0.2, 0, 1),
        0,
        0.97,
    )
    lost = luck < _quantile(share)
    lost |= _occluded(disparity)
    x0, y0, x1, y1 = window_px
    lost |= np.arange(x0, x1)[None] < disparity  # its match lies outside the right picture
    disparity = np.rint(disparity * 32) / 32
    z = fb / np.maximum(disparity, 0.05)
    y, x = (
        np.linspace(-1, 1, 480, dtype=np.float32)[y0:y1, None],
        np.linspace(-1, 1, 640, dtype=np.float32)[None, x0:x1],
    )
    z = z * (1 + errors.bias) + errors.saddle_mm * 1e-6 * (x**2 - y**2) * z**2
    z[lost | (z > 10_000) | (z < LAYOUTS[episode.rig].nearest_mm)] = 0
    return np.asarray(np.rint(z / (1000 * DEPTH_SCALE_M)), np.uint16)


def _ramp(length_px: int) -> F32:
    return np.linspace(-1, 1, length_px, dtype=np.float32)


def _matched(disparity: F32) -> F32:
    """Block matching: the foreground grows by about two pixels, and relief is averaged over the window."""
    disparity = np.asarray(disparity, np.float32)
    grown = cv2.dilate(disparity, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5)))
    edge = grown - disparity > 1.5
    fat = cv2.medianBlur(np.where(edge, grown, disparity).astype(np.float32), 5)
    smooth = cv2.GaussianBlur(fat, (0, 0), 1.2)
    return np.asarray(np.where(np.abs(smooth - fat) < 0.4, smooth, fat), np.float32)


def _occluded(disparity: F32) -> np.ndarray:
    """Pixels the right imager cannot see: a nearer point to their right has, or passes, their place there."""
    right = np.arange(disparity.shape[1], dtype=np.float32)[None] - disparity
    nearest = np.minimum.accumulate(right[:, ::-1], axis=1)[:, ::-1]
    return np.asarray(nearest < right - 1.0)


def _quantile(share: F32) -> F32:
    """Standard normal quantile (logistic approximation, within .02 of sigma between 1 % and 99 %)."""
    s = np.clip(share, 1e-6, 1 - 1e-6)
    return np.asarray(np.where(share <= 0, -10.0, np.log(s / (1 - s)) / 1.702), np.float32)
