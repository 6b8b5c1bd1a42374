"""Face boxes on the depth/IR grid: depth first, then a Haar cascade at the scale that depth dictates.

The nearest blob within arm's reach gives the place and, through its distance, the size a face must have in pixels,
so the cascade looks at one small picture and one narrow band of scales. A box is kept only if its metric width is
that of a head: posters on the wall and false alarms fall here, before any network runs. A print held at face
distance passes by design: this is geometry, not liveness.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import cv2.data
import numpy as np
import numpy.typing as npt

from edgefas.contracts import FaceBox
from edgefas.sensors.frame import Calibration, Frame

F32 = npt.NDArray[np.float32]
U8 = npt.NDArray[np.uint8]

NEAR_MM, FAR_MM = 200.0, 1500.0
"""Where a face is looked for; the policy's own limits are narrower."""
FACE_WIDTH_MM = 150.0
"""Width of the box that the frontal cascades return around an adult's face."""
MIN_WIDTH_MM, MAX_WIDTH_MM = 90.0, 220.0
MIN_DEPTH_SHARE = 0.4
HEAD_DEPTH_MM = 350.0
"""How far behind the nearest point a head and its shoulders reach."""
WORKING_FACE_PX = 56.0
"""The picture is scaled so that a face is this wide: the cascade's window is 20 px, and cost grows with area."""
HEAD_HEIGHT_MM = 330.0
"""How far below the top of a blob its face ends: a head's height, or a sheet's with the face in its middle."""
TRACK_MARGIN = 0.4
"""A tracked face is looked for this far, in face widths, around where it was."""
FULL_SEARCH_EVERY = 10
"""Frames; in between only the last face is followed, so that a newcomer is seen within a third of a second."""
DARK_GREY = 25.0
"""Mean grey level under which the colour picture is not worth searching."""
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


def detect_faces(frame: Frame, last: FaceBox | None = None) -> list[FaceBox]:
    """Faces of one frame, nearest first; empty when there is none or no depth to place it.

    Searches colour, then infrared (unlit where there is one: dots disturb the cascade) where colour finds nothing.

    Args:
        last: the face of the frame before; looked for first, around its old place, which is quick. Every
            `FULL_SEARCH_EVERY` frames, and when it is not found, everything near is searched.
    """
    if frame.depth is None:
        return []
    depth_mm = frame.depth.astype(np.float32) * np.float32(frame.depth_scale_m * 1000)
    if last is not None and frame.number % FULL_SEARCH_EVERY:
        tracked = _search(frame, depth_mm, _around(last, depth_mm.shape))
        if tracked:
            return _distinct(tracked)
    faces: list[FaceBox] = []
    for region in _near_regions(depth_mm, frame.calibration.depth.fx_px):
        faces += _search(frame, depth_mm, region)
    return _distinct(sorted(faces, key=lambda face: face.median_z_mm))


def _search(frame: Frame, depth_mm: F32, region: _Region) -> list[FaceBox]:
    """Faces of a region in colour, else in infrared."""
    for find in (_search_color, _search_ir):
        placed = (face_at(box, depth_mm, frame.calibration) for box in find(frame, region))
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


def face_at(box: tuple[float, float, float, float], depth_mm: F32, calibration: Calibration) -> FaceBox | None:
    """A FaceBox for (x, y, width, height) on the depth grid if its central depth says it is a head's size.

    Args:
        depth_mm: (h, w) float32, 0 = no return.
    """
    x, y, w, h = box
    rows = slice(max(0, round(y + h / 4)), max(0, round(y + 3 * h / 4)))
    cols = slice(max(0, round(x + w / 4)), max(0, round(x + 3 * w / 4)))
    centre = depth_mm[rows, cols]
    returns = centre[centre > 0]
    if centre.size == 0 or returns.size < MIN_DEPTH_SHARE * centre.size:
        return None
    z_mm = float(np.median(returns))
    width_mm = w * z_mm / calibration.depth.fx_px
    if not (NEAR_MM <= z_mm <= FAR_MM and MIN_WIDTH_MM <= width_mm <= MAX_WIDTH_MM):
        return None
    return FaceBox(x_px=x, y_px=y, width_px=w, height_px=h, median_z_mm=z_mm)


def _near_regions(depth_mm: F32, fx_px: float, most: int = 3) -> list[_Region]:
    """Rectangles around the nearest blobs, wide enough for a head at the blob's distance."""
    coarse = depth_mm[::GRID_STEP, ::GRID_STEP]
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
        rows, cols = depth_mm.shape
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


def _search_color(frame: Frame, region: _Region) -> list[tuple[float, float, float, float]]:
    """Boxes on the depth grid found in the colour picture."""
    if frame.color is None:
        return []
    cal = frame.calibration
    corners = _depth_to_color(cal, np.array([[region.x0, region.y0], [region.x1, region.y1]]), region.z_mm)
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
        edges = _color_to_depth(cal, np.array([[x0 + x, y0 + y], [x0 + x + w, y0 + y + h]]), region.z_mm)
        (left, top), (right, bottom) = edges
        boxes.append((float(left), float(top), float(right - left), float(bottom - top)))
    return boxes


def _search_ir(frame: Frame, region: _Region) -> list[tuple[float, float, float, float]]:
    """Boxes on the depth grid found in the infrared picture; a median filter takes the dots away."""
    ir = frame.ir_unlit if frame.ir_unlit is not None and frame.ir_unlit.mean() >= DARK_GREY else frame.ir_lit
    if ir is None:
        return []
    part = cv2.medianBlur(np.ascontiguousarray(ir[region.y0 : region.y1, region.x0 : region.x1]), 5)
    face_px = FACE_WIDTH_MM * frame.calibration.depth.fx_px / region.z_mm
    return [(region.x0 + x, region.y0 + y, w, h) for x, y, w, h in _cascade_boxes(part, face_px)]


def _cascade_boxes(grey: U8, face_px: float) -> list[tuple[float, float, float, float]]:
    """Cascade hits (x, y, w, h) between 0.65 and 1.45 times the expected face width."""
    scale = min(1.0, WORKING_FACE_PX / face_px)
    small = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1 else grey
    small = cv2.equalizeHist(small)
    low, high = (max(20, round(face_px * scale * f)) for f in (0.65, 1.45))
    hits = _cascade().detectMultiScale(small, scaleFactor=1.1, minNeighbors=3, minSize=(low, low), maxSize=(high, high))
    return [(float(x / scale), float(y / scale), float(w / scale), float(h / scale)) for x, y, w, h in hits]


def _distinct(faces: list[FaceBox]) -> list[FaceBox]:
    """Drop boxes that overlap a nearer one: regions overlap, faces do not."""
    kept: list[FaceBox] = []
    for face in faces:
        if all(face.iou(other) < 0.3 for other in kept):
            kept.append(face)
    return kept


def _depth_to_color(cal: Calibration, points_px: npt.NDArray[np.float64], z_mm: float) -> npt.NDArray[np.float64]:
    """(n, 2) pixels of the depth grid at distance z to pixels of the colour grid, distortion left out."""
    d, c = cal.depth, cal.color
    rays = np.column_stack(
        [(points_px[:, 0] - d.ppx_px) / d.fx_px, (points_px[:, 1] - d.ppy_px) / d.fy_px, np.ones(len(points_px))]
    )
    moved = z_mm * rays @ _rotation(cal).T + np.array(cal.depth_to_color.translation_mm)
    return np.column_stack(
        [moved[:, 0] / moved[:, 2] * c.fx_px + c.ppx_px, moved[:, 1] / moved[:, 2] * c.fy_px + c.ppy_px]
    )


def _color_to_depth(cal: Calibration, points_px: npt.NDArray[np.float64], z_mm: float) -> npt.NDArray[np.float64]:
    """The inverse at the same depth-camera distance z: the ray of the colour pixel meets the plane Z = z."""
    d, c = cal.depth, cal.color
    rotation, t = _rotation(cal), np.array(cal.depth_to_color.translation_mm)
    rays = np.column_stack(
        [(points_px[:, 0] - c.ppx_px) / c.fx_px, (points_px[:, 1] - c.ppy_px) / c.fy_px, np.ones(len(points_px))]
    )
    directions, origin = rays @ rotation, -t @ rotation  # row vectors: v @ R is R^T v
    points = origin + directions * ((z_mm - origin[2]) / directions[:, 2:])
    return np.column_stack([points[:, 0] / z_mm * d.fx_px + d.ppx_px, points[:, 1] / z_mm * d.fy_px + d.ppy_px])


def _rotation(cal: Calibration) -> npt.NDArray[np.float64]:
    return np.array(cal.depth_to_color.rotation).reshape(3, 3)


@lru_cache(maxsize=1)
def _cascade() -> cv2.CascadeClassifier:
    """alt2 keeps more of the faces under projector dots than the default cascade does at equal scale steps."""
    return cv2.CascadeClassifier(str(Path(cv2.data.haarcascades) / "haarcascade_frontalface_alt2.xml"))
