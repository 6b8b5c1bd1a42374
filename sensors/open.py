"""open_source: one line of text names any camera, recording, simulation or folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import cast, get_args

from edgefas.errors import UsageError
from edgefas.sensors.folder import FolderSource
from edgefas.sensors.realsense.camera import open_camera
from edgefas.sensors.realsense.playback import open_recording
from edgefas.sensors.realsense.profile import Emitter
from edgefas.sensors.simulated import Progress, SimulatedSource
from edgefas.sensors.source import CameraSource

FORMS = "realsense, realsense:SERIAL, FILE.db3, FILE.bag, simulated, simulated:OPTIONS, dir:PATH"
MAX_SIMULATED_FRAMES = 300


@dataclass(frozen=True)
class _Options:
    emitter: Emitter
    frames: int
    rest: str
    """What is left: a serial number, or the simulator's own options."""


def open_source(
    text: str,
    *,
    emitter: Emitter = "on",
    realtime: bool = False,
    record_to: Path | None = None,
    progress: Progress | None = None,
    profile: str | None = None,
) -> CameraSource:
    """Open what `text` names.

    Args:
        text: one of the forms above. `realsense` and `simulated` take `emitter=on|alternate`, `simulated` also
            `frames=N` and the simulator's own options, separated by commas:
            "realsense:0123,emitter=alternate", "simulated:species=flat_print,frames=60".
        emitter: of a camera whose text says nothing about it.
        realtime: play a recording at its own pace, dropping what is not read in time.
        record_to: also record to this .db3 file, which is overwritten; cameras only.
        progress: told about the rendering of a simulated episode.
        profile: how to set a RealSense camera up, by name or file; None chooses by its model.

    Raises:
        UsageError: no such form or option.
        CameraError: it exists and cannot be opened; the text says what to do.
        MissingExtra: pyrealsense2 is not installed.
    """
    kind, _, rest = text.partition(":")
    if profile is not None and kind != "realsense":
        raise UsageError(f"a profile sets up a RealSense camera, and {text!r} is none: leave --profile out")
    if kind in ("realsense", "simulated"):
        options = _parse(kind, rest, emitter)
        if kind == "realsense":
            return open_camera(options.rest or None, emitter=options.emitter, profile=profile, record_to=record_to)
        return _open_simulated(options, record_to, progress)
    if record_to is not None:
        raise UsageError(f"{text!r} is not a camera: only realsense and simulated can be recorded")
    if kind == "dir" and rest:
        return FolderSource(Path(rest))
    if text.endswith((".db3", ".bag")):
        return open_recording(Path(text), realtime=realtime)
    raise UsageError(f"unknown camera {text!r}; allowed: {FORMS}")


def _open_simulated(options: _Options, record_to: Path | None, progress: Progress | None) -> CameraSource:
    from edgefas.sensors.simulator.episode import parse_options
    from edgefas.sensors.simulator.render import render

    return SimulatedSource(
        parse_options(options.rest),
        render=render,
        frames=options.frames,
        emitter=options.emitter,
        record_to=record_to,
        progress=progress,
    )


def _parse(kind: str, text: str, emitter: Emitter) -> _Options:
    """Take out what belongs to the camera, leave the rest."""
    frames, rest = 30, []
    for part in text.split(","):
        key, equals, value = part.partition("=")
        if key == "emitter" and equals:
            if value not in get_args(Emitter):
                raise UsageError(f"emitter={value}: allowed: {', '.join(get_args(Emitter))}")
            emitter = cast(Emitter, value)
        elif key == "frames" and equals and kind == "simulated":
            if not (value.isascii() and value.isdigit() and 1 <= int(value) <= MAX_SIMULATED_FRAMES):
                raise UsageError(f"frames={value}: must be a whole number from 1 to {MAX_SIMULATED_FRAMES}")
            frames = int(value)
        else:
            rest.append(part)
    if kind == "realsense" and (len(rest) > 1 or "=" in "".join(rest)):
        raise UsageError(f"realsense:{text}: write realsense:SERIAL or realsense:SERIAL,emitter=alternate")
    return _Options(emitter, frames, ",".join(rest))
