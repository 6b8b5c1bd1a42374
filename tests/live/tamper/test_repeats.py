"""Frozen and looped pictures; and honest ones that look much alike."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgefas.contracts import Reason, TamperRule
from edgefas.live.tamper.repeats import Repeats, Seen, check_repeats, fingerprints
from edgefas.sensors.frame import Calibration, Frame, Intrinsics

FROZEN, LOOPED = Reason.FRAME_FROZEN, Reason.FRAME_LOOPED
RNG = np.random.default_rng(5)
SHAPE = (240, 320)
SCENE = RNG.integers(20, 230, SHAPE).astype(np.float64)
GRID = Intrinsics(320, 240, 200.0, 200.0, 160.0, 120.0)
STREAMS = ("color", "ir_lit", "ir_unlit", "depth")


def still(number: int, level: float = 1.0, sigma: float = 1.5, **changes: object) -> Frame:
    """A scene in which nothing moves, seen by a sensor with a noise of `sigma` grey levels."""
    rng = np.random.default_rng((7, number))
    grey = lambda: np.clip(SCENE * level + rng.normal(0, sigma, SCENE.shape), 0, 255).astype(np.uint8)  # noqa: E731
    depth = (500 + SCENE + rng.normal(0, 1, SCENE.shape)).astype(np.uint16)
    streams = {"color": np.stack([grey()] * 3, axis=-1), "ir_lit": grey(), "ir_unlit": grey(), "depth": depth}
    fixed = {"depth_scale_m": 0.001, "calibration": Calibration(GRID, GRID), "clock": "hardware", "camera": "TEST"}
    return Frame(**(streams | changes), **fixed, number=number, device_ns=number * 33_333_333, host_ns=0)


def reasons(frames: list[Frame], seen: Seen | None = None) -> list[Reason | None]:
    memory, found = Repeats(), []
    seen = seen or Seen()
    for frame in frames:
        memory, reason = check_repeats(memory, TamperRule(), seen, frame)
        found.append(reason)
    return found


def test_a_still_scene_is_not_frozen() -> None:
    assert set(reasons([still(n) for n in range(1, 60)])) == {None}


@pytest.mark.parametrize("value", [0, 255])
def test_black_and_burnt_out_pictures_say_nothing(value: int) -> None:
    flat = np.full((240, 320), value, np.uint8)
    dark = [
        still(n, color=np.full((240, 320, 3), value, np.uint8), ir_unlit=flat, ir_lit=flat,
              depth=np.zeros((240, 320), np.uint16))
        for n in range(1, 9)
    ]  # fmt: skip
    assert fingerprints(dark[0]) == []
    assert set(reasons(dark)) == {None}


@pytest.mark.parametrize("name", STREAMS)
def test_one_frozen_stream_is_enough(name: str) -> None:
    frames = [still(n) for n in range(1, 9)]
    stuck = getattr(frames[3], name)
    frozen = [*frames[:4], *(replace(f, **{name: stuck}) for f in frames[4:])]
    found = reasons(frozen)
    honest = 5 if name == "color" else 4  # colour may come twice, in dim light
    assert found == [None] * honest + [FROZEN] * (8 - honest)


@pytest.mark.parametrize("name", STREAMS)
@pytest.mark.parametrize("length", [2, 7])
def test_one_looped_stream_is_enough(name: str, length: int) -> None:
    frames = [still(n) for n in range(1, 20)]
    looped = [replace(f, **{name: getattr(frames[i % length], name)}) for i, f in enumerate(frames)]
    assert reasons(looped) == [None] * length + [LOOPED] * (19 - length)


def test_doubt_lasts_half_a_second() -> None:
    frames = [still(n) for n in range(1, 40)]
    frames[5] = replace(frames[5], ir_lit=frames[2].ir_lit)
    assert reasons(frames) == [None] * 5 + [LOOPED] * 16 + [None] * 18


def test_a_loop_with_new_noise_is_not_found() -> None:
    """What the projector challenge is for."""
    first = [still(n) for n in range(1, 9)]
    flip = np.zeros((240, 320), np.uint8)
    flip[::8, ::8] = RNG.integers(0, 2, (30, 40))
    noisy = {name: lambda frame, name=name: getattr(frame, name) ^ flip for name in ("ir_lit", "ir_unlit", "depth")}
    again = [
        replace(f, color=f.color ^ flip[..., None], **{name: change(f) for name, change in noisy.items()})
        for f in first
    ]
    assert set(reasons([*first, *again])) == {None}


def test_memory_is_bounded_and_keeps_half_of_what_it_should() -> None:
    seen, slots = Seen(slots=1024), 1024
    values = [int(v) for v in np.random.default_rng(1).integers(1, 2**63, 4 * slots)]
    for value in values:
        seen.add(value)
    half = values[-round(np.log(2) * slots) :][:100]
    assert 30 < sum(value in seen for value in half) < 70
    assert sum(value in seen for value in values[:slots]) < 0.1 * slots
    assert values[-1] in seen
