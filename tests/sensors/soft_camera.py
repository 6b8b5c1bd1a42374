"""A software camera on a real pipeline, for the tests."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edgefas.sensors.frame import Frame
from edgefas.sensors.realsense.camera import Emitter, open_camera
from edgefas.sensors.realsense.software import SoftwareBus, SoftwareD435
from edgefas.sensors.realsense.source import Patience, RealSenseSource
from tests.sensors.scenes import SMALL, moment, unlit

SIZE = (160, 120)


@dataclass
class Rig:
    bus: SoftwareBus
    camera: SoftwareD435 | None
    source: RealSenseSource

    def push(self, number: int, *, lit: bool | None = True, seen_within_s: float = 20.0, **streams: Any) -> Frame:
        """Push the noise picture of this number; a stream given as None is left out, `lit` False has no dots.

        Waits until the source has seen a whole moment: librealsense holds one, and on a busy machine the next would
        replace it there.
        """
        assert self.camera is not None
        frame = moment(number)
        if lit is False:
            frame = replace(frame, ir_lit=unlit(number))
        pictures = {"depth": frame.depth, "ir": frame.ir_lit, "color": frame.color} | streams
        self.camera.push(number, frame.device_ns, lit=lit, exposure=frame.ir_lit_exposure, **pictures)
        if all(picture is not None for picture in pictures.values()):
            wait_until(lambda: self.source._builder.last_number == number, seen_within_s)
        return frame


@contextmanager
def soft_rig(
    *, emitter: Emitter = "on", record_to: Path | None = None, patience: Patience | None = None
) -> Iterator[Rig]:
    bus = SoftwareBus()
    camera = SoftwareD435(
        bus, SMALL, serial="SOFT1", fps=60 if emitter == "alternate" else 30, alternating=emitter == "alternate"
    )
    with open_camera(
        emitter=emitter,
        size_px=SIZE,
        color_size_px=SIZE,
        record_to=record_to,
        context=bus.context,
        patience=patience or Patience(stall_s=60, give_up_s=60),
    ) as source:
        assert isinstance(source, RealSenseSource)
        yield Rig(bus, camera, source)


def record_moments(path: Path, count: int, **push: Any) -> list[Frame]:
    """Record noise moments 1 to `count` to a .db3; gives what was pushed."""
    frames = []
    with soft_rig(record_to=path) as rig:
        for number in range(1, count + 1):
            frames.append(rig.push(number, **push))
            rig.source.read(10)
    return frames


def wait_until(condition: Callable[[], bool], seconds: float = 20.0) -> bool:
    """Whether it became true in time; generous, as the machine may be busy."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True
