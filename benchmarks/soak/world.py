"""What is wrong at the moment: written by the script, read by camera, engine and surroundings before every frame."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from edgefas.engines.runtime.engine import F32, Engine
from edgefas.sensors.frame import U8, U16, Calibration, Exposure, Frame
from edgefas.sensors.realsense.camera import FPS
from edgefas.sensors.realsense.software import SoftwareBus, SoftwareD435

SERIAL, STRANGER = "SOAK-1", "SOAK-2"
_NOISE_BYTES = 1 << 22
Key = tuple[int, int]
"""Frame number and device ns as a reader is told them: names a frameset."""
PLUG_NS = 1_000_000
"""By so much the clocks of two plugs differ: enough to be told apart after centuries of clock jumps, see `key_of`."""
_REMEMBERED = 600


@dataclass
class World:
    """All is well by default. One field is changed while a fault lasts."""

    silent: bool = False
    frozen: bool = False
    black_infrared: bool = False
    no_depth: bool = False
    jump_ns: int = 0
    """Added to the camera's clock."""
    emitter_flag: Literal["right", "inverted", "absent"] = "right"
    half_rate: bool = False
    shuffled: bool = False
    """Neighbouring framesets change places, and every fourth comes twice."""
    engine: Literal["sound", "crash", "nan", "slow"] = "sound"

    @property
    def content_is_faulty(self) -> bool:
        """Whether a frame pushed now must never be accepted."""
        return self.black_infrared or self.no_depth


class FaultyEngine(Engine):
    """A sound engine in a faulty world."""

    SLOW_S = 0.6

    def __init__(self, engine: Engine, world: World) -> None:
        self.spec, self.backend, self.outputs = engine.spec, engine.backend, engine.outputs
        self._engine, self._world = engine, world

    def _run(self, inputs: dict[str, F32], outputs: tuple[str, ...]) -> dict[str, F32]:
        if self._world.engine == "crash":
            raise RuntimeError("scripted: the network's runtime failed")
        if self._world.engine == "slow":
            time.sleep(self.SLOW_S)
        scores = self._engine.run(inputs, outputs)
        return {name: np.full_like(v, np.nan) for name, v in scores.items()} if self._world.engine == "nan" else scores


@dataclass(frozen=True)
class Part:
    """One frameset of an interleaved camera."""

    depth: U16
    ir: U8
    color: U8
    lit: bool
    exposure: Exposure | None


def device_time_ns(number: int, plugged: int, world: World) -> int:
    """The camera's clock at a frameset of its so many-th plug."""
    return number * 1_000_000_000 // FPS["alternate"] + plugged * PLUG_NS + world.jump_ns


def key_of(number: int, device_ns: int) -> Key:
    """librealsense has time as milliseconds in a double: half a century of it is told to a quarter of a microsecond,
    and what thirty jumps make of it to eight."""
    return number, round(device_ns / 1e6 * 1e6)


class StagedCamera:
    """A software D435 that plays a clip to and fro at 60 framesets a second, and suffers what `world` says.

    Its lowest bits are noise, drawn anew for every frameset: no sensor gives the same bytes twice.
    """

    def __init__(self, clip: Sequence[Frame], world: World, bus: SoftwareBus) -> None:
        self._clip, self._world, self._bus = [*clip, *clip[-2:0:-1]], world, bus
        self._noise = np.random.default_rng(1).integers(0, 2, _NOISE_BYTES, np.uint8)
        self._camera: SoftwareD435 | None = None
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._number = self._plugged = self._drawn = 0
        self._last: tuple[Key, Part] | None = None
        self.faulty: set[Key] = set()
        """Framesets that showed a fault: ground truth, seen by no part of the pipeline."""
        self.copies: dict[Key, Key] = {}
        """Frozen framesets, and which one they repeat."""
        self.cpu_s = 0.0
        self._pushed_ns: OrderedDict[int, int] = OrderedDict()
        self._thread = threading.Thread(target=self._run, name="staged camera", daemon=True)

    @property
    def calibration(self) -> Calibration:
        """Of the clip."""
        return self._clip[0].calibration

    def plug(self, serial: str) -> None:
        """Connect a camera; its counter and clock begin anew, as after a reset."""
        camera = SoftwareD435(
            self._bus,
            self.calibration,
            serial=serial,
            fps=FPS["alternate"],
            depth_scale_m=self._clip[0].depth_scale_m,
            alternating=True,
        )
        with self._lock:
            self._camera, self._number = camera, 0
            self._plugged += 1

    def unplug(self) -> None:
        """Pull the cable."""
        with self._lock:
            self._camera = None
        self._bus.unplug_all()

    def start(self) -> None:
        """Begin to push."""
        self._thread.start()

    def close(self) -> None:
        """Stop pushing."""
        self._stop.set()
        self._thread.join()

    def pushed_ns(self, number: int) -> int | None:
        """When a frameset of late was given to librealsense (host monotonic)."""
        return self._pushed_ns.get(number)

    def _run(self) -> None:
        period_s = 1 / FPS["alternate"]
        due_s, held = time.monotonic(), None
        while not self._stop.wait(max(0.0, due_s - time.monotonic())):
            due_s = max(due_s + period_s, time.monotonic() - 0.1)  # after a stop of the process: no rush to catch up
            with self._lock:
                if self._camera is None:
                    continue
                self._number += 1
                number = self._number
                if self._world.silent or (self._world.half_rate and number % 4 in (1, 2)):
                    continue
                if self._world.shuffled and number % 4 == 1 and held is None:
                    held = number
                    continue
                self._push(number)
                if self._world.shuffled and number % 4 == 3:
                    self._push(number)
                if held is not None:
                    self._push(held)
                    held = None
            self.cpu_s = time.thread_time()

    def _push(self, number: int) -> None:
        assert self._camera is not None
        world = replace(self._world)  # the script may change it at any moment: picture and truth must be of one state
        device_ns = device_time_ns(number, self._plugged, world)
        key = key_of(number, device_ns)
        part = self._part(key, world)
        if world.content_is_faulty:
            self.faulty.add(key)
        flag = {"right": part.lit, "inverted": not part.lit, "absent": None}[world.emitter_flag]
        self._pushed_ns[number] = time.monotonic_ns()
        if len(self._pushed_ns) > _REMEMBERED:
            self._pushed_ns.popitem(last=False)
        self._camera.push(
            number,
            device_ns,
            depth=np.zeros_like(part.depth) if world.no_depth else part.depth,
            ir=np.zeros_like(part.ir) if world.black_infrared else part.ir,
            color=part.color,
            lit=flag,
            exposure=part.exposure,
        )

    def _part(self, key: Key, world: World) -> Part:
        if world.frozen and self._last is not None:
            self.copies[key], part = self._last
            return part
        moment, half = divmod(key[0] - 1, 2)
        frame, lit = self._clip[moment % len(self._clip)], half == 1
        ir, exposure = (frame.ir_lit, frame.ir_lit_exposure) if lit else (frame.ir_unlit, frame.ir_unlit_exposure)
        assert frame.depth is not None
        assert ir is not None
        assert frame.color is not None
        self._drawn += 3  # not by number, which begins anew when the camera does
        depth = frame.depth ^ (self._bits(frame.depth, self._drawn) & (frame.depth > 0))
        part = Part(
            depth,
            ir ^ self._bits(ir, self._drawn + 1),
            frame.color ^ self._bits(frame.color, self._drawn + 2),
            lit,
            exposure,
        )
        self._last = key, part
        return part

    def _bits(self, like: U8 | U16, drawn: int) -> U8:
        start = (drawn * 1_299_709) % (_NOISE_BYTES - like.size)
        return self._noise[start : start + like.size].reshape(like.shape)
