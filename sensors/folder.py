"""`dir:PATH`: frames as pictures in a folder, for data of other cameras and for looking at.

    PATH/camera.json            calibration, depth scale, pace; optionally the facts of each frame
    PATH/color/000001.png       8-bit RGB, on the colour camera's grid
    PATH/ir_lit/000001.png      8-bit grey, on the depth grid
    PATH/ir_unlit/000001.png    8-bit grey, on the depth grid
    PATH/depth/000001.png       16-bit grey, on the depth grid; 0 = no return

A folder that is missing is a stream the camera does not have. The names of the files are the frame numbers, and
the same in each folder.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
from pydantic import Field

from edgefas.contracts.base import Contract, ContractError
from edgefas.sensors.frame import Calibration, Clock, Exposure, Frame
from edgefas.sensors.source import CameraError, CameraIdentity, CameraSource, EndOfStream, SourceStats

STREAMS = ("color", "ir_lit", "ir_unlit", "depth")
_DTYPES = {"color": np.uint8, "ir_lit": np.uint8, "ir_unlit": np.uint8, "depth": np.uint16}


class FrameFacts(Contract):
    """What a picture cannot say about its frame."""

    device_ns: int = Field(ge=0)
    ir_lit_exposure: Exposure | None = None
    ir_unlit_exposure: Exposure | None = None


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
        self._numbers = _check_numbers(path, self._files)
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
        index, camera = self._delivered, self._camera
        number = self._numbers[index]
        facts = camera.frames.get(number, FrameFacts(device_ns=round(index * 1e9 / camera.fps)))
        pictures = {name: _read_picture(files[index], name) for name, files in self._files.items()}
        try:
            frame = Frame(
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
                dropped=number - self._numbers[index - 1] - 1 if index else 0,
                ir_lit_exposure=facts.ir_lit_exposure,
                ir_unlit_exposure=facts.ir_unlit_exposure,
            )
        except ValueError as error:
            raise CameraError(f"{self._path}, frame {number}: {error}") from None
        self._delivered += 1
        return frame

    def stats(self) -> SourceStats:
        """See `CameraSource.stats`."""
        return SourceStats(delivered=self._delivered)

    def identity(self) -> CameraIdentity:
        """See `CameraSource.identity`."""
        return CameraIdentity(serial=self._camera.camera, driver="folder")

    def close(self) -> None:
        """See `CameraSource.close`."""
        self._closed = True


def write_folder(path: Path, frames: Sequence[Frame], *, fps: float = 30.0) -> None:
    """Write frames of one camera in the layout above; `FolderSource` gives them back.

    Args:
        path: a new or empty folder; it appears only when it is complete.
        frames: at least one; the same streams in each.
        fps: the pace noted in camera.json.

    Raises:
        CameraError: the folder exists and is not empty, cannot be written, or the frames differ in their streams.
    """
    if not frames:
        raise CameraError(f"{path}: there are no frames to write")
    streams = {tuple(name for name in STREAMS if getattr(frame, name) is not None) for frame in frames}
    if len(streams) > 1 or len({(frame.camera, frame.calibration, frame.depth_scale_m) for frame in frames}) > 1:
        raise CameraError(f"{path}: the frames are of different cameras or streams: {sorted(streams)}")
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise CameraError(f"{path} exists and is not an empty folder; choose another name or remove it")
    unfinished = path.with_name(f".{path.name}.partial")
    try:
        unfinished.mkdir(parents=True)
        for name in streams.pop():
            (unfinished / name).mkdir()
            for frame in frames:
                _write_picture(unfinished / name / f"{frame.number:06d}.png", getattr(frame, name))
        (unfinished / "camera.json").write_text(_describe(frames, fps).to_json(indent=1))
        os.replace(unfinished, path)
    except OSError as error:
        raise CameraError(f"cannot write {path}: {error.strerror}") from None
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _describe(frames: Sequence[Frame], fps: float) -> FolderCamera:
    first = frames[0]
    return FolderCamera(
        calibration=first.calibration,
        depth_scale_m=first.depth_scale_m,
        fps=fps,
        camera=first.camera,
        clock=first.clock,
        frames={
            frame.number: FrameFacts(
                device_ns=frame.device_ns,
                ir_lit_exposure=frame.ir_lit_exposure,
                ir_unlit_exposure=frame.ir_unlit_exposure,
            )
            for frame in frames
        },
    )


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


def _list_files(path: Path) -> dict[str, list[Path]]:
    files = {name: sorted((path / name).glob("*.png")) for name in STREAMS if (path / name).is_dir()}
    if not any(files.values()):
        raise CameraError(f"{path} has no pictures: expected PNG files in {', '.join(STREAMS)}")
    counts = {name: len(pictures) for name, pictures in files.items()}
    if len(set(counts.values())) > 1:
        text = ", ".join(f"{name} {number}" for name, number in counts.items())
        raise CameraError(f"{path}: unequal counts of pictures: {text}; every folder needs the same file names")
    return files


def _check_numbers(path: Path, files: dict[str, list[Path]]) -> list[int]:
    """The frame numbers, which are the file names, equal in all folders."""
    reference, *others = files.items()
    for name, pictures in others:
        for mine, theirs in zip(reference[1], pictures, strict=True):
            if mine.name != theirs.name:
                raise CameraError(f"{path}: {reference[0]}/{mine.name} has no partner in {name}/")
    bad = [picture for picture in reference[1] if not (picture.stem.isascii() and picture.stem.isdigit())]
    if bad:
        raise CameraError(f"{bad[0]}: the name must be the frame number, such as 000001.png")
    numbers = [int(picture.stem) for picture in reference[1]]
    if any(after <= before for before, after in pairwise(numbers)):
        raise CameraError(f"{path}: give all file names the same number of digits, such as 000001.png")
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
