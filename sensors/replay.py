"""Go through recordings: the facts of each frame, at any pace, and copies as folders of pictures."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgefas.errors import UsageError
from edgefas.sensors.folder import write_folder
from edgefas.sensors.frame import U8, Clock, Exposure, Frame
from edgefas.sensors.notes import RecordingNotes, read_notes
from edgefas.sensors.open import is_camera, open_source
from edgefas.sensors.source import CameraSource
from edgefas.sensors.specks import speck_share

_NANOSECONDS = 1_000_000_000


@dataclass(frozen=True)
class FrameFacts:
    """What can be said of a frame without its pictures."""

    frame: int
    device_ns: int
    clock: Clock
    camera: str
    streams: tuple[str, ...]
    """Of color, ir_lit, ir_unlit and depth, those it has."""
    dropped: int
    lit_exposure: Exposure | None
    unlit_exposure: Exposure | None
    lit_specks: float | None
    """Share of pixels of the lit picture that look like projector dots."""
    unlit_specks: float | None
    depth_fill: float | None
    """Share of pixels with a depth return."""


def frame_facts(frame: Frame) -> FrameFacts:
    """The facts of one frame."""
    streams = tuple(name for name in ("color", "ir_lit", "ir_unlit", "depth") if getattr(frame, name) is not None)
    return FrameFacts(
        frame=frame.number,
        device_ns=frame.device_ns,
        clock=frame.clock,
        camera=frame.camera,
        streams=streams,
        dropped=frame.dropped,
        lit_exposure=frame.ir_lit_exposure,
        unlit_exposure=frame.ir_unlit_exposure,
        lit_specks=_specks(frame.ir_lit),
        unlit_specks=_specks(frame.ir_unlit),
        depth_fill=None if frame.depth is None else round(np.count_nonzero(frame.depth) / frame.depth.size, 4),
    )


def open_replay(text: str) -> CameraSource:
    """A recording, folder or video; `text` as `open_source` takes it.

    Raises:
        UsageError: a camera: it has no end.
        CameraError: it cannot be opened.
    """
    if is_camera(text):
        raise UsageError(
            f"{text!r} is a camera, not a recording; record it first: edgefas record --camera {text} a.db3"
        )
    return open_source(text)


def notes_of(text: str) -> RecordingNotes | None:
    """The notes of what `text` names, if it has any.

    Raises:
        CameraError: they are of another recording.
    """
    path = Path(text.removeprefix("dir:"))
    return read_notes(path) if path.suffix in (".db3", ".bag") or text.startswith("dir:") else None


def paced(
    frames: Iterable[Frame],
    speed: float | None,
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[Frame]:
    """Frames at `speed` times the pace at which they were taken; None: as fast as they are read."""
    begin: tuple[float, int] | None = None
    for frame in frames:
        if speed is not None:
            begin = begin or (clock(), frame.device_ns)
            due_s = begin[0] + (frame.device_ns - begin[1]) / _NANOSECONDS / speed
            sleep(max(0.0, due_s - clock()))
        yield frame


def export(
    text: str, path: Path, *, progress: Callable[[int], None] = lambda done: None, stopped: Callable[[], bool]
) -> int:
    """Copy a recording into a folder of pictures, with its notes; the folder appears when it is complete.

    Args:
        text: see `open_replay`.
        path: a new or empty folder.
        progress: told how many frames are written.
        stopped: asked before each frame; True gives up and leaves nothing.

    Returns:
        How many frames were written.

    Raises:
        CameraError: it cannot be read or written. UsageError: a camera. KeyboardInterrupt: `stopped()`.
    """
    notes = notes_of(text)

    def frames(source: CameraSource) -> Iterator[Frame]:
        for done, frame in enumerate(source):
            if stopped():
                raise KeyboardInterrupt
            progress(done)
            yield frame

    with open_replay(text) as source:
        return write_folder(path, frames(source), notes=notes)


def _specks(ir: U8 | None) -> float | None:
    return None if ir is None else round(speck_share(ir), 5)
