"""YuNet, a small face network with landmarks, run by OpenCV on a file that the user brings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from edgefas.contracts import FaceBox
from edgefas.errors import EdgefasError
from edgefas.faces.place import DARK_GREY, F64, color_to_depth, face_at, nearest_first
from edgefas.sensors.frame import Frame

U8 = npt.NDArray[np.uint8]

MAX_BYTES = 16 << 20
"""YuNet has 0.2 MB; a larger file is something else."""
INPUT_WIDTH_PX = 320
"""The picture is scaled to this: a face at 1.1 m is still 40 px wide, and the network costs a quarter."""
MIN_SCORE = 0.7
NMS_IOU = 0.3
MOST_FACES = 32
SIDE_OVER_EYES = 2.3
"""Side of the cascade's square over the distance between the pupils: 150 mm over 65 mm, rounded. A reconstruction."""
DOWN_FROM_EYES = 0.42
"""How far the square's middle lies below the pupils, in distances between them, along the face. A reconstruction."""
MIN_EYES_SHARE = 0.3
"""Pupils closer than this share of the box's width belong to a profile: its box is used as it is."""


START_MM = 600.0
"""Where the search for a face's distance begins."""
_EXPECTED = (
    "expected is YuNet of the OpenCV Zoo, face_detection_yunet_2023mar.onnx (227 KB): a picture in, and the outputs "
    "cls, obj, bbox and kps at strides 8, 16 and 32"
)


class FaceModelError(EdgefasError):
    """The file is no YuNet."""


class YuNet:
    """A detector; looks at colour, or where that is missing or dark at infrared."""

    def __init__(self, path: Path) -> None:
        """Open the network and try it on a black picture.

        Raises:
            FaceModelError: no such file, too large, not ONNX, or not the inputs and outputs of YuNet (2023 or later).
        """
        try:
            with path.open("rb") as file:
                content = file.read(MAX_BYTES + 1)
        except OSError as error:
            raise FaceModelError(f"{path}: {error.strerror}; {_EXPECTED}") from None
        if len(content) > MAX_BYTES:
            raise FaceModelError(f"{path}: larger than {MAX_BYTES >> 20} MB; {_EXPECTED}")
        if not content:
            raise FaceModelError(f"{path}: empty; {_EXPECTED}")
        size = (INPUT_WIDTH_PX, INPUT_WIDTH_PX * 3 // 4)
        log_level = cv2.utils.logging.getLogLevel()
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # else OpenCV prints the error
        try:
            self._net = cv2.FaceDetectorYN.create(
                "onnx", np.frombuffer(content, np.uint8), np.zeros(0, np.uint8), size, MIN_SCORE, NMS_IOU, MOST_FACES
            )
            self._net.detect(np.zeros((size[1], size[0], 3), np.uint8))
        except cv2.error as error:
            raise FaceModelError(f"{path}: {_told(error)}; {_EXPECTED}") from None
        finally:
            cv2.utils.logging.setLogLevel(log_level)
        self._size = size

    def __call__(self, frame: Frame, near: Sequence[FaceBox] = (), /) -> list[FaceBox]:
        """All faces: the network sees the whole picture at once, so `near` saves nothing."""
        if frame.depth is None:
            return []
        picture, colored = _picture(frame)
        if picture is None:
            return []
        scale = INPUT_WIDTH_PX / picture.shape[1]
        size = (INPUT_WIDTH_PX, max(32, round(picture.shape[0] * scale)))
        if size != self._size:
            self._net.setInputSize(size)
            self._size = size
        _, rows = self._net.detect(cv2.resize(picture, size, interpolation=cv2.INTER_AREA))
        if rows is None:
            return []
        placed = (_place(row[:14].astype(np.float64) / scale, frame, colored) for row in rows if np.isfinite(row).all())
        return nearest_first(face for face in placed if face is not None)


def _told(error: cv2.error) -> str:
    """OpenCV's own words without its file and line."""
    text = (getattr(error, "err", "") or str(error)).strip().splitlines()
    return f"OpenCV cannot run it as YuNet ({text[-1][:160] if text else 'no reason given'})"


def _picture(frame: Frame) -> tuple[U8 | None, bool]:
    """(H, W, 3) BGR, and whether it is on the colour grid (else on depth's)."""
    if frame.color is not None and frame.color[::8, ::8].mean() >= DARK_GREY:
        return frame.color[..., ::-1], True
    unlit = frame.ir_unlit
    if unlit is not None and unlit[::8, ::8].mean() >= DARK_GREY:
        return cv2.cvtColor(unlit, cv2.COLOR_GRAY2BGR).astype(np.uint8, copy=False), False
    if frame.ir_lit is None:
        return None, False
    calm = cv2.medianBlur(frame.ir_lit, 5)
    return cv2.cvtColor(calm, cv2.COLOR_GRAY2BGR).astype(np.uint8, copy=False), False


def _place(row: F64, frame: Frame, colored: bool) -> FaceBox | None:
    """A row of YuNet (x, y, w, h, five landmarks) as the square a frontal cascade would return, with its distance."""
    marks = row[4:14].reshape(5, 2)
    corners = _square(row[:4], marks)
    if colored:
        z_mm = _distance(frame, corners)
        if z_mm is None:
            return None
        corners, marks = (color_to_depth(frame.calibration, points, z_mm) for points in (corners, marks))
    (left, top), (right, bottom) = corners
    landmarks = tuple((float(u), float(v)) for u, v in marks)
    return face_at((float(left), float(top), float(right - left), float(bottom - top)), frame, landmarks)


def _square(box: F64, marks: F64) -> F64:
    """Corners of the square: from the eyes, or around the box where the eyes are too close together to tell."""
    x, y, w, h = box
    eyes = marks[1] - marks[0]
    apart = float(np.hypot(*eyes))
    if apart < MIN_EYES_SHARE * w:
        centre, side = np.array([x + w / 2, y + h / 2]), float(max(w, h))
    else:
        down = np.array([-eyes[1], eyes[0]])  # a quarter turn from right eye - left eye points to the chin
        centre, side = marks[:2].mean(0) + DOWN_FROM_EYES * down, SIDE_OVER_EYES * apart
    return np.array([centre - side / 2, centre + side / 2])


def _distance(frame: Frame, corners: F64) -> float | None:
    """Distance of a face of the colour picture.

    Colour and depth see the face from two places, so where to look in depth depends on the depth itself; three rounds
    from a face's typical distance settle it.
    """
    assert frame.depth is not None
    z_mm = START_MM
    for _ in range(3):
        (left, top), (right, bottom) = color_to_depth(frame.calibration, corners, z_mm)
        face = face_at((float(left), float(top), float(right - left), float(bottom - top)), frame, any_size=True)
        if face is None:
            return None
        z_mm = face.median_z_mm
    return z_mm
