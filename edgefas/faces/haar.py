"""The default detector: depth first, then a Haar cascade at the scale that depth dictates.

The nearest blob within arm's reach gives the place and, through its distance, the size a face must have in pixels,
so the cascade looks at one small picture and one narrow band of scales.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import cv2.data
import numpy as np
import numpy.typing as npt

from edgefas.contracts import FaceBox
from edgefas.faces.place import (
    DARK_GREY,
    FACE_WIDTH_MM,
    FAR_MM,
    NEAR_MM,
    Box,
    color_to_depth,
    depth_to_color,
    face_at,
    nearest_first,
)
from edgefas.sensors.frame import Frame

U8 = npt.NDArray[np.uint8]

HEAD_DEPTH_MM = 350.0
"""How far behind the nearest point a head and its shoulders reach."""
WORKING_FACE_PX = 40.0
"""The picture is scaled so that a face is this wide: the cascade's window is 20 px, and cost grows with area."""
HEAD_HEIGHT_MM = 330.0
"""How far below the top of a blob its face ends: a head's height, or a sheet's with the face in its middle."""
TRACK_MARGIN = 0.4
"""A face is looked for this far, in face widths, around where it was."""
GRID_STEP = 4
"""Depth is searched for blobs at every fourth pixel."""


@dataclass(frozen=True)
class _Region:
    """A rectangle of the depth grid worth searching, and the distance of what is in it."""

    x0: int
    y0: int
    x1: int
    y1: int
    z_mm: float


def detect_faces(frame: Frame, near: Sequence[FaceBox] = ()) -> list[FaceBox]:
    """Faces of one frame, nearest first; empty when there is none or no depth to place it.

    Searches colour, then infrared (unlit where there is one: dots disturb the cascade) where colour finds nothing.

    Args:
        near: look around these boxes only, which is quick; empty searches everything within reach.
    """
    if frame.depth is None:
        return []
    regions = [_around(face, frame.depth.shape) for face in near] or _near_regions(frame)
    return nearest_first(face for region in regions for face in _search(frame, region))


def largest_face(rgb: U8) -> Box | None:
    """The widest face of a picture (H, W, 3) that has no depth, of at least a tenth of its shorter side."""
    side = min(rgb.shape[:2])
    scale = min(1.0, 10 * 24 / side)
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    small = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1 else grey
    least = max(20, round(side * scale / 10))
    hits = _cascade().detectMultiScale(cv2.equalizeHist(small), 1.1, 3, minSize=(least, least))
    boxes: list[Box] = [(float(x / scale), float(y / scale), float(w / scale), float(h / scale)) for x, y, w, h in hits]
    return max(boxes, key=lambda box: box[2], default=None)


def _search(frame: Frame, region: _Region) -> list[FaceBox]:
    """Faces of a region in colour, else in infrared."""
    for find in (_search_color, _search_ir):
        placed = (face_at(box, frame) for box in find(frame, region))
        faces = [face for face in placed if face is not None]
        if faces:
            return faces
    return []


def _around(face: FaceBox, shape: tuple[int, ...]) -> _Region:
    dx, dy = TRACK_MARGIN * face.width_px, TRACK_MARGIN * face.height_px
    return _Region(
        max(0, int(face.x_px - dx)),
        max(0, int(face.y_px - dy)),
        min(shape[1], int(face.x_px + face.width_px + dx)),
        min(shape[0], int(face.y_px + face.height_px + dy)),
        face.median_z_mm,
    )


def _near_regions(frame: Frame, most: int = 3) -> list[_Region]:
    """Rectangles around the nearest blobs, wide enough for a head at the blob's distance."""
    assert frame.depth is not None
    fx_px = frame.calibration.depth.fx_px
    coarse = frame.depth[::GRID_STEP, ::GRID_STEP].astype(np.float32) * np.float32(frame.depth_scale_m * 1000)
    regions: list[_Region] = []
    free = (coarse >= NEAR_MM) & (coarse <= FAR_MM)
    for _ in range(most):
        near = coarse[free]
        if near.size < 30:
            break
        nearest_mm = float(np.percentile(near, 2))
        blob = free & (coarse <= nearest_mm + HEAD_DEPTH_MM)
        _, labels, stats, _ = cv2.connectedComponentsWithStats(blob.astype(np.uint8), connectivity=8)
        largest = 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))
        free &= labels != largest
        x, y, w, h, area = (int(v) for v in stats[largest])
        z_mm = float(np.median(coarse[labels == largest]))
        face_px = FACE_WIDTH_MM * fx_px / z_mm
        if area * GRID_STEP**2 < 0.3 * face_px**2:  # smaller than a third of a face: a hand, a chair's edge
            continue
        margin = 0.15 * face_px
        rows, cols = frame.depth.shape
        regions.append(
            _Region(
                max(0, int(x * GRID_STEP - margin)),
                max(0, int(y * GRID_STEP - margin)),
                min(cols, int((x + w) * GRID_STEP + margin)),
                min(rows, int(y * GRID_STEP + min(h * GRID_STEP, HEAD_HEIGHT_MM * fx_px / z_mm) + margin)),
                z_mm,
            )
        )
    return regions


def _search_color(frame: Frame, region: _Region) -> list[Box]:
    """Boxes on the depth grid found in the colour picture."""
    if frame.color is None:
        return []
    cal = frame.calibration
    corners = depth_to_color(cal, np.array([[region.x0, region.y0], [region.x1, region.y1]]), region.z_mm)
    (x0, y0), (x1, y1) = np.round(corners).astype(int)
    x0, x1 = np.clip((x0, x1), 0, cal.color.width_px)
    y0, y1 = np.clip((y0, y1), 0, cal.color.height_px)
    if x1 - x0 < 20 or y1 - y0 < 20:
        return []
    grey = cv2.cvtColor(frame.color[y0:y1, x0:x1], cv2.COLOR_RGB2GRAY)
    if float(grey.mean()) < DARK_GREY:
        return []
    boxes = []
    for x, y, w, h in _cascade_boxes(grey, FACE_WIDTH_MM * cal.color.fx_px / region.z_mm):
        edges = color_to_depth(cal, np.array([[x0 + x, y0 + y], [x0 + x + w, y0 + y + h]]), region.z_mm)
        (left, top), (right, bottom) = edges
        boxes.append((float(left), float(top), float(right - left), float(bottom - top)))
    return boxes


def _search_ir(frame: Frame, region: _Region) -> list[Box]:
    """Boxes on the depth grid found in the infrared picture; a median filter takes the dots away."""
    ir = frame.ir_unlit if frame.ir_unlit is not None and frame.ir_unlit.mean() >= DARK_GREY else frame.ir_lit
    if ir is None:
        return []
    part = cv2.medianBlur(np.ascontiguousarray(ir[region.y0 : region.y1, region.x0 : region.x1]), 5)
    face_px = FACE_WIDTH_MM * frame.calibration.depth.fx_px / region.z_mm
    return [(region.x0 + x, region.y0 + y, w, h) for x, y, w, h in _cascade_boxes(part, face_px)]


def _cascade_boxes(grey: U8, face_px: float) -> list[Box]:
    """Cascade hits (x, y, w, h) between 0.65 and 1.45 times the expected face width."""
    scale = min(1.0, WORKING_FACE_PX / face_px)
    small = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1 else grey
    small = cv2.equalizeHist(small)
    low, high = (max(20, round(face_px * scale * f)) for f in (0.65, 1.45))
    # steps of 1.2 take a third less time than 1.1; a face then shows in fewer of them, so two hits are enough
    hits = _cascade().detectMultiScale(small, scaleFactor=1.2, minNeighbors=2, minSize=(low, low), maxSize=(high, high))
    return [(float(x / scale), float(y / scale), float(w / scale), float(h / scale)) for x, y, w, h in hits]


_OF_THREAD = threading.local()


def _cascade() -> cv2.CascadeClassifier:
    """One of each thread: a search keeps its scales in the object, and two at once overwrite each other's.

    alt2 keeps more of the faces under projector dots than the default cascade does at equal scale steps.
    """
    if not hasattr(_OF_THREAD, "cascade"):
        path = Path(cv2.data.haarcascades) / "haarcascade_frontalface_alt2.xml"
        _OF_THREAD.cascade = cv2.CascadeClassifier(str(path))
    found: cv2.CascadeClassifier = _OF_THREAD.cascade
    return found
