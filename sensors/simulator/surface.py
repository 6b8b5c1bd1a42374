"""Heightfields with a material: how every object of the simulator is described, and how a pinhole sees it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from edgefas.sensors.simulator.motion import Pose
from edgefas.sensors.simulator.rig import F32, View

MISS_MM = -10_000.0


@dataclass(frozen=True, eq=False)
class Surface:
    """Height towards the viewer over a grid of the object's x (right) and y (down).

    Arrays are float32 of one (h, w): `height_mm`; `albedo` (h, w, 4) at (red, green, blue, 850 nm);
    `finish` (h, w, 3) = gain of the surface reflection, hair cover 0-1, share of light that enters and scatters 0-1;
    `emission` like albedo, in lm/m2 of white, for screens.
    """

    x0_mm: float
    y0_mm: float
    step_mm: float
    height_mm: F32
    floor_mm: float
    """A ray that gets down here has missed the object."""
    albedo: F32
    finish: F32
    roughness: float = 0.3
    march_mm: float = 9.0
    """Step of the search for the first hit: less than the thickness of anything that hides something."""
    emission: F32 | None = None
    depth_holes: F32 | None = None
    """(h, w) 0-1: chance that stereo matching finds nothing."""

    def grid_mm(self) -> tuple[F32, F32]:
        """x and y of every point, (h, w) each."""
        h, w = self.height_mm.shape
        x = self.x0_mm + (np.arange(w) + 0.5) * self.step_mm
        y = self.y0_mm + (np.arange(h) + 0.5) * self.step_mm
        grid_x, grid_y = np.meshgrid(x.astype(np.float32), y.astype(np.float32))
        return grid_x, grid_y

    def resized(self, step_mm: float) -> Surface:
        """The same object on a coarser grid: texture finer than the camera's pixels would only alias."""
        h, w = self.height_mm.shape
        size = (max(2, round(w * self.step_mm / step_mm)), max(2, round(h * self.step_mm / step_mm)))

        def area(a: F32) -> F32:
            return np.asarray(cv2.resize(a, size, interpolation=cv2.INTER_AREA), np.float32)

        return Surface(
            self.x0_mm,
            self.y0_mm,
            self.step_mm * w / size[0],
            area(self.height_mm),
            self.floor_mm,
            area(self.albedo),
            area(self.finish),
            self.roughness,
            self.march_mm,
            None if self.emission is None else area(self.emission),
            None if self.depth_holes is None else area(self.depth_holes),
        )


@dataclass(frozen=True, eq=False)
class Hit:
    """What a window of pixels sees of a surface: texture coordinates and depth along the view's axis."""

    window: tuple[slice, slice]
    mask: npt.NDArray[np.bool_]
    map_x: F32
    map_y: F32
    z_mm: F32


def intersect(surface: Surface, place: Pose, view: View) -> Hit | None:
    """First intersection of each ray with the heightfield: linear search from the top, then regula falsi.

    The linear search is what keeps the nose in front of the cheek it hides.
    """
    window = _window(surface, place, view)
    if window is None:
        return None
    x0, y0, x1, y1 = window
    origin, directions = view.rays(x0, y0, x1, y1)
    o = (place.rotation.T @ (origin - place.position_mm)).astype(np.float32)
    d = directions @ place.rotation.astype(np.float32)
    # texture coordinates and ray parameter are linear in the height the ray has come down to
    inverse = -1.0 / d[..., 2]
    slope_x, slope_y = d[..., 0] * inverse / surface.step_mm, d[..., 1] * inverse / surface.step_mm
    # cv2.resize keeps the outer edges of pixels in place, so sample centres lie half a step inside
    base_x = (o[0] - surface.x0_mm) / surface.step_mm - 0.5 + slope_x * o[2]
    base_y = (o[1] - surface.y0_mm) / surface.step_mm - 0.5 + slope_y * o[2]

    def excess(height: F32 | float) -> F32:
        """How far the surface rises over rays that have come down to a height."""
        x, y = base_x + slope_x * height, base_y + slope_y * height
        found = cv2.remap(
            surface.height_mm, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=MISS_MM
        )
        return np.asarray(found, np.float32) - height

    top = float(surface.height_mm.max()) + 0.5
    levels = np.linspace(top, surface.floor_mm, max(2, int((top - surface.floor_mm) / surface.march_mm) + 1))
    clear = np.ones(slope_x.shape, bool)
    first = np.zeros(slope_x.shape, np.int8)  # the level where the ray is first at or under the surface
    for level in levels:
        clear &= excess(float(level)) < 0
        first += clear
    np.clip(first, 1, len(levels) - 1, out=first)
    steps = levels.astype(np.float32)
    low, high = steps[first], steps[first - 1]
    f_low, f_high = excess(low), excess(high)
    mask = f_low >= 0
    for _ in range(2):
        middle = low + (high - low) * np.clip(f_low / np.maximum(f_low - f_high, 1e-6), 0.02, 0.98)
        f = excess(middle)
        up = f >= 0
        low, f_low = np.where(up, middle, low), np.where(up, f, f_low)
        high, f_high = np.where(up, high, middle), np.where(up, f_high, f)
    height = low + (high - low) * np.clip(f_low / np.maximum(f_low - f_high, 1e-6), 0, 1)
    z = (height + o[2]) * inverse
    return Hit((slice(y0, y1), slice(x0, x1)), mask, base_x + slope_x * height, base_y + slope_y * height, z)


def look_up(hit: Hit, texture: F32) -> F32:
    """A texture (h, w[, c]) at the pixels of a hit."""
    return np.asarray(
        cv2.remap(texture, hit.map_x, hit.map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.float32
    )


def normals(surface: Surface) -> F32:
    """Unit normals (h, w, 3) in the object's axes, towards the viewer (-z)."""
    gy, gx = np.gradient(surface.height_mm, surface.step_mm)
    # h(x, y) = -z: the normal of z + h = 0, turned to the viewer
    n = np.stack([-gx, -gy, -np.ones_like(gx)], -1)
    return np.asarray(n / length(n)[..., None], np.float32)


def dot(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Of vectors (..., 3): numpy's own sum over a short last axis takes five times as long."""
    return a[..., 0] * b[..., 0] + a[..., 1] * b[..., 1] + a[..., 2] * b[..., 2]


def length(a: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Of vectors (..., 3)."""
    return np.sqrt(dot(a, a))


def _window(surface: Surface, place: Pose, view: View) -> tuple[int, int, int, int] | None:
    h, w = surface.height_mm.shape
    x1, y1 = surface.x0_mm + w * surface.step_mm, surface.y0_mm + h * surface.step_mm
    top = float(surface.height_mm.max())
    corners = np.array(
        [[x, y, -z] for x in (surface.x0_mm, x1) for y in (surface.y0_mm, y1) for z in (top, surface.floor_mm)]
    )
    pixels = view.project(corners @ place.rotation.T + place.position_mm)
    k = view.intrinsics
    left, up = np.maximum(np.floor(pixels.min(0)).astype(int), 0)
    right, down = np.minimum(np.ceil(pixels.max(0)).astype(int) + 1, [k.width_px, k.height_px])
    if right - left < 2 or down - up < 2:
        return None
    return int(left), int(up), int(right), int(down)
