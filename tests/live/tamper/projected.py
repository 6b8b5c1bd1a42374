"""A camera in made-up time whose projector obeys after a latency, and impostors whose pictures do not."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from edgefas.sensors.frame import Calibration, Frame, Intrinsics
from edgefas.sensors.source import CameraIdentity, CameraSource, SourceStats

MS = 1_000_000
GRID = Intrinsics(80, 60, 50.0, 50.0, 40.0, 30.0)
CALIBRATION = Calibration(GRID, GRID)
EPOCH_NS = 7_000 * MS
"""The camera's clock began earlier than the host's."""
_DOTS = np.zeros((60, 80), np.uint8)
_DOTS[3::9, 4::9] = 90
_NOISE = np.random.default_rng(3).normal(60, 2, (8, 60, 80)).astype(np.uint8)


class Projected(CameraSource):
    """`frames()` gives frames at 30 a second of `now_ns`; too small to be told apart by their noise."""

    live = True

    def __init__(
        self,
        *,
        latency_ms: float = 60,
        period_ms: float = 33.3,
        late_ms: Callable[[np.random.Generator], float] = lambda rng: 0.0,
        answers: Callable[[float, bool], bool] = lambda time_ms, commanded: commanded,
        can: bool = True,
        identity: CameraIdentity | None = None,
        seed: int = 0,
    ) -> None:
        """`answers(time in ms, what was commanded a latency ago)` says whether a picture shows dots."""
        self.now_ns = 0
        self.commands: list[tuple[int, bool]] = []
        self.restarts, self.numbered, self.devices = 0, 0, ()
        self.serial, self.metadata, self.alternating = "0123", True, False
        self._latency_ns, self._period_ns = round(latency_ms * MS), round(period_ms * MS)
        self._late_ms, self._answers, self._can = late_ms, answers, can
        self._identity = identity
        self._rng = np.random.default_rng(seed)

    def now(self) -> int:
        return self.now_ns

    def frames(self, seconds: float) -> Iterator[Frame]:
        end_ns = self.now_ns + round(seconds * 1000 * MS)
        while self.now_ns < end_ns:
            self.now_ns += self._period_ns
            self.numbered += 1
            yield self._frame(self.now_ns + round(self._late_ms(self._rng) * MS))

    @property
    def dots(self) -> bool:
        """Whether a picture that arrives now shows them."""
        obeyed_ns = self.now_ns - self._latency_ns
        commanded = next((on for at_ns, on in reversed(self.commands) if at_ns <= obeyed_ns), True)
        return self._answers(self.now_ns / MS, commanded)

    def _frame(self, host_ns: int) -> Frame:
        lit = self.dots
        ir = _NOISE[self.numbered % 8] + (_DOTS if lit else np.uint8(0))
        says_lit = lit or not self.metadata
        return Frame(
            color=None,
            ir_lit=ir if says_lit else None,
            ir_unlit=_NOISE[(self.numbered + 3) % 8] if self.alternating else None if says_lit else ir,
            depth=None,
            depth_scale_m=0.001,
            calibration=CALIBRATION,
            number=self.numbered,
            device_ns=self.now_ns + EPOCH_NS,
            clock="hardware",
            host_ns=host_ns,
            camera=self.serial,
        )

    def set_emitter(self, on: bool) -> bool:
        if self._can:
            self.commands.append((self.now_ns, on))
        return self._can

    def identity(self) -> CameraIdentity:
        return self._identity or CameraIdentity(self.serial, "D400", "Soft", "5.16.0.1", "librealsense")

    def video_devices(self) -> tuple:
        return self.devices

    def stats(self) -> SourceStats:
        return SourceStats(restarts=self.restarts)

    def read(self, timeout_s: float = 1.0) -> Frame:
        raise NotImplementedError

    def close(self) -> None:
        pass
