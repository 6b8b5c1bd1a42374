"""How each fault is made. A block lasts as long as its fault does."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any
from unittest import mock

# from edgefas.benchmarks.soak.surroundings import Surroundings
from edgefas.benchmarks.soak.surroundings import Surroundings
from edgefas.benchmarks.soak.world import SERIAL, STRANGER, StagedCamera, World

_DAY_S = 86_400.0
_JUMP_NS = 50 * 365 * 86_400 * 1_000_000_000
"""Half a century: what cameras have been seen to jump (librealsense 4505)."""

# A process that is stopped cannot start itself again.
_STOP_AND_GO = """
import os, signal, sys, time
pid, seconds = int(sys.argv[1]), float(sys.argv[2])
os.kill(pid, signal.SIGSTOP)
try:
    time.sleep(seconds)
finally:
    os.kill(pid, signal.SIGCONT)
"""


@dataclass(frozen=True)
class Stage:
    """All that can be broken."""

    world: World
    camera: StagedCamera
    surroundings: Surroundings
    pid: int


def begin(stage: Stage, name: str, seconds: float) -> AbstractContextManager[None]:
    """Begin the fault; it ends with the block, which the caller keeps open for `seconds`."""
    return _MAKERS[name](stage, seconds)


def _set(**values: Any) -> Callable[[Stage, float], AbstractContextManager[None]]:
    """A fault that is one field of the world."""

    @contextmanager
    def fault(stage: Stage, seconds: float) -> Iterator[None]:
        sound = World()
        for name, value in values.items():
            setattr(stage.world, name, value)
        try:
            yield
        finally:
            for name in values:
                setattr(stage.world, name, getattr(sound, name))

    return fault


@contextmanager
def _unplugged(stage: Stage, seconds: float) -> Iterator[None]:
    stage.camera.unplug()
    try:
        yield
    finally:
        stage.camera.plug(SERIAL)


@contextmanager
def _swapped(stage: Stage, seconds: float) -> Iterator[None]:
    stage.camera.unplug()
    stage.camera.plug(STRANGER)
    try:
        yield
    finally:
        stage.camera.unplug()
        stage.camera.plug(SERIAL)


@contextmanager
def _clock_jumped(stage: Stage, seconds: float) -> Iterator[None]:
    stage.world.jump_ns += _JUMP_NS
    yield  # and there it stays, as on a camera


@contextmanager
def _wall_clock_moved(stage: Stage, seconds: float) -> Iterator[None]:
    """For this process's Python alone: the machine's own clock is not ours to turn."""
    now = time.time

    def moved() -> float:
        return now() + _DAY_S

    with mock.patch("time.time", moved):
        yield


@contextmanager
def _stopped(stage: Stage, seconds: float) -> Iterator[None]:
    with subprocess.Popen([sys.executable, "-c", _STOP_AND_GO, str(stage.pid), str(seconds)]):
        yield


_MAKERS: dict[str, Callable[[Stage, float], AbstractContextManager[None]]] = {
    "unplug": _unplugged,
    "USB reset": _unplugged,
    "stall": _set(silent=True),
    "swapped camera": _swapped,
    "frozen frames": _set(frozen=True),
    "all-zero infrared": _set(black_infrared=True),
    "depth loss": _set(no_depth=True),
    "timestamp jump": _clock_jumped,
    "engine crash": _set(engine="crash"),
    "NaN scores": _set(engine="nan"),
    "slow engine": _set(engine="slow"),
    "inverted emitter metadata": _set(emitter_flag="inverted"),
    "absent emitter metadata": _set(emitter_flag="absent"),
    "half frame rate": _set(half_rate=True),
    "out-of-order and duplicate framesets": _set(shuffled=True),
    "full disk": lambda stage, seconds: stage.surroundings.full_disk(),
    "dead webhook": lambda stage, seconds: stage.surroundings.dead_webhook(),
    "slow viewer": lambda stage, seconds: stage.surroundings.slow_viewer(),
    "wall-clock change": _wall_clock_moved,
    "SIGSTOP, SIGCONT": _stopped,
}
