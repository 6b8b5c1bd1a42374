"""Frame numbers and the camera's clock: they only go forward, and at the pace of the host's monotonic clock."""

from __future__ import annotations

from dataclasses import dataclass, replace

from edgefas.contracts import Reason, TamperRule
from edgefas.sensors.frame import Clock, Frame

WALL_STEP_NS = 20_000_000
"""The host's wall clock moved against its monotonic clock by more: somebody set it."""
WALL_PAUSE_NS = 10_000_000_000
"""Stamps that librealsense maps to the host's wall clock wander for so long after it was set."""


@dataclass(frozen=True)
class ClockMemory:
    """The last frame, and what host time minus device time ought to be."""

    number: int | None = None
    device_ns: int = 0
    host_ns: int = 0
    clock: Clock | None = None
    offset_ns: int | None = None
    """Starts at the smallest of the first frames, one that came without delay; then follows as fast as drift may."""
    settling: int = 0
    """Frames until it is believed; meanwhile a smaller offset is no jump, as first frames often come late."""
    doubt: int = 0
    """Clean frames still wanted after a jump."""
    other_ns: int = 0
    """Another offset that frames have agreed on of late."""
    others: int = 0
    wall_ns: int = 0
    """Wall time minus monotonic time."""
    paused_until_ns: int = 0


def check_clock(
    memory: ClockMemory, rule: TamperRule, frame: Frame, *, live: bool, wall_ns: int = 0
) -> tuple[ClockMemory, Reason | None]:
    """Take in one frame.

    Args:
        live: `frame.host_ns` says when it arrived; of recordings only the order is checked.
        wall_ns: the host's wall time minus its monotonic time. Only clocks that are made of wall time care.

    Returns:
        `CLOCK_JUMPED` for numbers or times that do not go forward or leap, and until `settle_frames` clean
        ones have followed; `FRAME_STALE` for a frame that arrived later than its own time allows.
    """
    anew = _anchored(memory, rule, frame, live, wall_ns)
    number = memory.number
    if number is None:
        return anew, None
    if memory.clock != frame.clock:
        return replace(anew, doubt=rule.settle_frames), Reason.CLOCK_JUMPED
    of_wall = live and frame.clock != "hardware"
    if of_wall and abs(wall_ns - memory.wall_ns) > WALL_STEP_NS:
        memory = replace(memory, paused_until_ns=frame.host_ns + WALL_PAUSE_NS)
    memory = replace(memory, wall_ns=wall_ns)
    paused = of_wall and frame.host_ns < memory.paused_until_ns

    forward = frame.number > number and (paused or frame.device_ns > memory.device_ns)
    if not forward:
        return replace(anew, doubt=rule.settle_frames), Reason.CLOCK_JUMPED
    if not live:
        return _clean(_seen(memory, frame))
    if paused:
        return _clean(replace(anew, paused_until_ns=memory.paused_until_ns))
    return _check_pace(memory, rule, frame)


def _check_pace(memory: ClockMemory, rule: TamperRule, frame: Frame) -> tuple[ClockMemory, Reason | None]:
    assert memory.offset_ns is not None
    step_ns = int(rule.max_clock_step_ms * 1e6)
    offset_ns = frame.host_ns - frame.device_ns
    passed_ns = max(0, frame.host_ns - memory.host_ns)
    ahead, late = offset_ns < memory.offset_ns - step_ns, offset_ns > memory.offset_ns + step_ns
    if memory.settling and offset_ns < memory.offset_ns:
        return _clean(replace(_seen(memory, frame), offset_ns=offset_ns, settling=memory.settling - 1, others=0))
    if not (ahead or late):
        drift_ns = int(passed_ns * rule.max_clock_drift_ppm / 1e6)
        offset_ns = min(max(offset_ns, memory.offset_ns - drift_ns), memory.offset_ns + drift_ns)
        settling = max(0, memory.settling - 1)
        return _clean(replace(_seen(memory, frame), offset_ns=offset_ns, settling=settling, others=0))

    # Elsewhere: adopted when enough frames agree on it, as after a real clock's jump. A clock of another pace never is:
    # before there are enough, it has gone too far from where they began. So has one whose first frame came late: the
    # next round then begins with a frame that did not.
    others, other_ns = memory.others + 1, memory.other_ns
    if memory.others == 0 or abs(offset_ns - other_ns) > step_ns // 2:
        others, other_ns = 1, offset_ns
    moved = replace(_seen(memory, frame), others=others, other_ns=other_ns, doubt=rule.settle_frames)
    if others > 2 * rule.settle_frames:
        if abs(offset_ns - other_ns) < step_ns // 10:
            moved = replace(moved, offset_ns=offset_ns, others=0, settling=rule.settle_frames, doubt=0)
        else:
            moved = replace(moved, other_ns=offset_ns, others=1)
    return (moved, Reason.CLOCK_JUMPED) if ahead else (replace(moved, doubt=memory.doubt), Reason.FRAME_STALE)


def _anchored(memory: ClockMemory, rule: TamperRule, frame: Frame, live: bool, wall_ns: int) -> ClockMemory:
    """Begin anew at this frame."""
    offset_ns = frame.host_ns - frame.device_ns if live else None
    memory = replace(memory, clock=frame.clock, offset_ns=offset_ns, settling=rule.settle_frames)
    return replace(_seen(memory, frame), wall_ns=wall_ns, others=0)


def _seen(memory: ClockMemory, frame: Frame) -> ClockMemory:
    return replace(memory, number=frame.number, device_ns=frame.device_ns, host_ns=frame.host_ns)


def _clean(memory: ClockMemory) -> tuple[ClockMemory, Reason | None]:
    """One clean frame less to wait for."""
    if memory.doubt == 0:
        return memory, None
    return replace(memory, doubt=memory.doubt - 1), Reason.CLOCK_JUMPED
