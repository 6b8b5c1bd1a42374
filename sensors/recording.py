"""Record a camera to a .db3 file with librealsense's own recorder."""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from edgefas.errors import UsageError
from edgefas.sensors.open import open_source
from edgefas.sensors.simulated import Progress
from edgefas.sensors.source import CameraError

_RESERVE_BYTES = 16 << 20
"""Recording stops when less is free: librealsense drops frames silently on a full disk."""
_FLUSH_S = 5.0


@dataclass(frozen=True)
class Recording:
    """A finished file."""

    path: Path
    framesets: int
    """What the file holds; with an alternating emitter two make one Frame."""
    seconds: float
    """Of device time, from the first Frame to the last."""
    size_bytes: int


def record(
    source: str,
    path: Path,
    *,
    seconds: float | None = None,
    frames: int | None = None,
    force: bool = False,
    stopped: Callable[[], bool] = lambda: False,
    progress: Callable[[float, int], None] | None = None,
    rendering: Progress | None = None,
    profile: str | None = None,
) -> Recording:
    """Record until `seconds` of device time or `frames` have passed, or `stopped()`; the file appears when complete.

    Args:
        source: a camera, as `open_source` takes it.
        path: the .db3 file to make.
        seconds: how long, in the camera's own time.
        frames: how many Frames.
        force: replace an existing file.
        stopped: asked after each Frame; True ends the recording and keeps it.
        progress: told (seconds so far, Frames so far) after each Frame.
        rendering: told about the rendering of a simulated camera.
        profile: as `open_source` takes it.

    Raises:
        UsageError: wrong suffix, a file that exists, or neither a positive `seconds` nor `frames`.
        CameraError: the camera fails, or the file cannot be written whole; nothing is left behind.
    """
    # librealsense insists on the suffix
    unfinished = path.with_name(f".{path.stem}.{os.getpid()}.partial.db3")
    try:
        _check_request(path, seconds, frames, force)
        unfinished.touch()  # fails here, and not deep inside librealsense
        unfinished.unlink()
        _check_space(path.parent)
        shown, length_s = _capture(source, unfinished, seconds, frames, stopped, progress, rendering, profile)
        framesets = _wait_for_framesets(unfinished, shown)
        _sync(unfinished)
        os.replace(unfinished, path)
    except OSError as error:
        raise CameraError(f"cannot write {path}: {error.strerror}") from None
    finally:
        for left in (unfinished, unfinished.with_name(f"{unfinished.name}-journal")):
            with suppress(OSError):  # a name too long for one, or the folder has gone
                left.unlink(missing_ok=True)
    return Recording(path, framesets, length_s, path.stat().st_size)


def _check_request(path: Path, seconds: float | None, frames: int | None, force: bool) -> None:
    if path.suffix != ".db3":
        raise UsageError(f"{path}: recordings are .db3 files; try: {path.with_suffix('.db3')}")
    if seconds is None and frames is None:
        raise UsageError("say how long to record: --seconds S or --frames N")
    if seconds is not None and not 0 < seconds <= 86_400:
        raise UsageError(f"seconds is {seconds:g}, must be > 0 and at most 86400")
    if frames is not None and frames < 1:
        raise UsageError(f"frames is {frames}, must be at least 1")
    if path.is_dir():
        raise UsageError(f"{path} is a folder; give the name of a .db3 file")
    if path.exists() and not force:
        raise UsageError(f"{path} exists; choose another name, or replace it with --force")
    if not path.parent.is_dir():
        raise CameraError(f"cannot write {path}: no such folder: {path.parent}; make it with: mkdir -p {path.parent}")


def _check_space(folder: Path) -> None:
    free = shutil.disk_usage(folder).free
    if free < _RESERVE_BYTES:
        raise CameraError(
            f"the disk of {folder} is full: {free >> 20} MiB free, {_RESERVE_BYTES >> 20} MiB are kept in reserve; "
            "free some space (640x480 takes up to 2 MB a frame), or record elsewhere"
        )


def _capture(
    source: str,
    path: Path,
    seconds: float | None,
    frames: int | None,
    stopped: Callable[[], bool],
    progress: Callable[[float, int], None] | None,
    rendering: Progress | None,
    profile: str | None,
) -> tuple[int, float]:
    """Run the camera; gives the number of Frames seen and the seconds of device time they span."""
    with open_source(source, record_to=path, progress=rendering, profile=profile) as camera:
        first_ns, length_s, seen = None, 0.0, 0
        for frame in camera:
            first_ns = frame.device_ns if first_ns is None else first_ns
            length_s, seen = (frame.device_ns - first_ns) / 1e9, seen + 1
            if progress is not None:
                progress(length_s, seen)
            if stopped() or (frames is not None and seen >= frames):
                break
            if seconds is not None and length_s >= seconds:
                break
            _check_space(path.parent)
        return seen, length_s


def _wait_for_framesets(path: Path, shown: int) -> int:
    """How many framesets the file holds, once it holds all that were shown.

    librealsense's writer thread finishes after the pipeline has stopped; and when the disk is full, it logs, drops
    frames and says nothing to the caller, so that the file itself is the only witness.
    """
    deadline = time.monotonic() + _FLUSH_S
    while (held := _count_framesets(path)) < shown:
        if time.monotonic() > deadline:
            raise CameraError(
                f"only {held} of {shown} frames could be written: the disk is full, or a file size limit was reached; "
                "free some space, or record elsewhere"
            )
        time.sleep(0.05)
    return held


def _count_framesets(path: Path) -> int:
    """The smallest count of pictures among the streams."""
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as file:
            rows = file.execute(
                "SELECT count(m.id) FROM topics t LEFT JOIN messages m ON m.topic_id = t.id "
                "WHERE t.name LIKE '%/image/data%' GROUP BY t.id"
            ).fetchall()
    except sqlite3.Error:  # still being written, or broken
        return 0
    return min((count for (count,) in rows), default=0)


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
