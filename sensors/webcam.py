"""`v4l2:N`: any camera with a Linux driver, for colour or infrared alone."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2

from edgefas.sensors.frame import Calibration, Frame
from edgefas.sensors.pinhole import DEFAULT_FOV_DEG, Role, assumed_calibration, plain_frame
from edgefas.sensors.slot import FrameSlot
from edgefas.sensors.source import CameraError, CameraIdentity, CameraLost, CameraSource, SourceStats
from edgefas.sensors.v4l2 import SYSFS, read_facts, virtual_reason

log = logging.getLogger(__name__)

FORMATS = ("MJPG", "YUYV", "UYVY", "NV12", "YU12", "GREY", "RGB3", "BGR3", "H264")
"""Pixel formats that may be asked for; OpenCV's V4L2 reader decodes them to 8 bits."""
DEV = Path("/dev")
_CLOSE_S = 3.0
_FRESH_NS = 5_000_000_000


@dataclass(frozen=True)
class WebcamOptions:
    """What may follow `v4l2:DEVICE`."""

    role: Role = "rgb"
    fov_deg: float = DEFAULT_FOV_DEG
    size_px: tuple[int, int] | None = None
    """None: what the camera gives by itself."""
    fps: int | None = None
    pixel_format: str | None = None
    allow_virtual: bool = False


@dataclass(frozen=True)
class Patience:
    """How long a camera that gives nothing is opened again and again before it is lost."""

    give_up_s: float = 20.0
    backoff_max_s: float = 5.0


class WebcamSource(CameraSource):
    """One capture thread, one slot, the newest frame wins. Lost frames cannot be counted: V4L2's numbers end here."""

    live = True

    def __init__(
        self,
        device: str,
        options: WebcamOptions = WebcamOptions(),
        *,
        patience: Patience = Patience(),
        sysfs: Path = SYSFS,
    ) -> None:
        """Open it.

        Args:
            device: "0", "/dev/video0" or a link to it, such as those in /dev/v4l/by-id.
            options: see `WebcamOptions`.
            patience: when to give up.
            sysfs: where sysfs is mounted.

        Raises:
            CameraError: no such device, no permission, in use, virtual, or not with this size, rate or format.
        """
        self._path = DEV / f"video{device}" if device.isascii() and device.isdigit() else Path(device)
        node = f"video{device}" if device.isdigit() else device
        self._options, self._patience = options, patience
        check_device(self._path, sysfs)
        reason = None if options.allow_virtual else virtual_reason(node, sysfs)
        if reason is not None:
            raise CameraError(
                f"{self._path} is no physical camera ({reason}); for a test: --camera v4l2:{device},allow_virtual"
            )
        self._facts = read_facts(node, sysfs)
        self._counts: Counter[str] = Counter()
        self._slot = FrameSlot(str(self._path), self._counts, newest_wins=True)
        self._closing = self._slot.closing
        self._number = 0
        self._video = self._open()
        self._thread = threading.Thread(target=self._run, name=f"edgefas {self._path}", daemon=True)
        self._thread.start()

    def read(self, timeout_s: float = 1.0) -> Frame:
        """See `CameraSource.read`."""
        return self._slot.take(timeout_s)

    def stats(self) -> SourceStats:
        """See `CameraSource.stats`."""
        return SourceStats(**self._counts)

    def video_devices(self) -> tuple[Path, ...]:
        """See `CameraSource.video_devices`; none where a virtual one was asked for."""
        return () if self._options.allow_virtual else (self._path,)

    def identity(self) -> CameraIdentity:
        """See `CameraSource.identity`; a camera without a serial number is told by its port."""
        return CameraIdentity(
            serial=self._facts.identity, product_line=self._facts.driver, name=self._facts.name, driver="v4l2"
        )

    def close(self) -> None:
        """See `CameraSource.close`."""
        self._slot.close()
        self._thread.join(_CLOSE_S)
        if self._thread.is_alive():  # deep inside OpenCV, which waits up to 10 s for a silent camera
            log.warning("%s: OpenCV did not come back within %g s; left behind", self._path, _CLOSE_S)

    def _open(self) -> Any:
        video = cv2.VideoCapture(str(self._path), cv2.CAP_V4L2)
        try:
            if not video.isOpened():
                raise CameraError(f"{self._path} cannot be opened; {why_not(self._path)}")
            self._calibration = configure(video, self._path, self._options)
        except CameraError:
            video.release()
            raise
        return video

    def _run(self) -> None:
        try:
            self._capture()
        except CameraError as error:
            end = error
        except Exception as error:  # whatever happens in this thread must reach the reader
            log.debug("capture thread of %s", self._path, exc_info=True)
            end = CameraLost(f"{self._path}: {error}")
        else:
            end = CameraLost(f"{self._path}: closed")
        self._video.release()
        self._slot.end(end)

    def _capture(self) -> None:
        seen_s, backoff_s = time.monotonic(), 0.25
        while not self._closing.is_set():
            arrived, picture = self._video.read()
            if arrived:
                self._slot.put(self._frame(picture))
                seen_s, backoff_s = time.monotonic(), 0.25
                continue
            if not self._path.exists():
                raise CameraLost(f"{self._path} is gone: unplugged, or reset; plug it in and start again")
            if time.monotonic() - seen_s > self._patience.give_up_s:
                raise CameraLost(f"{self._path}: no frame for {self._patience.give_up_s:g} s; {why_not(self._path)}")
            self._counts["restarts"] += 1
            self._video.release()
            self._closing.wait(backoff_s)
            backoff_s = min(2 * backoff_s, self._patience.backoff_max_s)
            try:
                self._video = self._open()
            except CameraError as error:
                log.warning("%s", error)

    def _frame(self, picture: Any) -> Frame:
        now_ns = time.monotonic_ns()
        # uvcvideo stamps with the host's monotonic clock; a driver that does not gives something far from it
        stamp_ns = round(self._video.get(cv2.CAP_PROP_POS_MSEC) * 1e6)
        taken_ns = stamp_ns if 0 <= now_ns - stamp_ns < _FRESH_NS else now_ns
        self._number += 1
        return plain_frame(
            picture,
            self._options.role,
            self._calibration,
            number=self._number,
            device_ns=taken_ns,
            clock="system",
            host_ns=taken_ns,
            camera=self._facts.identity,
        )


def check_device(path: Path, sysfs: Path = SYSFS) -> None:
    """Refuse what OpenCV would fail on without a word.

    Raises:
        CameraError: no such device, no device at all, or no permission.
    """
    if not path.exists():
        found = sorted(entry.name for entry in (sysfs / "class" / "video4linux").glob("video*"))
        there = ", ".join(f"/dev/{name}" for name in found) or "none; plug a camera in"
        raise CameraError(f"no such camera: {path}; there are: {there}")
    if not path.is_char_device():
        raise CameraError(f"{path} is no camera; write v4l2:0 or v4l2:/dev/video0 (a video file needs no prefix)")
    if not os.access(path, os.R_OK | os.W_OK):
        raise CameraError(
            f"no permission for {path}: it belongs to the group video; "
            "join it with: sudo usermod -aG video $USER, and log in again"
        )


def configure(video: Any, path: Path, options: WebcamOptions) -> Calibration:
    """Ask for format, size and rate, and take no other size or format for an answer.

    Raises:
        CameraError: the camera gives something else; says what it gives.
    """
    if options.pixel_format is not None:  # first: it decides which sizes there are
        video.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*options.pixel_format))
    if options.size_px is not None:
        video.set(cv2.CAP_PROP_FRAME_WIDTH, options.size_px[0])
        video.set(cv2.CAP_PROP_FRAME_HEIGHT, options.size_px[1])
    if options.fps is not None:
        video.set(cv2.CAP_PROP_FPS, options.fps)
    size = (round(video.get(cv2.CAP_PROP_FRAME_WIDTH)), round(video.get(cv2.CAP_PROP_FRAME_HEIGHT)))
    code = _fourcc(video.get(cv2.CAP_PROP_FOURCC))
    offers = f"see what it offers: v4l2-ctl -d {path} --list-formats-ext"
    if options.size_px not in (None, size):
        raise CameraError(f"{path} gives {_size(size)}, not {_size(options.size_px)}; {offers}")
    if options.pixel_format not in (None, code):
        raise CameraError(f"{path} gives pixel format {code}, not {options.pixel_format}; {offers}")
    if min(size) < 1:
        raise CameraError(f"{path} gives pictures of {_size(size)} pixels; {offers}")
    rate = video.get(cv2.CAP_PROP_FPS)
    if options.fps is not None and rate and abs(rate - options.fps) > 1:
        raise CameraError(f"{path} gives {rate:g} frames a second, not {options.fps}; {offers}")
    return assumed_calibration(*size, options.fov_deg)


def why_not(path: Path, proc: Path = Path("/proc")) -> str:
    """The likely cause why a device that exists gives nothing, and what to do."""
    users = owners(path, proc)
    if users:
        return f"in use by {', '.join(users)}; close that program"
    return (
        "it may be in use, be no capture device (cameras have several nodes, often the even one gives pictures: "
        f"v4l2-ctl --list-devices), or have a pixel format that OpenCV cannot read: v4l2-ctl -d {path} --list-formats"
    )


def owners(path: Path, proc: Path = Path("/proc")) -> list[str]:
    """Other processes that hold the device open, as "name (pid)"; those of other users can be seen by root only."""
    found = []
    for process in sorted(proc.glob("[0-9]*"), key=lambda entry: int(entry.name)):
        try:
            held = any(os.readlink(handle) == str(path) for handle in (process / "fd").iterdir())
            if held and process.name != str(os.getpid()):
                found.append(f"{(process / 'comm').read_text().strip()} ({process.name})")
        except OSError:  # it has ended, or is another user's
            continue
    return found


def _size(size_px: tuple[int, int] | None) -> str:
    return "x".join(map(str, size_px or ()))


def _fourcc(value: float) -> str:
    return int(value).to_bytes(4, "little", signed=False).decode("latin-1").strip("\0 ") if value > 0 else "unknown"
