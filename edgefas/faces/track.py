"""Following faces between searches: a small picture of each face is found again near its old place, and keeps its id.

A search costs milliseconds, a match tenths of one. The picture is taken when a detector saw the face and is never
renewed by a match, so an error lasts until the next search and does not grow. What is followed is only where to look:
the network judges every frame.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from edgefas.contracts import FaceBox
from edgefas.faces.haar import detect_faces
from edgefas.faces.place import DARK_GREY, F64, Detector, color_to_depth, depth_to_color, face_at
from edgefas.faces.yunet import YuNet
from edgefas.sensors.frame import Frame

U8 = npt.NDArray[np.uint8]
Kind = Literal["color", "infrared"]

SEARCH_EVERY_NS = 330_000_000
"""Device time between full searches: a newcomer is seen within a third of a second. (Not counted in frame numbers:
with an alternating projector all numbers of a stream can be odd.)"""
FORGET_NS = 500_000_000
"""A face out of sight for longer is another face when it comes back."""
SAME_IOU = 0.2
SAME_DEPTH_MM = 200.0
PATCH_PX = 32
"""Side of the remembered picture of a face."""
MARGIN = 0.4
"""How far a face may move between two frames, in face widths: 1.8 m/s at 30 frames a second."""
MIN_CORRELATION = 0.8


@dataclass(frozen=True, eq=False)
class Patch:
    """A face's picture, (PATCH_PX, PATCH_PX) uint8, and what it is cut from."""

    picture: U8
    kind: Kind


@dataclass(frozen=True, eq=False)
class Track:
    """One face over time."""

    id: int
    face: FaceBox
    seen_ns: int
    patch: Patch | None = None
    detected: FaceBox | None = None
    """The box that `patch` was cut from."""


@dataclass(frozen=True, eq=False)
class Tracks:
    """All faces seen lately; pass it from frame to frame."""

    known: tuple[Track, ...] = ()
    now_ns: int = 0
    searched_ns: int | None = None
    next_id: int = 1

    @property
    def visible(self) -> tuple[Track, ...]:
        """Those seen in the newest frame, nearest first."""
        return tuple(
            sorted((t for t in self.known if t.seen_ns == self.now_ns), key=lambda track: track.face.median_z_mm)
        )


def follow(tracks: Tracks, frame: Frame, detect: Detector) -> Tracks:
    """Find the faces of the next frame: by matching where that is known to do, else by `detect`.

    Only detectors that search pictures are spared; any other is asked for every frame.
    """
    now_ns = frame.device_ns
    known = tuple(t for t in tracks.known if 0 <= now_ns - t.seen_ns <= FORGET_NS)
    tracks = replace(tracks, known=known)
    in_sight = tuple(t for t in known if t.seen_ns == tracks.now_ns)
    due = tracks.searched_ns is None or not 0 <= now_ns - tracks.searched_ns < SEARCH_EVERY_NS
    if detect is not detect_faces and not isinstance(detect, YuNet):
        return _take_in(tracks, detect(frame, ()), frame, searched=True, patches=False)
    if in_sight and not due:
        moved = [(t, _match(t, frame)) for t in in_sight]
        lost = [t.face for t, face in moved if face is None]
        kept = tuple(replace(t, face=face, seen_ns=now_ns) for t, face in moved if face is not None)
        kept_ids = {t.id for t in kept}
        followed = replace(tracks, known=(*kept, *(t for t in known if t.id not in kept_ids)))
        if not lost:
            return replace(followed, now_ns=now_ns)
        found = [f for f in detect(frame, lost) if all(f.iou(t.face) < SAME_IOU for t in kept)]
        if len(found) >= len(lost):
            return _take_in(followed, found, frame, searched=False)
    return _take_in(tracks, detect(frame, ()), frame, searched=True)


def _take_in(tracks: Tracks, faces: Iterable[FaceBox], frame: Frame, *, searched: bool, patches: bool = True) -> Tracks:
    """Give each detected face the id of the known one it overlaps most, or a new id."""
    now_ns, next_id = frame.device_ns, tracks.next_id
    faces = list(faces)
    pairs = sorted(
        ((t.face.iou(f), t.id, place) for t in tracks.known for place, f in enumerate(faces) if _same(t.face, f)),
        reverse=True,
    )
    ids: dict[int, int] = {}
    for _, track_id, place in pairs:
        if place not in ids and track_id not in ids.values():
            ids[place] = track_id
    seen = []
    for place, face in enumerate(faces):
        if place not in ids:
            ids[place], next_id = next_id, next_id + 1
        seen.append(Track(ids[place], face, now_ns, _cut(frame, face) if patches else None, face))
    rest = tuple(t for t in tracks.known if t.id not in ids.values())
    return Tracks((*seen, *rest), now_ns, now_ns if searched else tracks.searched_ns, next_id)


def _same(old: FaceBox, new: FaceBox) -> bool:
    return old.iou(new) >= SAME_IOU and abs(old.median_z_mm - new.median_z_mm) <= SAME_DEPTH_MM


def _match(track: Track, frame: Frame) -> FaceBox | None:
    """The tracked face in this frame, its size from its distance; None where the picture is not found again."""
    patch, then, old = track.patch, track.detected, track.face
    if patch is None or then is None:
        return None
    here = face_at((old.x_px, old.y_px, old.width_px, old.height_px), frame, any_size=True)
    z_mm = old.median_z_mm if here is None else here.median_z_mm
    grown = then.median_z_mm / z_mm
    width_px, height_px = then.width_px * grown, then.height_px * grown
    (cx, cy), (dx, dy) = old.centre_px, (width_px * (0.5 + MARGIN), height_px * (0.5 + MARGIN))
    window = _look(frame, np.array([[cx - dx, cy - dy], [cx + dx, cy + dy]]), z_mm, 1 + 2 * MARGIN, patch.kind)
    if window is None:
        return None
    picture, corners = window
    fit = cv2.matchTemplate(picture, patch.picture, cv2.TM_CCOEFF_NORMED)
    _, best, _, (x, y) = cv2.minMaxLoc(fit)
    if not best >= MIN_CORRELATION:  # also where a flat picture gives NaN
        return None
    at = np.array([[x + _summit(fit[y], x), y + _summit(fit[:, x], y)]]) + PATCH_PX / 2
    share = at / np.array(picture.shape[::-1])
    centre = corners[:1] + share * (corners[1:] - corners[:1])
    if patch.kind == "color":
        centre = color_to_depth(frame.calibration, centre, z_mm)
    x_px, y_px = (float(v) for v in centre[0] - np.array([width_px, height_px]) / 2)
    marks = then.landmarks_px
    if marks is not None:
        marks = tuple((x_px + (u - then.x_px) * grown, y_px + (v - then.y_px) * grown) for u, v in marks)
    return face_at((x_px, y_px, width_px, height_px), frame, marks)


def _cut(frame: Frame, face: FaceBox) -> Patch | None:
    corners = np.array([[face.x_px, face.y_px], [face.x_px + face.width_px, face.y_px + face.height_px]])
    kinds: tuple[Kind, ...] = ("color", "infrared")
    for kind in kinds:
        seen = _look(frame, corners, face.median_z_mm, 1.0, kind)
        if seen is not None and float(seen[0].mean()) >= DARK_GREY:
            return Patch(seen[0], kind)
    return None


def _look(frame: Frame, corners: F64, z_mm: float, widths: float, kind: Kind) -> tuple[U8, F64] | None:
    """A grey picture of a rectangle of the depth grid, a face being PATCH_PX wide, and its corners on its own grid.

    Of infrared only the unlit picture serves: dots hardly move with the face and would hold the match in place.
    """
    source = frame.color if kind == "color" else frame.ir_unlit
    if source is None:
        return None
    if kind == "color":
        corners = depth_to_color(frame.calibration, corners, z_mm)
    (x0, y0), (x1, y1) = np.round(corners).astype(int)
    if x0 < 0 or y0 < 0 or x1 > source.shape[1] or y1 > source.shape[0] or min(x1 - x0, y1 - y0) < PATCH_PX // 2:
        return None  # at the edge of the picture the detector does better
    side = round(widths * PATCH_PX)
    step = max(1, min(x1 - x0, y1 - y0) // (2 * side))  # two pixels in each direction make one: more cost time only
    part = np.ascontiguousarray(source[y0:y1:step, x0:x1:step])
    grey = cv2.cvtColor(part, cv2.COLOR_RGB2GRAY) if kind == "color" else part
    small: U8 = cv2.resize(grey, (side, side), interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
    return small, np.array([[x0, y0], [x1, y1]], np.float64)


def _summit(line: npt.NDArray[np.float32], at: int) -> float:
    """Offset of a parabola's summit through the best fit and its neighbours, -0.5 to 0.5 px."""
    if not 0 < at < len(line) - 1:
        return 0.0
    left, middle, right = (float(v) for v in line[at - 1 : at + 2])
    bend = left - 2 * middle + right
    return 0.5 * (left - right) / bend if bend < 0 else 0.0
