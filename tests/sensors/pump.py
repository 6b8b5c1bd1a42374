"""A software camera that runs by itself, as fast as a D435, and can be made to misbehave."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from typing import Any

import numpy as np

from edgefas.sensors.frame import Frame
from edgefas.sensors.realsense.software import SoftwareD435
from edgefas.sensors.source import CameraSource, CameraTimeout
from tests.sensors.scenes import moment

PERIOD_S = 1 / 30


class Pump:
    """Pushes noise at 30 framesets a second of real and device time; a context manager."""

    def __init__(self, camera: SoftwareD435, seed: int = 0) -> None:
        self.silent = self.frozen = False
        self.black: tuple[str, ...] = ()
        """Streams pushed as zeros: color, ir, depth."""
        self._camera, self._seed = camera, seed
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Pump:
        self._thread.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self._end.set()
        self._thread.join()

    def _run(self) -> None:
        begin_s, number, shown = time.monotonic(), 0, moment(1, seed=self._seed)
        while not self._end.wait(max(0.0, begin_s + number * PERIOD_S - time.monotonic())):
            number += 1 + max(0, int((time.monotonic() - begin_s) / PERIOD_S) - number)  # a late camera skips numbers
            if self.silent:
                continue
            if not self.frozen:
                shown = moment(number % 50, seed=self._seed)
            pictures = {"color": shown.color, "ir": shown.ir_lit, "depth": shown.depth}
            pictures |= {name: np.zeros_like(pictures[name]) for name in self.black}
            self._camera.push(number, number * 33_333_333, lit=True, **pictures)


def frames_until(source: CameraSource, condition: Any, seconds: float = 40.0) -> list[Frame]:
    """Frames read until one meets the condition; silence is waited through."""
    deadline, got = time.monotonic() + seconds, []
    while time.monotonic() < deadline:
        try:
            got.append(replace(source.read(0.5)))
        except CameraTimeout:
            continue
        if condition(got[-1]):
            return got
    raise AssertionError(f"not met in {seconds:g} s; {len(got)} frames, {source.stats()}")
