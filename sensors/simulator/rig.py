"""The cameras' geometry: two rectified imagers and a projector, and a colour camera beside them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

from edgefas.sensors.frame import Calibration, Extrinsics, Intrinsics
from edgefas.sensors.simulator.episode import Rig

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]

DEPTH_SCALE_M = 0.001


@dataclass(frozen=True)
class Layout:
    """Nominal measures of a camera model at 640x480."""

    f_depth_px: float
    f_color_px: float
    baseline_mm: float
    color_x_mm: float
    """Translation from the left imager's axes to the colour camera's."""
    projector_x_mm: float
    """Of the dot projector, to the right of the left imager."""
    nearest_mm: float
    """126 disparities."""


LAYOUTS: dict[Rig, Layout] = {
    "d435": Layout(382.1, 614.6, 49.95, 14.75, 29.0, 170.0),
    "d455": Layout(386.0, 384.0, 95.0, -59.0, 62.0, 320.0),  # wide colour lens, twice the baseline [M]
}


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


@lru_cache(maxsize=8)
def calibration(site: int, rig: Rig = "d435") -> Calibration:
    """The unit of a site: the nominal model at 640x480, each unit with its own small deviations."""
    rng, nominal = np.random.default_rng([12, site]), LAYOUTS[rig]
    f_depth, f_color = nominal.f_depth_px + rng.normal(0, 1.5), nominal.f_color_px + rng.normal(0, 2)
    rotation, _ = cv2.Rodrigues(np.array([0.001, 0.0035, -0.0015]) + rng.normal(0, 5e-4, 3))
    shift = rng.normal(0, 1.5, 4)
    return Calibration(
        depth=Intrinsics(640, 480, f_depth, f_depth, 319.5 + shift[0], 239.5 + shift[1]),
        color=Intrinsics(640, 480, f_color, f_color, 319.5 + shift[2], 239.5 + shift[3]),
        depth_to_color=Extrinsics(tuple(rotation.ravel().tolist()), (nominal.color_x_mm, 0.1, 0.3)),
        baseline_mm=nominal.baseline_mm,
    )


@dataclass(frozen=True)
class Window:
    """What alone is read out, (x0, y0, x1, y1) on the depth and on the colour grid; a frame is then a smaller one."""

    depth_px: tuple[int, int, int, int]
    color_px: tuple[int, int, int, int]


WHOLE = Window((0, 0, 640, 480), (0, 0, 640, 480))


def read_out(whole: Calibration, window: Window) -> Calibration:
    """The calibration of a camera that reads out a window."""
    return replace(whole, depth=_cut(whole.depth, window.depth_px), color=_cut(whole.color, window.color_px))


def _cut(k: Intrinsics, box: tuple[int, int, int, int]) -> Intrinsics:
    x0, y0, x1, y1 = box
    return replace(k, width_px=x1 - x0, height_px=y1 - y0, ppx_px=k.ppx_px - x0, ppy_px=k.ppy_px - y0)


def infrared_view(c: Calibration) -> View:
    """The left imager, which is also the depth camera."""
    return View(c.depth, ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)), (0.0, 0.0, 0.0))


def color_view(c: Calibration) -> View:
    """The colour camera."""
    r = c.depth_to_color.rotation
    return View(c.color, (r[0:3], r[3:6], r[6:9]), c.depth_to_color.translation_mm)  # type: ignore[arg-type]
