"""Numbers and clocks: honest streams under jitter, drift, late starts and set wall clocks; then each way to leap."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgefas.contracts import Reason, TamperRule
from edgefas.live.tamper.clock import ClockMemory, check_clock
from edgefas.sensors.frame import Frame
from tests.scenes import noise_frame

RULE = TamperRule()
MS = 1_000_000
BASE = noise_frame(color=None, ir_lit=None, ir_unlit=None, depth=None)
JUMPED, STALE = Reason.CLOCK_JUMPED, Reason.FRAME_STALE


def frame_at(number: int, device_ms: float, host_ms: float, clock: str = "hardware") -> Frame:
    return replace(BASE, number=number, device_ns=round(device_ms * MS), host_ns=round(host_ms * MS), clock=clock)


def reasons(
    moments: list[tuple[int, float, float]],
    *,
    live: bool = True,
    clock: str = "hardware",
    walls_ms: list[float] | None = None,
    rule: TamperRule = RULE,
) -> list[Reason | None]:
    """Of (number, device time, host time) in milliseconds."""
    memory, found = ClockMemory(), []
    for index, moment in enumerate(moments):
        wall_ns = round((walls_ms[index] if walls_ms else 0) * MS)
        memory, reason = check_clock(memory, rule, frame_at(*moment, clock), live=live, wall_ns=wall_ns)
        found.append(reason)
    return found


def honest(count: int, *, ppm: float = 0, jitter_ms: float = 20, every: int = 1) -> list[tuple[int, float, float]]:
    """30 frames a second, arriving 40 ms after they were taken, later by an exponential delay."""
    late = np.random.default_rng(0).exponential(jitter_ms, count + 1).clip(0, 200)
    numbers = range(1, count + 1, every)
    return [(n, n * 33.3 * (1 + ppm * 1e-6), 5000 + n * 33.3 + 40 + late[n]) for n in numbers]


@pytest.mark.parametrize("ppm", [0, 200, -200])
def test_an_honest_clock_drifts_and_jitters_for_hours(ppm: float) -> None:
    # one frame in 300 of 5 hours: at 200 ppm the clocks end 3.6 s apart
    assert set(reasons(honest(540_000, ppm=ppm, every=300))) == {None}


def test_a_late_first_frame_is_no_jump_of_the_second() -> None:
    moments = honest(60, jitter_ms=1)
    number, device_ms, host_ms = moments[0]
    assert set(reasons([(number, device_ms, host_ms + 900), *moments[1:]])) == {None}


@pytest.mark.parametrize("live", [True, False])
@pytest.mark.parametrize(
    ("number", "device_ms"), [(59, 2031.3), (60, 2031.3), (1, 2031.3), (61, 1998.0), (61, 1500.0), (61, 0.0)]
)
def test_what_does_not_go_forward_is_doubted_until_it_settles(number: int, device_ms: float, live: bool) -> None:
    after = [(number + n, device_ms + n * 33.3, 5000 + (61 + n) * 33.3 + 40) for n in range(40)]
    found = reasons([*honest(60, jitter_ms=1), *after], live=live)
    assert found[:60] == [None] * 60
    assert found[60:76] == [JUMPED] * 16  # itself, and the 15 clean ones after it
    assert set(found[76:]) == {None}


def test_a_leap_of_the_camera_clock_is_found_at_once_and_a_single_one_forgiven() -> None:
    moments = honest(100, jitter_ms=1)
    number, device_ms, host_ms = moments[60]
    moments[60] = (number, device_ms + 50 * 365 * 86_400_000.0, host_ms)  # 50 years ahead, as users report
    found = reasons(moments)
    assert found[:60] == [None] * 60
    assert set(found[60:77]) == {JUMPED}
    assert set(found[77:]) == {None}


def test_a_leap_that_stays_is_adopted_after_a_second() -> None:
    moments = honest(60, jitter_ms=1) + [(n, d + 3000, h) for n, d, h in honest(160, jitter_ms=1)[60:]]
    found = reasons(moments)
    assert set(found[60:91]) == {JUMPED}
    assert set(found[91:]) == {None}


@pytest.mark.parametrize("late_ms", [30, 60, 110])
def test_a_leap_whose_first_frame_came_late_is_adopted_too(late_ms: float) -> None:
    moments = honest(300, jitter_ms=1)
    leapt = [(n, device_ms + 1e9, host_ms) for n, device_ms, host_ms in moments[100:]]
    leapt[0] = (leapt[0][0], leapt[0][1], leapt[0][2] + late_ms)
    found = reasons([*moments[:100], *leapt])
    assert found[100] is JUMPED
    assert set(found[100 + 2 * 2 * RULE.settle_frames + 2 :]) == {None}


@pytest.mark.parametrize("pace", [0.5, 0.9, 1.1, 2.0])
def test_a_clock_of_another_pace_is_never_adopted(pace: float) -> None:
    start = honest(60, jitter_ms=1)
    wrong = [(60 + n, 60 * 33.3 + n * 33.3 * pace, 5000 + (60 + n) * 33.3 + 40) for n in range(1, 900)]
    found = reasons([*start, *wrong])[60:]
    assert None not in found[120:]
    assert set(found[120:]) == {STALE if pace < 1 else JUMPED}


def test_what_waited_in_a_queue_is_stale_and_no_jump() -> None:
    """The process slept for 4 s; six frames of before had been queued."""
    slept = [(n, d, max(h, 5000 + 64 * 33.3 + 4000)) for n, d, h in honest(66, jitter_ms=1)[60:]]
    after = [(n, d, h) for n, d, h in honest(300, jitter_ms=1) if n > 66 + 120]
    found = reasons([*honest(60, jitter_ms=1), *slept, *after])
    assert found[60:66] == [STALE] * 6
    assert set(found[66:]) == {None}


@pytest.mark.parametrize("clock", ["global", "system"])
@pytest.mark.parametrize("step_ms", [3_600_000.0, -3_600_000.0, 400.0])
def test_setting_the_wall_clock_is_no_tampering(clock: str, step_ms: float) -> None:
    moments = honest(600, jitter_ms=1)
    moved = [(n, d + step_ms * (n > 60), h) for n, d, h in moments]
    walls = [step_ms * (n > 60) for n, _, _ in moments]
    assert set(reasons(moved, clock=clock, walls_ms=walls)) == {None}
    assert JUMPED in reasons(moved, clock=clock) or STALE in reasons(moved, clock=clock)  # nobody set it
    # the camera's own crystal knows nothing of the wall clock, so setting that excuses nothing
    assert set(reasons(moved, clock="hardware", walls_ms=walls)) != {None}


def test_setting_the_wall_clock_says_nothing_of_a_hardware_clock() -> None:
    moments = honest(600, jitter_ms=1)
    assert set(reasons(moments, walls_ms=[1e7 * (n > 60) for n, _, _ in moments])) == {None}


def test_another_clock_domain_is_a_jump() -> None:
    memory, _ = check_clock(ClockMemory(), RULE, frame_at(1, 33, 33), live=True)
    _, reason = check_clock(memory, RULE, frame_at(2, 66, 66, "system"), live=True)
    assert reason is JUMPED
