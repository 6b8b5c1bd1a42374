"""The camera's geometry: two rectified imagers and a projector, and a colour camera beside them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

from edgefas.sensors.frame import Calibration, Extrinsics, Intrinsics

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]

DEPTH_SCALE_M = 0.001
PROJECTOR_X_MM = 29.0
"""Of the dot projector, to the right of the left imager (D435 layout)."""


@dataclass(frozen=True)
class View:
    """One pinhole looking at the scene: p_camera = rotation @ p_depth_camera + translation_mm."""

    intrinsics: Intrinsics
    rotation: tuple[tuple[float, float, float], ...]
    translation_mm: tuple[float, float, float]

    def rays(self, x0: int, y0: int, x1: int, y1: int) -> tuple[F64, F32]:
        """Origin (3,) and directions (h, w, 3) with unit camera z, of the pixels of a window, in depth coordinates."""
        rotation = np.asarray(self.rotation)
        return -rotation.T @ np.asarray(self.translation_mm), _directions(self)[y0:y1, x0:x1]

    def project(self, points_mm: F64) -> F64:
        """Pixels (..., 2) of points (..., 3) given in depth coordinates."""
        k = self.intrinsics
        p = points_mm @ np.asarray(self.rotation).T + np.asarray(self.translation_mm)
        z = np.maximum(p[..., 2], 1.0)
        return np.stack([p[..., 0] / z * k.fx_px + k.ppx_px, p[..., 1] / z * k.fy_px + k.ppy_px], -1)


@lru_cache(maxsize=4)
def _directions(view: View) -> F32:
    k = view.intrinsics
    x, y = np.meshgrid((np.arange(k.width_px) - k.ppx_px) / k.fx_px, (np.arange(k.height_px) - k.ppy_px) / k.fy_px)
    return np.asarray(np.stack([x, y, np.ones_like(x)], -1) @ np.asarray(view.rotation), np.float32)


@lru_cache(maxsize=2)
def calibration(site: int) -> Calibration:
    """The unit of a site: nominal D435 at 640x480, each unit with its own small deviations."""
    rng = np.random.default_rng([12, site])
    f_depth, f_color = 382.1 + rng.normal(0, 1.5), 614.6 + rng.normal(0, 2)
    rotation, _ = cv2.Rodrigues(np.array([0.001, 0.0035, -0.0015]) + rng.normal(0, 5e-4, 3))
    shift = rng.normal(0, 1.5, 4)
    return Calibration(
        depth=Intrinsics(640, 480, f_depth, f_depth, 319.5 + shift[0], 239.5 + shift[1]),
        color=Intrinsics(640, 480, f_color, f_color, 319.5 + shift[2], 239.5 + shift[3]),
        depth_to_color=Extrinsics(tuple(rotation.ravel().tolist()), (14.75, 0.1, 0.3)),
        baseline_mm=49.95,
    )


def infrared_view(site: int) -> View:
    """The left imager, which is also the depth camera."""
    return View(calibration(site).depth, ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)), (0.0, 0.0, 0.0))


def color_view(site: int) -> View:
    """The colour camera."""
    c = calibration(site)
    r = c.depth_to_color.rotation
    return View(c.color, (r[0:3], r[3:6], r[6:9]), c.depth_to_color.translation_mm)  # type: ignore[arg-type]
