"""The pictures of one frame on one grid, for eyes: colour, infrared, depth as colour."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from edgefas.sensors.alignment import align
from edgefas.sensors.frame import Frame

U8 = npt.NDArray[np.uint8]

NEAR_MM, FAR_MM = 250.0, 1500.0
"""The ends of the depth colours."""


@dataclass(frozen=True, eq=False)
class Pictures:
    """Each (h, w, 3) uint8 BGR of one size, or None where the frame has no such stream."""

    color: U8 | None
    aligned: bool
    """False: nobody knows where colour falls on the other pictures, because depth is missing."""
    ir: U8 | None
    ir_light: Literal["lit", "unlit"] | None
    depth: U8 | None
    scale: float
    """From the frame's depth grid to these pictures."""


def pictures(frame: Frame, width_px: int) -> Pictures:
    """Draw all streams of a frame.

    Args:
        width_px: of each picture; a grid that is narrower stays as it is.
    """
    grid = frame.calibration.depth
    scale = min(1.0, width_px / grid.width_px)
    size = (round(grid.width_px * scale), round(grid.height_px * scale))
    found = align(frame)
    color = frame.color if found.rgb is None else found.rgb
    ir, light = _infrared(frame)
    return Pictures(
        None if color is None else cv2.cvtColor(_fit(color, size), cv2.COLOR_RGB2BGR).astype(np.uint8),
        found.rgb is not None,
        None if ir is None else cv2.cvtColor(_fit(ir, size), cv2.COLOR_GRAY2BGR).astype(np.uint8),
        light,
        # nearest: a mean of "no return" and a distance is no distance
        None if frame.depth is None else depth_picture(cv2.resize(found.depth_mm, size, None, 0, 0, cv2.INTER_NEAREST)),
        scale,
    )


def depth_picture(depth_mm: npt.NDArray[np.float32]) -> U8:
    """Depth as colour, near is warm; black where nothing returned. (h, w, 3) uint8 BGR."""
    near = np.clip((FAR_MM - depth_mm) / (FAR_MM - NEAR_MM), 0, 1)
    picture = cv2.applyColorMap((255 * near).astype(np.uint8), cv2.COLORMAP_TURBO)
    picture[depth_mm == 0] = 0
    return picture.astype(np.uint8)


def _infrared(frame: Frame) -> tuple[U8 | None, Literal["lit", "unlit"] | None]:
    if frame.ir_lit is not None:
        return frame.ir_lit, "lit"
    return frame.ir_unlit, None if frame.ir_unlit is None else "unlit"


def _fit(picture: U8, size: tuple[int, int]) -> U8:
    """To exactly `size` (width, height); an unaligned colour picture of another shape gets black edges."""
    h, w = picture.shape[:2]
    scale = min(size[0] / w, size[1] / h)
    inner = (min(size[0], round(w * scale)), min(size[1], round(h * scale)))
    small = picture if (w, h) == inner else cv2.resize(picture, inner, interpolation=cv2.INTER_AREA)
    left, top = (size[0] - inner[0]) // 2, (size[1] - inner[1]) // 2
    right, bottom = size[0] - inner[0] - left, size[1] - inner[1] - top
    if not (left or top or right or bottom):
        return small.astype(np.uint8)
    return cv2.copyMakeBorder(small, top, bottom, left, right, cv2.BORDER_CONSTANT).astype(np.uint8)
