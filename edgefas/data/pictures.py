"""Pictures and videos of a data set, read within bounds: what a header promises is judged before anything is decoded.

Files of data sets come from downloads and archives; some are cut short, and a few bytes can ask for gigabytes.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from edgefas.data.sample import DataError
from edgefas.files import read_at_most

Picture = npt.NDArray[Any]
"""rgb: (H, W, 3) uint8 in the order R, G, B; any other modality: (H, W) uint8 or uint16."""

MAX_PIXELS = 50_000_000
MAX_BYTES = 128 << 20
"""Of a picture's file."""
MAX_FRAMES = 100_000
"""Of a video: an hour at 28 frames a second."""
_PNG, _BMP, _JPEG = b"\x89PNG\r\n\x1a\n", b"BM", b"\xff\xd8"
_START_OF_FRAME = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_STANDALONE = {0x01, *range(0xD0, 0xD8)}


def read_picture(path: Path, modality: str) -> Picture:
    """Read one picture; of infrared and depth stored as colour (JPEG), its grey.

    Raises:
        DataError: no such file, no JPEG, PNG or BMP, cut short, broken, or larger than `MAX_PIXELS`.
    """
    try:
        data = read_at_most(path, MAX_BYTES)
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from None
    size = picture_size(data)
    if size is None:
        raise DataError(f"{path} is no JPEG, PNG or BMP picture, or its header is broken ({len(data)} bytes)")
    check_size(path, *size)
    if _is_cut(data):
        raise DataError(f"{path} is cut short: {len(data)} bytes, and the end of the picture is not among them")
    flags = cv2.IMREAD_COLOR if modality == "rgb" else cv2.IMREAD_GRAYSCALE | cv2.IMREAD_ANYDEPTH
    try:
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as error:
        raise DataError(f"{path} cannot be decoded: {error.err}") from None
    if picture is None:
        raise DataError(f"{path} cannot be decoded, though its header is that of a {size[0]}x{size[1]} picture")
    return cv2.cvtColor(picture, cv2.COLOR_BGR2RGB) if modality == "rgb" else picture


def check_size(path: Path, width_px: int, height_px: int) -> None:
    """Raises: DataError: nothing, or too much, for a picture."""
    if not 0 < width_px * height_px <= MAX_PIXELS:
        raise DataError(
            f"{path}: a picture of {width_px}x{height_px} pixels; from 1 to {MAX_PIXELS // 10**6} million are read"
        )


def picture_size(data: bytes) -> tuple[int, int] | None:
    """(width, height) by the header alone; None where there is none that is known."""
    try:
        if data.startswith(_PNG) and data[12:16] == b"IHDR":
            width, height = struct.unpack_from(">II", data, 16)
            return width, height
        if data.startswith(_BMP):
            width, height = struct.unpack_from("<ii", data, 18)
            return width, abs(height)
        return _jpeg_size(data) if data.startswith(_JPEG) else None
    except (struct.error, IndexError):
        return None


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    """Goes from segment to segment up to the one that starts the frame (ITU-T T.81, B.1.1)."""
    at = 2
    while True:
        if data[at] != 0xFF:
            return None
        marker = data[at + 1]
        if marker == 0xFF:  # fill bytes
            at += 1
        elif marker in _STANDALONE:
            at += 2
        elif marker in _START_OF_FRAME:
            height, width = struct.unpack_from(">HH", data, at + 5)
            return width, height
        else:
            at += 2 + struct.unpack_from(">H", data, at + 2)[0]


def _is_cut(data: bytes) -> bool:
    """OpenCV gives a grey rest instead of an error where a JPEG breaks off."""
    if data.startswith(_JPEG):
        return b"\xff\xd9" not in data[-(1 << 16) :]  # cameras write bytes of their own behind the end
    return data.startswith(_PNG) and b"IEND" not in data[-(1 << 16) :]


class Video:
    """Frames of a video file by number; they must be read in rising order."""

    def __init__(self, path: Path, *, upside_down: bool = False) -> None:
        """Open it.

        Raises:
            DataError: no such file, no video, no frames, or too many or too large ones.
        """
        if not os.path.isfile(path):
            raise DataError(f"cannot read {path}: no such file")
        self._path, self._upside_down, self._at = path, upside_down, 0
        self._capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
        # Where the authors say that a video is upside down, the container's word would turn it back once more.
        self._capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, float(not upside_down))
        count = self._capture.get(cv2.CAP_PROP_FRAME_COUNT) if self._capture.isOpened() else 0.0
        if not 1 <= count <= MAX_FRAMES:
            self.close()
            raise DataError(f"{path} is no video, or says that it has {count:.0f} frames; 1 to {MAX_FRAMES} are read")
        try:
            check_size(
                path, *(int(self._capture.get(p)) for p in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
            )
        except DataError:
            self.close()
            raise
        self.keys: Sequence[int] = range(int(count))

    def read(self, number: int) -> Picture:
        """(H, W, 3) uint8, RGB.

        Raises:
            DataError: the video breaks off before.
        """
        while self._at < number and self._capture.grab():
            self._at += 1
        ok, frame = self._capture.read() if self._at == number else (False, None)
        if not ok or frame is None:
            raise DataError(f"{self._path} breaks off at frame {self._at} of {len(self.keys)}; fetch it again")
        self._at += 1
        rgb = cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
        return np.ascontiguousarray(rgb[::-1, ::-1]) if self._upside_down else rgb

    def close(self) -> None:
        """Release the file."""
        self._capture.release()
