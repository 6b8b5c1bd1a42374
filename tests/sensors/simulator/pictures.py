"""What the simulator tests measure on rendered frames; geometry is written out here, not taken from the simulator."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from edgefas.contracts import FaceBox
from edgefas.sensors.frame import Frame
from edgefas.sensors.simulator import Presentation, render, sample_episode, true_face

LED_OFFICE = {
    "distance_mm": 600.0,
    "illuminance_lx": 300.0,
    "light": "led",
    "light_azimuth_deg": 10.0,
    "light_elevation_deg": 45.0,
    "fill_share": 0.5,
    "yaw_deg": 0.0,
    "pitch_deg": 0.0,
}


@lru_cache(maxsize=32)
def shown(species: str, subject: int = 0, index: int = 0, **overrides: object) -> tuple[Frame, FaceBox]:
    """A frame and where its face is: 600 mm away, frontal, under 300 lx of LED, unless told otherwise."""
    episode = sample_episode(Presentation(species), subject, 0, 5, **{**LED_OFFICE, **overrides})
    face = true_face(episode, index)
    return render(episode, index), face or FaceBox(x_px=270, y_px=190, width_px=100, height_px=100, median_z_mm=600)


def ellipse(frame: Frame, face: FaceBox, width_mm: float, height_mm: float, down_mm: float = 0.0) -> np.ndarray:
    """Mask of an ellipse around the face's centre, on the depth grid."""
    k = frame.calibration.depth
    rows, cols = np.mgrid[: k.height_px, : k.width_px]
    scale = k.fx_px / face.median_z_mm
    x = cols - (face.x_px + face.width_px / 2)
    y = rows - (face.y_px + face.height_px / 2) - down_mm * scale
    return np.asarray((x / (width_mm / 2 * scale)) ** 2 + (y / (height_mm / 2 * scale)) ** 2 <= 1)


def relief_rms_mm(frame: Frame, face: FaceBox, share: float = 1.0) -> float:
    """Root mean square distance from the best plane over a 90x110 mm ellipse, or a smaller one."""
    assert frame.depth is not None
    z = frame.depth.astype(np.float64) * frame.depth_scale_m * 1000
    inside = ellipse(frame, face, 90 * share, 110 * share) & (z > 0)
    rows, cols = np.nonzero(inside)
    plane = np.stack([rows, cols, np.ones_like(rows)], 1)
    residual = z[inside] - plane @ np.linalg.lstsq(plane, z[inside], rcond=None)[0]
    return float(np.sqrt((residual**2).mean()))


def mean_in(picture: np.ndarray | None, mask: np.ndarray) -> float:
    """Mean of a picture under a mask."""
    assert picture is not None
    return float(picture[mask].mean())
