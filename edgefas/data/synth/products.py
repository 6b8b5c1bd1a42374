"""Pictures of a clip as data sets hold them: faces that are cut out, whole colour pictures, and their encodings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from edgefas.data.inputs import GREY_STEP_MM
from edgefas.preprocess import cut_out
from edgefas.sensors.alignment import PixelBox, align
from edgefas.sensors.frame import U8
from edgefas.sensors.simulator import Episode, face_window, render
from edgefas.sensors.simulator.rig import F32, WHOLE, Window, calibration
from edgefas.sensors.simulator.truth import BOX, EYES, face_points

JPEG_QUALITY = 95
_HALF_MM = ((-97, 25), (-85, 47), (-60, 60), (0, 66), (40, 57), (65, 41), (78, 14))
"""Below the middle of a life-size face, and half its breadth there: from the hairline to the chin."""
OUTLINE = tuple(
    (0.5 + side * half / 150, (down + 70) / 150)
    for side, rows in ((1, _HALF_MM), (-1, _HALF_MM[::-1]))
    for down, half in rows
)
"""Of a face, as shares of its box."""
_ASIDE = (312, 232, 328, 248)
"""Hardly anything of the depth grid, where only colour is wanted."""
_BACKGROUND_MM = 200.0
_AROUND_MM = 65.0
"""What a window shows around the face's box: a square of 190 mm, and what the colour camera sees beside it."""


@dataclass(frozen=True, eq=False)
class Crop:
    """A face that is cut out, every picture on the depth grid."""

    rgb: U8
    """(h, w, 3)."""
    ir: U8
    """(h, w), lit by the projector."""
    depth_mm: F32
    """(h, w), 0 = no return."""
    face: npt.NDArray[np.bool_]
    """(h, w): inside the face's outline."""


def window_of(episode: Episode, frames: Sequence[int], around_mm: float = _AROUND_MM) -> Window:
    """What alone is rendered of a clip."""
    return face_window(episode, max(frames) + 1, around_mm)


def tight(outline: npt.NDArray[np.float64]) -> PixelBox:
    """Around the outline of a face."""
    (x0, y0), (x1, y1) = np.floor(outline.min(0)).astype(int), np.ceil(outline.max(0)).astype(int)
    return PixelBox(int(x0), int(y0), int(x1 - x0) + 1, int(y1 - y0) + 1)


def crop(episode: Episode, index: int, window: Window, box: PixelBox) -> Crop:
    """A frame's pictures in a box of the window's depth grid; black and without depth where it reaches outside."""
    seen = align(render(episode, index, window))
    assert seen.rgb is not None
    assert seen.ir_lit is not None
    inside = np.zeros(seen.depth_mm.shape, np.uint8)
    cv2.fillPoly(inside, [np.rint(face_points(episode, index, window, OUTLINE)).astype(np.int32)], 1)
    rgb, ir = cut_out(seen.rgb, box), cut_out(seen.ir_lit, box)
    return Crop(rgb, ir, cut_out(seen.depth_mm, box), cut_out(inside, box) > 0)


def masked(episode: Episode, index: int, window: Window) -> Crop:
    """The face alone, as large as it is in the camera's picture; 0 outside its outline, no depth of the room behind."""
    found = crop(episode, index, window, tight(face_points(episode, index, window, OUTLINE)))
    return replace(
        found,
        rgb=found.rgb * found.face[..., None],
        ir=found.ir * found.face,
        depth_mm=found.depth_mm * (found.face & (found.depth_mm < episode.distance_mm + _BACKGROUND_MM)),
    )


def square(episode: Episode, index: int, window: Window, side_mm: float, size_px: int) -> Crop:
    """A square of millimetres around the middle of the face, resized."""
    middle = face_points(episode, index, window, BOX).mean(0)
    half = side_mm * calibration(episode.site, episode.rig).depth.fx_px / episode.distance_mm / 2
    x, y = np.rint(middle - half).astype(int)
    side = max(2, round(2 * half))
    return resized(crop(episode, index, window, PixelBox(int(x), int(y), side, side)), size_px)


def eyes_box(episode: Episode, index: int, window: Window) -> PixelBox:
    """As WMCA's authors cut: the eyes half a width apart, on the line of the first quarter."""
    eyes = face_points(episode, index, window, EYES)
    side = max(4, round(2 * float(np.hypot(*(eyes[1] - eyes[0])))))
    x, y = eyes.mean(0)
    return PixelBox(round(x - side / 2), round(y - side / 4), side, side)


def resized(found: Crop, size_px: int) -> Crop:
    """Depth takes the nearest pixel: an average over an edge is nowhere."""
    size, large = (size_px, size_px), found.ir.shape[0] >= size_px
    method = cv2.INTER_AREA if large else cv2.INTER_LINEAR
    return Crop(
        np.asarray(cv2.resize(found.rgb, size, interpolation=method), np.uint8),
        np.asarray(cv2.resize(found.ir, size, interpolation=method), np.uint8),
        np.asarray(cv2.resize(found.depth_mm, size, interpolation=cv2.INTER_NEAREST), np.float32),
        cv2.resize(found.face.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0,
    )


def color_picture(episode: Episode, index: int, window: Window = WHOLE) -> U8:
    """What the colour camera alone sees, (h, w, 3) uint8 RGB."""
    found = render(episode, index, replace(window, depth_px=_ASIDE)).color
    assert found is not None
    return found


def color_box(episode: Episode, index: int, window: Window = WHOLE) -> tuple[float, float, float, float]:
    """(left, top, right, bottom) of the face in `color_picture`."""
    points = face_points(episode, index, window, BOX, color=True)
    (left, top), (right, bottom) = points.min(0).tolist(), points.max(0).tolist()
    return left, top, right, bottom


def grey_depth(depth_mm: F32, dataset: str) -> U8:
    """Depth as an 8-bit picture around the median of the face: nearer is brighter, in the steps that `dataset` is read
    with; 0 is background."""
    returned = depth_mm > 0
    middle = float(np.median(depth_mm[returned])) if returned.any() else 0.0
    grey = np.clip(np.rint(128 + (middle - depth_mm) / GREY_STEP_MM[dataset]), 1, 255)
    return np.where(returned, grey, 0).astype(np.uint8)


def spread(values: npt.NDArray[np.floating[Any]]) -> U8:
    """WMCA's normalisation: three median absolute deviations about the median of what is above 1, over 8 bits."""
    kept = values[values > 1]
    middle = float(np.median(kept)) if kept.size else 0.0
    deviation = max(float(np.median(np.abs(kept - middle))) if kept.size else 0.0, 1e-3)
    grey = np.clip((values - middle + 3 * deviation) / (6 * deviation) * 255, 0, 255)
    return np.where(values > 1, grey, 0).astype(np.uint8)


def encoded(picture: npt.NDArray[Any], suffix: str, quality: int = JPEG_QUALITY) -> bytes:
    """JPEG or PNG of RGB or grey; grey JPEGs have three channels, as the public sets' have."""
    if picture.ndim == 3:
        picture = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    elif suffix == ".jpg":
        picture = cv2.cvtColor(picture, cv2.COLOR_GRAY2BGR)
    options = [cv2.IMWRITE_JPEG_QUALITY, quality] if suffix == ".jpg" else [cv2.IMWRITE_PNG_COMPRESSION, 1]
    ok, data = cv2.imencode(suffix, picture, options)
    assert ok, suffix
    return data.tobytes()


def put(path: Path, data: bytes) -> None:
    """Write a file and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
