"""Record a camera to a .db3 file with librealsense's own recorder, and write down what it shows.

Two files make a recording: `OUT.db3` and `OUT.json`. Both are written under hidden names; `OUT.json` takes its name
first and `OUT.db3` last, so that whoever sees a recording sees its label, too. What a full disk, a size limit or a
lost camera cuts short is kept, and said.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import edgefas
from edgefas.errors import UsageError
from edgefas.sensors.notes import Ended, RecordingNotes, Shown, notes_path, now_aware
from edgefas.sensors.open import open_source
from edgefas.sensors.realsense.camera import Uncompressed
from edgefas.sensors.simulated import Progress
from edgefas.sensors.source import CameraError, CameraIdentity, CameraSource, EndOfStream

_RESERVE_BYTES = 16 << 20
"""Recording stops when less is free: librealsense drops frames silently on a full disk."""
_NOTES_BYTES = 16 << 10
"""Written before the recording begins, so that the notes fit on a disk that has filled meanwhile."""
_FLUSH_S = 5.0
_STUCK_S = 10.0
"""A file that has not grown for so long, while frames came, will not grow any more."""
_SILENCE_S = 10.0


@dataclass(frozen=True)
class Limits:
    """When to stop; whatever comes first."""

    seconds: float | None = None
    """Of device time."""
    frames: int | None = None
    max_size_bytes: int | None = None
    """The recording ends when its file has grown to this; what librealsense still holds is written after that."""


@dataclass(frozen=True)
class Recording:
    """A finished file."""

    path: Path
    notes: RecordingNotes
    framesets: int
    """What the file holds; with an alternating emitter two make one Frame."""
    seconds: float
    """Of device time, from the first Frame to the last."""
    size_bytes: int
    trouble: str | None = None
    """Why it is shorter than asked; None when it is not."""


@dataclass(frozen=True)
class _Captured:
    """What the capture saw."""

    frames: int
    framesets: int
    """At least so many must be in the file."""
    seconds: float
    ended: Ended
    camera: CameraIdentity
    trouble: str | None = None


def record(
    source: str,
    path: Path,
    *,
    limits: Limits,
    shown: Shown = Shown(),
    compress: bool = True,
    force: bool = False,
    stopped: Callable[[], bool] = lambda: False,
    progress: Callable[[float, int], None] | None = None,
    rendering: Progress | None = None,
    profile: str | None = None,
) -> Recording:
    """Record until a limit is reached or `stopped()`; recording and notes appear when complete.

    Args:
        source: a camera, as `open_source` takes it.
        path: the .db3 file to make; its notes become the .json beside it.
        limits: at least one.
        shown: label, kind of attack, subject and note.
        compress: zstd, without loss; False takes less CPU time and two to five times the space.
        force: replace an existing recording.
        stopped: asked after each Frame; True ends the recording and keeps it.
        progress: told (seconds so far, Frames so far) after each Frame.
        rendering: told about the rendering of a simulated camera.
        profile: as `open_source` takes it.

    Raises:
        UsageError: wrong suffix, a file that exists, or no positive limit.
        CameraError: the camera cannot be opened, or nothing could be written; nothing is left behind.
    """
    # librealsense insists on the suffix
    unfinished = path.with_name(f".{path.stem}.{os.getpid()}.partial.db3")
    unfinished_notes = unfinished.with_suffix(".json")
    keep = False
    try:
        _check_request(path, limits, force)
        unfinished.touch()  # fails here, and not deep inside librealsense
        unfinished.unlink()
        _check_space(path.parent)
        notes = RecordingNotes(
            shown=shown, source=source, edgefas=edgefas.__version__, started=now_aware(), compressed=compress
        )
        unfinished_notes.write_text(notes.to_json(indent=1).ljust(_NOTES_BYTES))
        target = unfinished if compress else Uncompressed(unfinished)
        with open_source(source, record_to=target, progress=rendering, profile=profile) as camera:
            notes = notes.model_copy(update={"started": now_aware()})
            seen = _capture(camera, unfinished, limits, stopped, progress)
        held = _wait_for_framesets(unfinished, seen.framesets)
        if held == 0:
            raise CameraError(seen.trouble or f"no frame could be written to {path}: {_CANNOT_WRITE}")
        if held < seen.framesets:
            seen = _short(seen, held)
        notes = notes.model_copy(
            update={
                "camera": seen.camera,
                "seconds": seen.seconds,
                "framesets": held,
                "lost": max(0, seen.framesets - held),
                "size_bytes": unfinished.stat().st_size,
                "ended": seen.ended,
            }
        )
        _rewrite(unfinished_notes, notes)
        _sync(unfinished)
        keep = True  # complete: from here on it is never removed
        _publish(unfinished, unfinished_notes, path)
    except OSError as error:
        kept = f"; the recording is complete and kept as {unfinished}" if keep else ""
        raise CameraError(f"cannot write {path}: {error.strerror}{kept}") from None
    finally:
        if not keep:
            for left in (unfinished, unfinished_notes, unfinished.with_name(f"{unfinished.name}-journal")):
                with suppress(OSError):  # a name too long for one, or the folder has gone
                    left.unlink(missing_ok=True)
    return Recording(path, notes, held, seen.seconds, path.stat().st_size, seen.trouble)


_CANNOT_WRITE = (
    "the disk is full, or a file size limit was reached; free some space (640x480 takes up to 2 MB a frame), "
    "or record elsewhere"
)


def _check_request(path: Path, limits: Limits, force: bool) -> None:
    seconds, frames, size = limits.seconds, limits.frames, limits.max_size_bytes
    if path.suffix != ".db3":
        raise UsageError(f"{path}: recordings are .db3 files; try: {path.with_suffix('.db3')}")
    if seconds is None and frames is None and size is None:
        raise UsageError("say how long to record: --seconds S or --frames N, or --max-size 4G")
    if seconds is not None and not 0 < seconds <= 86_400:
        raise UsageError(f"seconds is {seconds:g}, must be > 0 and at most 86400")
    if frames is not None and frames < 1:
        raise UsageError(f"frames is {frames}, must be at least 1")
    if size is not None and size < 1:
        raise UsageError(f"max size is {size} bytes, must be at least 1")
    if path.is_dir():
        raise UsageError(f"{path} is a folder; give the name of a .db3 file")
    for file in (path, notes_path(path)):
        if file.exists() and not force:
            raise UsageError(f"{file} exists; choose another name, or replace it with --force")
    if not path.parent.is_dir():
        raise CameraError(f"cannot write {path}: no such folder: {path.parent}; make it with: mkdir -p {path.parent}")


def _free_bytes(folder: Path) -> int:
    return shutil.disk_usage(folder).free


def _check_space(folder: Path) -> None:
    free = _free_bytes(folder)
    if free < _RESERVE_BYTES:
        raise CameraError(
            f"the disk of {folder} is full: {free >> 20} MiB free, {_RESERVE_BYTES >> 20} MiB are kept in reserve; "
            "free some space (640x480 takes up to 2 MB a frame), or record elsewhere"
        )


def _capture(
    camera: CameraSource,
    path: Path,
    limits: Limits,
    stopped: Callable[[], bool],
    progress: Callable[[float, int], None] | None,
) -> _Captured:
    """Run the camera until something ends it."""
    first_ns, last_serial, seen = None, "", _Captured(0, 0, 0.0, "camera_lost", CameraIdentity())
    size_bytes, grown_s = 0, time.monotonic()
    while True:
        try:
            frame = camera.read(_SILENCE_S)
        except EndOfStream:
            break
        except CameraError as error:  # lost, or silent: what came before it is kept
            seen = replace(seen, ended="camera_lost", trouble=f"the camera was lost: {error}")
            break
        first_ns = frame.device_ns if first_ns is None else first_ns
        last_serial = frame.camera
        seen = replace(
            seen,
            frames=seen.frames + 1,
            framesets=seen.framesets + 1 + (frame.ir_lit is not None and frame.ir_unlit is not None),
            seconds=max(0.0, (frame.device_ns - first_ns) / 1e9),
        )
        if progress is not None:
            progress(seen.seconds, seen.frames)
        now_bytes, now_s = _size(path), time.monotonic()
        if now_bytes > size_bytes:
            size_bytes, grown_s = now_bytes, now_s
        ended = _reached(limits, seen, size_bytes) or ("stopped" if stopped() else None)
        if ended is None and now_s - grown_s > _STUCK_S:  # a card of FAT32 takes no more than 4 GiB, for one
            ended = "write_failed"
            seen = replace(seen, trouble=f"nothing more could be written: {_CANNOT_WRITE}")
        if ended is None and _free_bytes(path.parent) < _RESERVE_BYTES:
            ended, left = "disk_full", _RESERVE_BYTES >> 20
            seen = replace(seen, trouble=f"the disk of {path.parent} is full: less than {left} MiB are free")
        if ended is not None:
            seen = replace(seen, ended=ended)
            break
    camera_now = camera.identity()
    return replace(seen, camera=replace(camera_now, serial=camera_now.serial or last_serial))


def _size(path: Path) -> int:
    return path.stat().st_size


def _reached(limits: Limits, seen: _Captured, size_bytes: int) -> Ended | None:
    if limits.frames is not None and seen.frames >= limits.frames:
        return "frames"
    if limits.seconds is not None and seen.seconds >= limits.seconds:
        return "seconds"
    if limits.max_size_bytes is not None and size_bytes >= limits.max_size_bytes:
        return "max_size"
    return None


def _short(seen: _Captured, held: int) -> _Captured:
    """librealsense could not write all that it showed."""
    trouble = f"only {held} of {seen.framesets} framesets could be written: {_CANNOT_WRITE}"
    # the end is lost: once a write has failed, so do the next
    seconds = seen.seconds * held / seen.framesets
    return replace(seen, ended="write_failed", seconds=seconds, trouble=seen.trouble or trouble)


def _wait_for_framesets(path: Path, shown: int) -> int:
    """How many framesets the file holds: once it holds all that were shown, or has ceased to grow.

    librealsense's writer thread finishes after the pipeline has stopped; and when the disk is full, it logs, drops
    frames and says nothing to the caller, so that the file itself is the only witness.
    """
    held, grown_s = _count_framesets(path), time.monotonic()
    while held < shown and time.monotonic() - grown_s < _FLUSH_S:
        time.sleep(0.05)
        now = _count_framesets(path)
        if now > held:
            held, grown_s = now, time.monotonic()
    return held


def _count_framesets(path: Path) -> int:
    """The smallest count of pictures among the streams."""
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as file:
            rows = file.execute(
                "SELECT count(m.id) FROM topics t LEFT JOIN messages m ON m.topic_id = t.id "
                "WHERE t.name LIKE '%/image/data%' GROUP BY t.id"
            ).fetchall()
    except sqlite3.Error:  # still being written, or broken
        return 0
    return min((count for (count,) in rows), default=0)


def count_framesets(path: Path) -> int | None:
    """How many framesets a .db3 holds; None where that cannot be told (.bag, a damaged file)."""
    return (_count_framesets(path) or None) if path.suffix == ".db3" else None


def _rewrite(path: Path, notes: RecordingNotes) -> None:
    """In place: the blocks are there already, whatever else has filled the disk."""
    with path.open("r+b") as file:
        file.write(notes.to_json(indent=1).encode())
        file.truncate()
        os.fsync(file.fileno())


def _publish(unfinished: Path, unfinished_notes: Path, path: Path) -> None:
    """Give both files their names. Stopped at any point, no label stands beside a recording it does not describe."""
    path.unlink(missing_ok=True)  # with `force`; the new one is complete
    os.replace(unfinished_notes, notes_path(path))
    os.replace(unfinished, path)
    _sync(path.parent)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
