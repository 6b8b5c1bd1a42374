"""Is this frame a picture at all, and how old is it? Told by comparing it with what came before."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from edgefas.sensors.frame import U8, U16, Flaw, Frame

_ROWS = slice(8, None, 16)
"""Enough to tell two pictures apart; whole ones are compared only where these rows are equal."""
_MIN_DEPTH_SHARE = 0.01
_LEAP_NS = 1_000_000_000
"""No frame comes so much earlier than the promptest one."""
_DRIFT = 0.01
"""How much faster or slower than the host's a camera's clock may run."""
_BEHIND_NS = 150_000_000
_BEHIND_FOR_NS = 1_000_000_000
"""What waited in a queue is caught up with sooner: later, it is the clock that is wrong."""


@dataclass(frozen=True, eq=False)
class Last:
    """What is remembered of the frames before; `frame` None means nothing."""

    frame: Frame | None = None
    arrived_ns: int = 0
    """Host time at which that frame was taken from the driver."""
    offset_ns: float = 0.0
    """Host time less camera time of the promptest frame lately."""
    behind_since_ns: int | None = None


def inspect(frame: Frame, last: Last, *, now: bool) -> tuple[Frame, Last]:
    """`frame` with its flaws and, from a camera, its true age; and the memory for the next.

    A frame that waited in a driver's queue (the process was stopped, the machine was busy) looks new when it is taken
    out. So `host_ns` becomes the time at which it would have come as promptly as the promptest: the camera's own clock
    tells how long ago that was.

    A black unlit picture beside a lit one is no flaw: in the dark it is right. Nor is a saturated one.

    Args:
        now: it comes from a camera, so that the host's time means something.
    """
    before = last.frame
    dark = (frame.color, frame.ir_lit if frame.ir_lit is not None else frame.ir_unlit)
    following, late_ns, jumped = _follow_clock(frame, last, now)
    tests = {
        Flaw.BLANK: any(picture is not None and _is_zero(picture) for picture in dark),
        Flaw.FROZEN: before is not None and _is_frozen(frame, before),
        Flaw.DEPTH_EMPTY: frame.depth is not None and _depth_share(frame.depth) < _MIN_DEPTH_SHARE,
        Flaw.CLOCK_JUMP: jumped,
    }
    flaws = tuple(flaw for flaw in Flaw if tests[flaw])
    return replace(frame, flaws=flaws, host_ns=frame.host_ns - late_ns), following


def _follow_clock(frame: Frame, last: Last, now: bool) -> tuple[Last, int, bool]:
    """The memory for the next frame, how late this one comes, and whether the camera's clock has jumped."""
    arrived_ns, before = frame.host_ns, last.frame
    offset_ns = float(arrived_ns - frame.device_ns)
    anew = Last(frame, arrived_ns, offset_ns)
    if before is None:
        return anew, 0, False
    camera_ns, host_ns = frame.device_ns - before.device_ns, arrived_ns - last.arrived_ns
    if frame.clock != before.clock or camera_ns <= 0 or (now and last.offset_ns - offset_ns > _LEAP_NS):
        return anew, 0, True
    late_ns = offset_ns - (last.offset_ns + _DRIFT * host_ns)
    if not now or late_ns <= 0:
        return anew, 0, False
    since_ns = None
    if late_ns > _BEHIND_NS:
        since_ns = arrived_ns if last.behind_since_ns is None else last.behind_since_ns
        if arrived_ns - since_ns > _BEHIND_FOR_NS:
            return anew, 0, True
    return Last(frame, arrived_ns, offset_ns - late_ns, since_ns), round(late_ns), False


def _is_zero(picture: U8 | U16) -> bool:
    return not picture[_ROWS].any() and not picture.max()  # max runs on vectors, any does not


def _is_frozen(frame: Frame, before: Frame) -> bool:
    """Colour is asked only where it is alone: at half the rate of depth (dim light), or when frames come in a rush, one
    colour picture honestly belongs to two moments."""
    stereo: tuple[tuple[Any, Any], ...] = (
        (frame.ir_lit, before.ir_lit),
        (frame.ir_unlit, before.ir_unlit),
        (frame.depth, before.depth),
    )
    both = [(new, old) for new, old in stereo if new is not None and old is not None]
    if not both and frame.color is not None and before.color is not None:
        both = [(frame.color, before.color)]
    # The very same array is one unlit picture beside two lit ones: no repetition of the camera's.
    return any(new is not old and _repeats(new, old) for new, old in both)


def _repeats(new: U8 | U16, old: U8 | U16) -> bool:
    """Equal, and not all zero: that has other names."""
    if new.shape != old.shape or not np.array_equal(new[_ROWS], old[_ROWS]):
        return False
    return np.array_equal(new, old) and not _is_zero(new)


def _depth_share(depth: U16) -> float:
    part = depth[_ROWS]
    return np.count_nonzero(part) / part.size
