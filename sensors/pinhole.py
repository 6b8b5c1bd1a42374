"""Frames of one plain picture: a webcam or a video, whose geometry is assumed and whose other streams are missing."""

from __future__ import annotations

import math
from typing import Any, Literal

import cv2
import numpy as np

from edgefas.errors import UsageError
from edgefas.sensors.frame import U8, Calibration, Clock, Frame, Intrinsics

Role = Literal["rgb", "ir", "ir_unlit"]
"""What the picture is: colour; infrared under the camera's own light; infrared under whatever light there is."""

DEFAULT_FOV_DEG = 70.0
MIN_FOV_DEG, MAX_FOV_DEG = 20.0, 150.0
_UNUSED_SCALE_M = 0.001
"""Metres per unit of a depth picture that does not exist; a Frame must have one."""


def assumed_calibration(width_px: int, height_px: int, fov_deg: float) -> Calibration:
    """A pinhole without distortion and with square pixels, its axis in the middle of the picture.

    There is no second camera, so the depth grid is the colour grid. Nothing of it is measured: distances in
    millimetres hold as far as the stated field of view does.

    Args:
        fov_deg: horizontal field of view, degrees.
    """
    focal_px = width_px / 2 / math.tan(math.radians(fov_deg) / 2)
    lens = Intrinsics(width_px, height_px, focal_px, focal_px, (width_px - 1) / 2, (height_px - 1) / 2)
    return Calibration(lens, lens, baseline_mm=0.0)


def plain_frame(
    picture: Any,
    role: Role,
    calibration: Calibration,
    *,
    number: int,
    device_ns: int,
    clock: Clock,
    host_ns: int,
    camera: str,
) -> Frame:
    """A Frame with one stream; the others are None.

    Args:
        picture: as OpenCV gives it: (h, w, 3) uint8 BGR, or (h, w) uint8.

    Raises:
        ValueError: any other shape or type, or not the size of the calibration.
    """
    if not isinstance(picture, np.ndarray) or picture.dtype != np.uint8 or picture.ndim not in (2, 3):
        raise ValueError(f"the picture is {getattr(picture, 'dtype', type(picture).__name__)}, must be 8-bit")
    return Frame(
        color=_rgb(picture) if role == "rgb" else None,
        ir_lit=_grey(picture) if role == "ir" else None,
        ir_unlit=_grey(picture) if role == "ir_unlit" else None,
        depth=None,
        depth_scale_m=_UNUSED_SCALE_M,
        calibration=calibration,
        number=number,
        device_ns=device_ns,
        clock=clock,
        host_ns=host_ns,
        camera=camera,
    )


def parse_fov(text: str) -> float:
    """The value of `fov=`.

    Raises:
        UsageError: not a number of degrees in range.
    """
    try:
        fov_deg = float(text)
    except ValueError:
        fov_deg = math.nan
    if not MIN_FOV_DEG <= fov_deg <= MAX_FOV_DEG:  # also refuses NaN
        raise UsageError(
            f"fov={text}: the horizontal field of view, {MIN_FOV_DEG:g} to {MAX_FOV_DEG:g} degrees, such as fov=70"
        )
    return fov_deg


def _rgb(picture: U8) -> U8:
    if picture.ndim == 2:
        return np.asarray(cv2.cvtColor(picture, cv2.COLOR_GRAY2RGB))
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB))


def _grey(picture: U8) -> U8:
    """Infrared is one channel; OpenCV repeats it in three, and then each of them is exact."""
    if picture.ndim == 2:
        return picture.copy()
    if np.array_equal(picture[..., 0], picture[..., 1]) and np.array_equal(picture[..., 0], picture[..., 2]):
        return np.ascontiguousarray(picture[..., 0])
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY))
