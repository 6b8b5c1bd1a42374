"""Video files as a source: one stream, colour or infrared, with the container's own time."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Any

import cv2

from edgefas.sensors.frame import Frame
from edgefas.sensors.pinhole import DEFAULT_FOV_DEG, Role, assumed_calibration, plain_frame
from edgefas.sensors.source import CameraError, CameraIdentity, CameraSource, EndOfStream, SourceStats

log = logging.getLogger(__name__)

SUFFIXES = (".mp4", ".mov", ".avi", ".mkv", ".webm")
_COUNTED = (".mp4", ".mov", ".avi")
"""Containers that store how many frames they hold; of the others OpenCV guesses it from their length."""
_MAGIC = {
    ".mp4": (4, (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide")),
    ".mov": (4, (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide")),
    ".avi": (0, (b"RIFF",)),
    ".mkv": (0, (b"\x1a\x45\xdf\xa3",)),
    ".webm": (0, (b"\x1a\x45\xdf\xa3",)),
}


class VideoSource(CameraSource):
    """Gives every frame of a video file once, in order."""

    live = False

    def __init__(self, path: Path, *, role: Role = "rgb", fov_deg: float = DEFAULT_FOV_DEG) -> None:
        """Open it.

        Args:
            path: a file with one of `SUFFIXES`.
            role: what its pictures are.
            fov_deg: horizontal field of view that is assumed.

        Raises:
            CameraError: no such file, no video, or no decoder for it.
        """
        _check(path)
        self._path, self._role = path, role
        self._video = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
        width, height = (round(self._video.get(key)) for key in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
        if not self._video.isOpened() or width < 1 or height < 1:
            self._video.release()
            raise CameraError(f"{path} cannot be played: it is damaged or cut short, or this OpenCV has no decoder")
        self._calibration = assumed_calibration(width, height, fov_deg)
        self._fps = _positive(self._video.get(cv2.CAP_PROP_FPS), 30.0)
        self._promised = round(self._video.get(cv2.CAP_PROP_FRAME_COUNT))
        self._delivered, self._last_ns = 0, -1

    def read(self, timeout_s: float = 1.0) -> Frame:
        """The next frame. `device_ns` is the container's time, `host_ns` that of this call.

        Raises:
            EndOfStream: the video has ended, or is closed.
            CameraError: it breaks off before the end, or a picture cannot be used.
        """
        arrived, picture = self._video.read()
        if not arrived:
            self._check_whole()
            raise EndOfStream(f"{self._path}: end of the video")
        number = self._delivered + 1
        try:
            frame = plain_frame(
                picture,
                self._role,
                self._calibration,
                number=number,
                device_ns=self._time_ns(),
                clock="hardware",
                host_ns=time.monotonic_ns(),
                camera=self._path.name,
            )
        except ValueError as error:
            raise CameraError(f"{self._path}, frame {number}: {error}") from None
        self._delivered, self._last_ns = number, frame.device_ns
        return frame

    def stats(self) -> SourceStats:
        """See `CameraSource.stats`."""
        return SourceStats(delivered=self._delivered)

    def identity(self) -> CameraIdentity:
        """See `CameraSource.identity`; the file's name stands for a serial number."""
        return CameraIdentity(serial=self._path.name, name=self._path.name, driver="file")

    def close(self) -> None:
        """See `CameraSource.close`."""
        self._promised = 0
        self._video.release()

    def _time_ns(self) -> int:
        """The container's time; the frame rate counts on where it has none, or where it does not go forward."""
        stated_ns = round(self._video.get(cv2.CAP_PROP_POS_MSEC) * 1e6)
        if self._last_ns < 0:
            return max(0, stated_ns)
        return stated_ns if stated_ns > self._last_ns else self._last_ns + round(1e9 / self._fps)

    def _check_whole(self) -> None:
        """FFmpeg plays the beginning of a damaged file, and then says that it has ended."""
        if self._delivered >= self._promised:
            return
        told = f"{self._path} breaks off: {self._delivered} frames of {self._promised}"
        self._promised = 0
        if self._path.suffix.lower() in _COUNTED:
            raise CameraError(f"{told}; copy it again")
        log.warning("%s, as far as its length tells", told)


def _check(path: Path) -> None:
    offset, magics = _MAGIC.get(path.suffix.lower(), (0, ()))
    if not magics:
        raise CameraError(f"{path} is no video that edgefas plays; allowed: {', '.join(SUFFIXES)}")
    try:
        with path.open("rb") as file:
            head = file.read(16)
    except FileNotFoundError:
        raise CameraError(f"no such video: {path}") from None
    except OSError as error:
        raise CameraError(f"cannot read {path}: {error.strerror}") from None
    # FFmpeg goes by content, and would follow a playlist that calls itself a video to other files
    if not head[offset:].startswith(magics):
        raise CameraError(f"{path} is not a video: its first bytes are not those of a {path.suffix} file")


def _positive(value: Any, otherwise: float) -> float:
    return float(value) if 0 < value < 1000 else otherwise
