"""Put one Frame on one pixel grid: the depth camera's, which left infrared shares, so only colour is warped.

Colour is pulled through its own inverse map instead of `rs.align`: that one aligns every other video stream too
(infrared is zeroed wherever depth has a hole), has no z-buffer, samples nearest neighbour only and holds the GIL.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

from edgefas.sensors.frame import U8, Calibration, Frame, Intrinsics

F32 = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

_HIDDEN_PX, _BESIDE_PX = 1.0, 2.0
"""Of the colour picture: falling back by less is noise of depth; an interpolated edge is left behind after so many."""


@dataclass(frozen=True)
class PixelBox:
    """Whole pixels of the depth/IR grid."""

    x_px: int
    y_px: int
    width_px: int
    height_px: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """Rows, columns: `array[box.slices]`."""
        return slice(self.y_px, self.y_px + self.height_px), slice(self.x_px, self.x_px + self.width_px)


@dataclass(frozen=True, eq=False)
class Aligned:
    """One region of a Frame, every picture (h,w) or (h,w,3) on the depth/IR grid.

    `rgb` is None without colour, and where no pixel of the region has depth: then nobody knows where colour falls.
    """

    rgb: U8 | None
    ir_lit: U8 | None
    """A view of the frame's own picture: no pixel of infrared is ever resampled."""
    ir_unlit: U8 | None
    depth_mm: F32
    """0 = no return."""
    valid: Mask
    """True where there is a depth return and, if there is colour, where the colour camera sees the same surface: inside
    its picture, and not hidden from it by something nearer."""
    box: PixelBox


def align(frame: Frame, box: PixelBox | None = None) -> Aligned:
    """Align a region of `frame`: the face box for speed, everything for viewing and export.

    Where depth has a hole, colour is sampled as if the surface were at the region's median depth, so that faces
    have no black spots; `depth_mm` and `valid` still say that there was no return. Beside something near lies a strip
    that the colour camera, a few centimetres away, does not see: it gets the colour next to that thing, not that of
    the thing, whose edge would then be there twice. A frame without depth comes back with `depth_mm` 0 and `valid`
    False everywhere.

    Raises:
        ValueError: the box is empty or reaches outside the grid.
    """
    grid = frame.calibration.depth
    box = PixelBox(0, 0, grid.width_px, grid.height_px) if box is None else box
    _check(box, grid)
    shape = (box.height_px, box.width_px)
    if frame.depth is None:
        depth_mm = np.zeros(shape, np.float32)
    else:
        depth_mm = frame.depth[box.slices].astype(np.float32) * np.float32(1000 * frame.depth_scale_m)
    valid = depth_mm > 0
    rgb = None
    if frame.color is not None and valid.any():
        # every fifth pixel is enough for a value holes are filled with, and a full median costs more than the warp
        z_mm = np.where(valid, depth_mm, np.median(depth_mm[valid][::5]))
        x_px, y_px, inside = _color_pixels(frame.calibration, box, z_mm)
        hidden = _uncover(x_px, valid, frame.calibration)
        rgb = cv2.remap(frame.color, x_px, y_px, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT).astype(np.uint8)
        valid &= inside & ~hidden
    lit, unlit = (None if ir is None else ir[box.slices] for ir in (frame.ir_lit, frame.ir_unlit))
    return Aligned(rgb, lit, unlit, depth_mm, valid, box)


def _check(box: PixelBox, grid: Intrinsics) -> None:
    fits_x = box.x_px >= 0 and box.width_px > 0 and box.x_px + box.width_px <= grid.width_px
    fits_y = box.y_px >= 0 and box.height_px > 0 and box.y_px + box.height_px <= grid.height_px
    if not (fits_x and fits_y):
        raise ValueError(f"{box} is not inside the {grid.width_px}x{grid.height_px} depth grid")


@lru_cache(maxsize=8)
def _rays(calibration: Calibration) -> tuple[F32, F32, F32]:
    """Three (h,w) float32 arrays: each depth pixel's ray with z = 1, rotated into the colour camera."""
    grid = calibration.depth
    u, v = np.meshgrid(np.arange(grid.width_px, dtype=np.float64), np.arange(grid.height_px, dtype=np.float64))
    camera = np.array([[grid.fx_px, 0, grid.ppx_px], [0, grid.fy_px, grid.ppy_px], [0, 0, 1]])
    pixels = np.stack([u, v], axis=-1).reshape(-1, 1, 2)
    flat = cv2.undistortPoints(pixels, camera, np.array(grid.distortion)).reshape(grid.height_px, grid.width_px, 2)
    rays = np.concatenate([flat, np.ones_like(flat[..., :1])], axis=-1)
    rays = rays @ np.reshape(calibration.depth_to_color.rotation, (3, 3)).T
    x, y, z = (np.ascontiguousarray(rays[..., axis], np.float32) for axis in range(3))
    return x, y, z


def _color_pixels(calibration: Calibration, box: PixelBox, z_mm: F32) -> tuple[F32, F32, Mask]:
    """Where each depth pixel of the box, at `z_mm`, is seen in the colour picture; and whether that is inside it."""
    color = calibration.color
    ray_x, ray_y, ray_z = (ray[box.slices] for ray in _rays(calibration))
    tx, ty, tz = (np.float32(t) for t in calibration.depth_to_color.translation_mm)
    z = z_mm * ray_z + tz
    in_front = z > 0
    z = np.where(in_front, z, np.float32(1))
    x, y = (z_mm * ray_x + tx) / z, (z_mm * ray_y + ty) / z
    if any(color.distortion):
        x, y = _distort(x, y, color.distortion)
    x_px = x * np.float32(color.fx_px) + np.float32(color.ppx_px)
    y_px = y * np.float32(color.fy_px) + np.float32(color.ppy_px)
    inside = (x_px >= 0) & (x_px <= color.width_px - 1) & (y_px >= 0) & (y_px <= color.height_px - 1)
    return x_px, y_px, in_front & inside


def _uncover(x_px: F32, valid: Mask, calibration: Calibration) -> Mask:
    """Find pixels that something nearer hides from the colour camera, and move their `x_px` to just beside that thing.

    The colour camera sits beside the depth camera, so along a row its x grows, but where a near thing ends: there it
    falls back to what the near thing has covered already.
    """
    sign = 1 if calibration.depth_to_color.translation_mm[0] >= 0 else -1
    along = x_px[:, ::sign] * sign  # growing, and a thing hides what comes after it
    known = np.where(valid[:, ::sign], along, -np.inf)
    furthest = np.maximum.accumulate(known, axis=1)
    hidden = along < furthest - _HIDDEN_PX
    # the thing ends up to one pixel behind the last one that sees it
    hidden[:, 1:] |= hidden[:, :-1] & (along[:, 1:] < furthest[:, :-1] + _BESIDE_PX)
    along[hidden] = furthest[hidden] + _BESIDE_PX
    x_px[:, ::sign] = along * sign
    return hidden[:, ::sign]


def _distort(x: F32, y: F32, coefficients: tuple[float, float, float, float, float]) -> tuple[F32, F32]:
    """Brown-Conrady on normalised coordinates; k1, k2, p1, p2, k3 in the order of librealsense and OpenCV."""
    k1, k2, p1, p2, k3 = (np.float32(c) for c in coefficients)
    r2 = x * x + y * y
    radial = 1 + r2 * (k1 + r2 * (k2 + r2 * k3))
    xy = 2 * x * y
    return x * radial + p1 * xy + p2 * (r2 + 2 * x * x), y * radial + p2 * xy + p1 * (r2 + 2 * y * y)
