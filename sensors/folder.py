"""`dir:PATH`: frames as pictures in a folder, for data of other cameras and for looking at.

    PATH/camera.json            calibration, depth scale, pace; optionally the facts of each frame
    PATH/color/000001.png       8-bit RGB, on the colour camera's grid
    PATH/ir_lit/000001.png      8-bit grey, on the depth grid
    PATH/ir_unlit/000001.png    8-bit grey, on the depth grid
    PATH/depth/000001.png       16-bit grey, on the depth grid; 0 = no return
    PATH/recording.json         what is shown (`notes`); may be left out

A folder that is missing is a stream the camera does not have. The names of the files are the frame numbers, and
the same in each folder; a picture may be missing only where `frames` in camera.json says so.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, get_args

import cv2
import numpy as np
from pydantic import Field

from edgefas.contracts.base import Contract, ContractError
from edgefas.files import FileWriteError, folder_written_atomically
from edgefas.sensors.frame import Calibration, Clock, Exposure, Frame
from edgefas.sensors.notes import FOLDER_NOTES, RecordingNotes
from edgefas.sensors.source import CameraError, CameraIdentity, CameraSource, EndOfStream, SourceStats

StreamName = Literal["color", "ir_lit", "ir_unlit", "depth"]
STREAMS: tuple[StreamName, ...] = get_args(StreamName)
_DTYPES = {"color": np.uint8, "ir_lit": np.uint8, "ir_unlit": np.uint8, "depth": np.uint16}


class FrameFacts(Contract):
    """What a picture cannot say about its frame."""

    device_ns: int = Field(ge=0)
    ir_lit_exposure: Exposure | None = None
    ir_unlit_exposure: Exposure | None = None
    missing: tuple[StreamName, ...] = Field((), description="streams this frame lacks, though others have them")


class FolderCamera(Contract):
    """`camera.json`."""

    schema_version: Literal[1] = 1
    calibration: Calibration
    depth_scale_m: float = Field(gt=0, description="metres per unit of the depth pictures")
    fps: float = Field(gt=0, le=1000, description="the pace where `frames` says nothing")
    camera: str = Field(min_length=1, description="serial number")
    clock: Clock = "hardware"
    frames: dict[int, FrameFacts] = Field(default={}, description="by frame number; may be left out")


class FolderSource(CameraSource):
    """Gives every frame of the folder once, in order."""

    live = False

    def __init__(self, path: Path) -> None:
        """Check the folder as a whole; the pictures are read one by one.

        Raises:
            CameraError: no folder, no or a wrong camera.json, no pictures, or counts or names that differ.
        """
        self._camera = _read_camera(path)
        self._files = _list_files(path)
        missing = {number: facts.missing for number, facts in self._camera.frames.items() if facts.missing}
        self._numbers = _check_numbers(path, self._files, missing)
        self._delivered = 0
        self._path, self._closed = path, False

    def read(self, timeout_s: float = 1.0) -> Frame:
        """The next frame. `device_ns` is the folder's own time, `host_ns` that of this call.

        Raises:
            EndOfStream: the folder has ended, or is closed.
            CameraError: a picture cannot be read, or has another size or type than camera.json says.
        """
        if self._closed or self._delivered == len(self._numbers):
            raise EndOfStream(f"{self._path}: end of the folder")
        index = self._delivered
        number = self._numbers[index]
        frame = self.at(number)
        self._delivered += 1
        return replace(frame, dropped=number - self._numbers[index - 1] - 1 if index else 0)

    def at(self, number: int) -> Frame:
        """The frame of a number, in any order; see `read`.

        Raises:
            CameraError: there is no such frame, or one of its pictures cannot be read.
        """
        camera = self._camera
        pictures = {name: _read_picture(files[number], name) for name, files in self._files.items() if number in files}
        if not pictures:
            raise CameraError(f"{self._path} has no frame {number}; it has {self._numbers[0]} to {self._numbers[-1]}")
        facts = camera.frames.get(number)
        if facts is None:
            facts = FrameFacts(device_ns=round(self._numbers.index(number) * 1e9 / camera.fps))
        try:
            return Frame(
                color=pictures.get("color"),
                ir_lit=pictures.get("ir_lit"),
                ir_unlit=pictures.get("ir_unlit"),
                depth=pictures.get("depth"),
                depth_scale_m=camera.depth_scale_m,
                calibration=camera.calibration,
                number=number,
                device_ns=facts.device_ns,
                clock=camera.clock,
                host_ns=time.monotonic_ns(),
                camera=camera.camera,
                ir_lit_exposure=facts.ir_lit_exposure,
                ir_unlit_exposure=facts.ir_unlit_exposure,
            )
        except ValueError as error:
            raise CameraError(f"{self._path}, frame {number}: {error}") from None

    def pictures(self) -> list[dict[StreamName, Path]]:
        """The files of each frame, in order, of the streams it has; for who wants the files rather than frames."""
        return [
            {name: files[number] for name, files in self._files.items() if number in files} for number in self._numbers
        ]

    def stats(self) -> SourceStats:
        """See `CameraSource.stats`."""
        return SourceStats(delivered=self._delivered)

    def identity(self) -> CameraIdentity:
        """See `CameraSource.identity`."""
        return CameraIdentity(serial=self._camera.camera, driver="folder")

    def close(self) -> None:
        """See `CameraSource.close`."""
        self._closed = True


def write_folder(path: Path, frames: Iterable[Frame], *, fps: float = 30.0, notes: RecordingNotes | None = None) -> int:
    """Write frames of one camera in the layout above; `FolderSource` gives them back.

    Args:
        path: a new or empty folder; it appears only when it is complete.
        frames: at least one; taken one by one, so that a long recording need not fit into memory.
        fps: the pace noted in camera.json.
        notes: what is shown; becomes recording.json.

    Returns:
        How many frames were written.

    Raises:
        CameraError: the folder exists and is not empty, cannot be written, or the frames are of different cameras.
    """
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise CameraError(f"{path} exists and is not an empty folder; choose another name or remove it")
    try:
        with folder_written_atomically(path) as unfinished:
            camera = _write_frames(path, unfinished, frames, fps)
            (unfinished / "camera.json").write_text(camera.to_json(indent=1))
            if notes is not None:
                (unfinished / FOLDER_NOTES).write_text(notes.to_json(indent=1))
    except FileWriteError as error:
        raise CameraError(str(error)) from None
    return len(camera.frames)


def _write_frames(path: Path, unfinished: Path, frames: Iterable[Frame], fps: float) -> FolderCamera:
    first: Frame | None = None
    facts: dict[int, FrameFacts] = {}
    has: dict[int, tuple[StreamName, ...]] = {}
    for frame in frames:
        first = first or frame
        if _camera_of(frame) != _camera_of(first):
            raise CameraError(f"{path}: the frames are of different cameras: {first.camera}, then {frame.camera}")
        if frame.number in facts:
            raise CameraError(f"{path}: two frames have the number {frame.number}; export the recordings one by one")
        has[frame.number] = tuple(name for name in STREAMS if getattr(frame, name) is not None)
        for name in has[frame.number]:
            (unfinished / name).mkdir(exist_ok=True)
            _write_picture(unfinished / name / f"{frame.number:06d}.png", getattr(frame, name))
        facts[frame.number] = FrameFacts(
            device_ns=frame.device_ns,
            ir_lit_exposure=frame.ir_lit_exposure,
            ir_unlit_exposure=frame.ir_unlit_exposure,
        )
    if first is None:
        raise CameraError(f"{path}: there are no frames to write")
    streams = {name for names in has.values() for name in names}
    for number, names in has.items():
        if len(names) < len(streams):
            lacks = tuple(name for name in STREAMS if name in streams and name not in names)
            facts[number] = facts[number].model_copy(update={"missing": lacks})
    return FolderCamera(
        calibration=first.calibration,
        depth_scale_m=first.depth_scale_m,
        fps=fps,
        camera=first.camera,
        clock=first.clock,
        frames=facts,
    )


def _camera_of(frame: Frame) -> tuple[str, Calibration, float]:
    return frame.camera, frame.calibration, frame.depth_scale_m


def _write_picture(path: Path, picture: Any) -> None:
    stored = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR) if picture.ndim == 3 else picture
    ok, data = cv2.imencode(".png", stored)
    assert ok, path
    path.write_bytes(data.tobytes())


def _read_camera(path: Path) -> FolderCamera:
    if not path.is_dir():
        raise CameraError(f"no such folder: {path}")
    file = path / "camera.json"
    try:
        return FolderCamera.from_json(file.read_bytes())
    except FileNotFoundError:
        raise CameraError(f"{file} is missing: it holds the calibration (docs/cameras.md shows one)") from None
    except OSError as error:
        raise CameraError(f"cannot read {file}: {error.strerror}") from None
    except ContractError as error:
        raise CameraError(f"{file}: {error}") from None


def _list_files(path: Path) -> dict[StreamName, dict[int, Path]]:
    """The pictures of each stream, by frame number, in order."""
    files = {name: _numbered(list((path / name).glob("*.png"))) for name in STREAMS if (path / name).is_dir()}
    if not any(files.values()):
        raise CameraError(f"{path} has no pictures: expected PNG files in {', '.join(STREAMS)}")
    return files


def _numbered(pictures: list[Path]) -> dict[int, Path]:
    bad = next((picture for picture in pictures if not (picture.stem.isascii() and picture.stem.isdigit())), None)
    if bad is not None:
        raise CameraError(f"{bad}: the name must be the frame number, such as 000001.png")
    files: dict[int, Path] = {}
    for picture in sorted(pictures, key=lambda picture: int(picture.stem)):
        other = files.setdefault(int(picture.stem), picture)
        if other is not picture:
            raise CameraError(f"{picture} and {other.name} are both frame {int(picture.stem)}; remove one")
    return files


def _check_numbers(
    path: Path, files: dict[StreamName, dict[int, Path]], missing: dict[int, tuple[StreamName, ...]]
) -> list[int]:
    """The frame numbers, in order; each has a picture in every folder, save where camera.json says that it has none."""
    numbers = sorted(set().union(*files.values()))
    for number in numbers:
        for name, pictures in files.items():
            if number not in pictures and name not in missing.get(number, ()):
                counts = ", ".join(f"{stream} {len(found)}" for stream, found in files.items())
                partner = next(found[number] for found in files.values() if number in found)
                raise CameraError(
                    f"{path}: {partner.parent.name}/{partner.name} has no partner in {name}/ (pictures: {counts}); "
                    "every folder needs the same file names"
                )
    return numbers


def _read_picture(path: Path, stream: str) -> Any:
    try:
        data = np.frombuffer(path.read_bytes(), np.uint8)
    except OSError as error:
        raise CameraError(f"cannot read {path}: {error.strerror}") from None
    picture = cv2.imdecode(data, cv2.IMREAD_UNCHANGED) if data.size else None
    if picture is None:
        raise CameraError(f"{path} is not a readable PNG picture")
    channels = 3 if stream == "color" else 1
    if picture.dtype != _DTYPES[stream] or (picture.shape[2] if picture.ndim == 3 else 1) != channels:
        wanted = f"{np.dtype(_DTYPES[stream])} with {channels} channel{'s' * (channels > 1)}"
        raise CameraError(f"{path} is {picture.dtype} {picture.shape}, a {stream} picture is {wanted}")
    return cv2.cvtColor(picture, cv2.COLOR_BGR2RGB) if channels == 3 else picture
