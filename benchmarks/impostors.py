"""Streams for the injection list: honest ones, and impostors that claim to be the camera; pushed into librealsense.

A stream is asked for every moment at 30 a second and told whether the projector is on; what it makes of that is its
own affair; the honest one obeys with the next frame. The pipeline under test sees a camera like any other, and never
this module.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from edgefas.sensors.frame import Frame
from edgefas.sensors.realsense.camera import open_camera
from edgefas.sensors.realsense.software import SoftwareBus, SoftwareD435, SoftwareModel
from edgefas.sensors.realsense.source import Patience
from edgefas.sensors.source import CameraSource

SERIAL = "SOFT0001"
FPS = 30


@dataclass(frozen=True)
class Moment:
    """One frameset; `number` and `skew_ns` are the stream's own claims."""

    frame: Frame
    lit: bool
    number: int
    skew_ns: int = 0
    """Added to the camera's clock."""
    swap: SoftwareModel | None = None
    """Unplug, and plug in another camera under the same serial."""


Stream = Callable[[int, bool], Moment]
"""(index, whether the projector is on by now) -> Moment."""


def noisy(frame: Frame, rng: np.random.Generator) -> Frame:
    """The same scene with another noise of the sensors: two bits of grey, one of depth."""

    def shaken(picture: npt.NDArray[np.uint8] | None) -> npt.NDArray[np.uint8] | None:
        if picture is None:
            return None
        grain = np.frombuffer(rng.bytes(picture.size), np.uint8).reshape(picture.shape) & 3
        return np.asarray(cv2.add(picture, grain))

    assert frame.depth is not None
    depth = frame.depth + (np.frombuffer(rng.bytes(frame.depth.size), np.uint8).reshape(frame.depth.shape) & 1)
    return replace(
        frame,
        color=shaken(frame.color),
        ir_lit=shaken(frame.ir_lit),
        ir_unlit=shaken(frame.ir_unlit),
        depth=np.where(frame.depth > 0, depth, 0).astype(np.uint16),
    )


def to_and_fro(clip: list[Frame], index: int) -> Frame:
    """A clip without a cut."""
    length = max(1, 2 * len(clip) - 2)
    place = index % length
    return clip[place if place < len(clip) else length - place]


def honest(clip: list[Frame], seed: int) -> Stream:
    """A real camera: new noise in every picture, and a projector that obeys."""

    def stream(index: int, on: bool) -> Moment:
        frame = noisy(to_and_fro(clip, index), np.random.default_rng((seed, index)))
        return Moment(frame, on, index + 1)

    return stream


def looped(clip: list[Frame], seed: int, start: int, length: int) -> Stream:
    """From `start` on, the last `length` moments again and again, byte for byte, under new numbers."""
    camera = honest(clip, seed)
    return lambda index, on: replace(
        camera(index if index < start else start - length + (index - start) % length, on), number=index + 1
    )


def frozen(clip: list[Frame], seed: int, start: int) -> Stream:
    """From `start` on the same picture."""
    return looped(clip, seed, start, 1)


def replayed(clip: list[Frame], seed: int, start: int, *, recorded_ns: tuple[int, ...] = ()) -> Stream:
    """From `start` on a recording, re-encoded as JPEG and with new noise, that knows nothing of the projector.

    Args:
        recorded_ns: the recording was challenged itself: off, on, off ... for so long, 2 s after `start`.
    """
    camera = honest(clip, seed)
    edges = np.cumsum([2_000_000_000, *recorded_ns]) if recorded_ns else np.array([])

    def stream(index: int, on: bool) -> Moment:
        if index < start:
            return camera(index, on)
        lit = int(np.searchsorted(edges, (index - start) * 1_000_000_000 // FPS, side="right")) % 2 == 0
        moment = camera(index, lit)
        return replace(moment, frame=_reencoded(moment.frame))

    return stream


def leaping(clip: list[Frame], seed: int, start: int, skew_ns: int) -> Stream:
    """From `start` on the camera's clock is another."""
    camera = honest(clip, seed)
    return lambda index, on: replace(camera(index, on), skew_ns=skew_ns if index >= start else 0)


def recounted(clip: list[Frame], seed: int, start: int) -> Stream:
    """From `start` on the numbers begin anew."""
    camera = honest(clip, seed)
    return lambda index, on: replace(camera(index, on), number=index + 1 if index < start else index - start + 1)


def swapped(clip: list[Frame], seed: int, start: int, model: SoftwareModel) -> Stream:
    """At `start` another camera takes the cable, under the same serial number."""
    camera = honest(clip, seed)
    return lambda index, on: replace(camera(index, on), swap=model if index == start else None)


@contextmanager
def pushed(stream: Stream, first: Frame, model: SoftwareModel = SoftwareModel()) -> Iterator[CameraSource]:
    """The source that `stream` feeds, as `edgefas live` would open a camera."""
    bus, ending = SoftwareBus(), threading.Event()
    grid, color = first.calibration.depth, first.calibration.color
    cameras = [SoftwareD435(bus, first.calibration, serial=SERIAL, fps=FPS, model=model)]

    def push() -> None:
        start_ns, index = time.monotonic_ns(), 0
        while not ending.wait(max(0.0, (start_ns + index * 1_000_000_000 // FPS - time.monotonic_ns()) / 1e9)):
            # The moment of exposure: what the machine's load delays comes later, and the camera's clock tells how much.
            exposed_ns = time.monotonic_ns() - start_ns
            moment = stream(index, cameras[-1].emitter_enabled)
            index += 1
            if moment.swap is not None:
                cameras[-1].unplug()
                cameras.append(SoftwareD435(bus, first.calibration, serial=SERIAL, fps=FPS, model=moment.swap))
                continue
            frame = moment.frame
            cameras[-1].push(
                moment.number,
                exposed_ns + moment.skew_ns + 1_000_000_000,
                depth=frame.depth,
                ir=frame.ir_lit if moment.lit else frame.ir_unlit,
                color=frame.color,
                lit=moment.lit,
                exposure=frame.ir_lit_exposure,
            )

    with open_camera(
        context=bus.context,
        size_px=(grid.width_px, grid.height_px),
        color_size_px=(color.width_px, color.height_px),
        patience=Patience(stall_s=1.0, give_up_s=20.0),
    ) as source:
        thread = threading.Thread(target=push, name="edgefas impostor", daemon=True)
        thread.start()
        try:
            yield source
        finally:
            ending.set()
            thread.join()


def _reencoded(frame: Frame) -> Frame:
    assert frame.color is not None
    done, coded = cv2.imencode(".jpg", frame.color, [cv2.IMWRITE_JPEG_QUALITY, 90])
    assert done
    return replace(frame, color=np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR), np.uint8))
