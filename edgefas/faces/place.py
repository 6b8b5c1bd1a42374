"""From a box in a picture to a FaceBox: its distance, whether a head's size fits, and the way between the grids."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from edgefas.contracts import FaceBox
from edgefas.sensors.frame import Calibration, Frame

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]

Box = tuple[float, float, float, float]
"""x, y, width, height in pixels."""
Points = tuple[tuple[float, float], ...]

NEAR_MM, FAR_MM = 200.0, 1500.0
"""Where a face is looked for; the policy's own limits are narrower."""
FACE_WIDTH_MM = 150.0
"""Width of the box that the frontal cascades return around an adult's face."""
MIN_WIDTH_MM, MAX_WIDTH_MM = 90.0, 220.0
MIN_DEPTH_SHARE = 0.4
DARK_GREY = 25.0
"""Mean grey level under which a picture is not worth searching."""


class Detector(Protocol):
    """Finds faces, nearest first."""

    def __call__(self, frame: Frame, near: Sequence[FaceBox], /) -> list[FaceBox]:
        """All faces of the frame; with `near`, those around these boxes are enough, and quicker to find."""


def face_at(box: Box, frame: Frame, landmarks_px: Points | None = None, *, any_size: bool = False) -> FaceBox | None:
    """A FaceBox for a box on the depth grid if its central depth says that it is a head's size.

    Args:
        landmarks_px: right eye, left eye, nose and corners of the mouth on the depth grid, where a detector has them.
        any_size: keep boxes of any metric width; the quality gates judge it.
    """
    x, y, w, h = box
    if frame.depth is None or not (w >= 1 and h >= 1):
        return None
    rows = slice(max(0, round(y + h / 4)), max(0, round(y + 3 * h / 4)))
    cols = slice(max(0, round(x + w / 4)), max(0, round(x + 3 * w / 4)))
    centre = frame.depth[rows, cols]
    returns = centre[centre > 0]
    if centre.size == 0 or returns.size < MIN_DEPTH_SHARE * centre.size:
        return None
    z_mm = float(np.median(returns)) * frame.depth_scale_m * 1000
    width_mm = w * z_mm / frame.calibration.depth.fx_px
    if not (NEAR_MM <= z_mm <= FAR_MM and (any_size or MIN_WIDTH_MM <= width_mm <= MAX_WIDTH_MM)):
        return None
    return FaceBox(x_px=x, y_px=y, width_px=w, height_px=h, median_z_mm=z_mm, landmarks_px=landmarks_px)


def nearest_first(faces: Iterable[FaceBox]) -> list[FaceBox]:
    """Sorted, without boxes that overlap a nearer one: regions overlap, faces do not."""
    kept: list[FaceBox] = []
    for face in sorted(faces, key=lambda face: face.median_z_mm):
        if all(face.iou(other) < 0.3 for other in kept):
            kept.append(face)
    return kept


def depth_to_color(cal: Calibration, points_px: F64, z_mm: float) -> F64:
    """(n, 2) pixels of the depth grid at distance z to pixels of the colour grid, distortion left out."""
    d, c = cal.depth, cal.color
    rays = np.column_stack(
        [(points_px[:, 0] - d.ppx_px) / d.fx_px, (points_px[:, 1] - d.ppy_px) / d.fy_px, np.ones(len(points_px))]
    )
    moved = z_mm * rays @ _rotation(cal).T + np.array(cal.depth_to_color.translation_mm)
    return np.column_stack(
        [moved[:, 0] / moved[:, 2] * c.fx_px + c.ppx_px, moved[:, 1] / moved[:, 2] * c.fy_px + c.ppy_px]
    )


def color_to_depth(cal: Calibration, points_px: F64, z_mm: float) -> F64:
    """The inverse at the same depth-camera distance z: the ray of the colour pixel meets the plane Z = z."""
    d, c = cal.depth, cal.color
    rotation, t = _rotation(cal), np.array(cal.depth_to_color.translation_mm)
    rays = np.column_stack(
        [(points_px[:, 0] - c.ppx_px) / c.fx_px, (points_px[:, 1] - c.ppy_px) / c.fy_px, np.ones(len(points_px))]
    )
    directions, origin = rays @ rotation, -t @ rotation  # row vectors: v @ R is R^T v
    points = origin + directions * ((z_mm - origin[2]) / directions[:, 2:])
    return np.column_stack([points[:, 0] / z_mm * d.fx_px + d.ppx_px, points[:, 1] / z_mm * d.fy_px + d.ppy_px])


def _rotation(cal: Calibration) -> F64:
    return np.array(cal.depth_to_color.rotation).reshape(3, 3)
