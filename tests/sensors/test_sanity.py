"""Flaws and true age of frames, on sequences whose faults are known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgefas.sensors.frame import Flaw, Frame
from edgefas.sensors.sanity import Last, inspect
from tests.sensors.scenes import moment

MS = 1_000_000


def _frames(count: int, **changes: object) -> list[Frame]:
    return [
        replace(moment(n), device_ns=n * 33 * MS, host_ns=5_000 * MS + n * 33 * MS, **changes)
        for n in range(1, count + 1)
    ]


def _judge(frames: list[Frame], *, now: bool = True) -> list[Frame]:
    last, judged = Last(), []
    for frame in frames:
        frame, last = inspect(frame, last, now=now)
        judged.append(frame)
    return judged


def _flaws(frames: list[Frame], *, now: bool = True) -> list[tuple[Flaw, ...]]:
    return [frame.flaws for frame in _judge(frames, now=now)]


def _zero(frame: Frame, *names: str) -> Frame:
    return replace(frame, **{name: np.zeros_like(getattr(frame, name)) for name in names})


def test_sound_frames_have_no_flaws_and_keep_their_time():
    frames = _frames(20)
    assert _flaws(frames) == [()] * 20
    assert [frame.host_ns for frame in _judge(frames)] == [frame.host_ns for frame in frames]


@pytest.mark.parametrize("name", ["color", "ir_lit"])
def test_black_colour_or_infrared_is_blank(name):
    frames = _frames(4)
    frames[2] = _zero(frames[2], name)
    assert _flaws(frames) == [(), (), (Flaw.BLANK,), ()]


def test_one_pixel_of_light_is_a_picture():
    frame = _zero(_frames(1)[0], "color")
    color = frame.color.copy()
    color[77, 13, 1] = 1
    assert _flaws([replace(frame, color=color)]) == [()]


def test_a_black_unlit_picture_is_right_in_the_dark():
    frames = [replace(frame, ir_unlit=np.zeros_like(frame.ir_lit)) for frame in _frames(3)]
    assert _flaws(frames) == [(), (), ()]
    alone = [replace(frame, ir_lit=None) for frame in frames]
    assert all(flaws == (Flaw.BLANK,) for flaws in _flaws(alone))


@pytest.mark.parametrize("name", ["color", "ir_lit", "depth"])
def test_a_repeated_picture_is_frozen(name):
    frames = _frames(4)
    frames[2] = replace(frames[2], **{name: getattr(frames[1], name).copy()})
    honest = name == "color"  # in dim light it has half the rate of depth
    assert _flaws(frames) == [(), (), () if honest else (Flaw.FROZEN,), ()]
    alone = [replace(frame, ir_lit=None, ir_unlit=None, depth=None) for frame in frames]
    assert _flaws(alone) == [(), (), (Flaw.FROZEN,) if honest else (), ()]


def test_one_unlit_picture_may_serve_two_lit_ones():
    frames = _frames(3)
    frames = [replace(frame, ir_unlit=frames[0].ir_lit) for frame in frames]
    assert _flaws(frames) == [(), (), ()]


def test_a_picture_that_differs_in_one_pixel_is_not_frozen():
    frames = _frames(2)
    nearly = frames[0].color.copy()
    nearly[3, 5, 0] ^= 1  # between the rows that are compared first
    assert _flaws([frames[0], replace(frames[1], color=nearly)]) == [(), ()]


def test_depth_without_returns_is_empty_and_not_frozen():
    frames = [_zero(frame, "depth") for frame in _frames(2)]
    assert _flaws(frames) == [(Flaw.DEPTH_EMPTY,)] * 2


@pytest.mark.parametrize("shift_ms", [-40, -10_000, 2_000, 50 * 365 * 86_400_000])
def test_a_leap_of_the_cameras_time_is_told_once(shift_ms):
    frames = _frames(6)
    frames[3:] = [replace(frame, device_ns=frame.device_ns + shift_ms * MS) for frame in frames[3:]]
    assert _flaws(frames) == [(), (), (), (Flaw.CLOCK_JUMP,), (), ()]


def test_another_clock_is_a_jump():
    frames = _frames(4)
    frames[2:] = [replace(frame, clock="system") for frame in frames[2:]]
    assert _flaws(frames) == [(), (), (Flaw.CLOCK_JUMP,), ()]


def test_a_recording_is_read_at_any_pace():
    frames = [replace(frame, host_ns=frame.number) for frame in _frames(5)]
    frames[3:] = [replace(frame, device_ns=frame.device_ns + 5_000 * MS) for frame in frames[3:]]
    assert _flaws(frames, now=False) == [()] * 5


def test_queued_frames_show_their_age():
    """The process was stopped for 5 s: three frames waited, then the camera is live again."""
    frames = _frames(10)
    late = [5_000, 4_970, 4_940]
    for index, ms in zip((4, 5, 6), late, strict=True):
        frames[index] = replace(frames[index], host_ns=frames[index].host_ns + ms * MS)
    frames[7:] = [replace(f, host_ns=f.host_ns + 5_000 * MS, device_ns=f.device_ns + 5_000 * MS) for f in frames[7:]]
    judged = _judge(frames)
    assert [frame.flaws for frame in judged] == [()] * 10
    for index, ms in zip((4, 5, 6), late, strict=True):
        hidden_ms = (frames[index].host_ns - judged[index].host_ns) / MS
        assert ms - 60 < hidden_ms <= ms  # less the drift that is allowed for: 1 % of 5 s
    assert judged[8].host_ns == frames[8].host_ns


def test_a_clock_that_stays_behind_is_believed_again():
    frames = _frames(120)
    frames[10:] = [replace(frame, device_ns=frame.device_ns - 20 * MS, host_ns=frame.host_ns + 900 * MS)
                   for frame in frames[10:]]  # fmt: skip
    judged = _judge(frames)
    jumps = [index for index, frame in enumerate(judged) if frame.flaws]
    assert len(jumps) == 1
    assert judged[jumps[0]].flaws == (Flaw.CLOCK_JUMP,)
    assert 1_000 < (frames[jumps[0]].host_ns - frames[10].host_ns) / MS < 1_200
    assert [frame.host_ns for frame in judged[jumps[0] :]] == [frame.host_ns for frame in frames[jumps[0] :]]


def test_a_clock_one_part_in_a_thousand_slow_is_no_delay():
    frames = [replace(frame, device_ns=round(frame.device_ns * 0.999)) for frame in _frames(300)]
    judged = _judge(frames)
    assert not any(frame.flaws for frame in judged)
    assert all(frame.host_ns == given.host_ns for frame, given in zip(judged, frames, strict=True))
