"""The temporal decision: from frame decisions to the state a door uses. Pure; all times are device times.

A policy with a score calibration is decided by a sequential test (sprt.py), one without by a vote (vote.py).
"""

from __future__ import annotations

from typing import Literal

from edgefas.contracts import Decision, FaceBox, Policy
from edgefas.live import sprt, vote
from edgefas.live.memory import Memory

Rule = Literal["sprt", "vote"]

UNTRUSTED = frozenset({"camera_changed", "camera_untrusted", "challenge_failed", "clock_jumped", "frame_looped"})
"""Reasons that say the witness is not who it was: what it told before counts no more."""

__all__ = ["Memory", "Rule", "advance", "evidence_of", "forget", "rule_of"]


def rule_of(policy: Policy) -> Rule:
    """Which of the two rules a policy is decided by."""
    return "vote" if policy.calibration is None else "sprt"


def advance(memory: Memory, policy: Policy, decision: Decision, face: FaceBox | None, device_ns: int) -> Memory:
    """Take in one frame's decision.

    A clock that runs backwards, or another face in place of the last, forgets everything: what was proven of one
    face says nothing of the next. So does a frame that says the camera is not to be trusted.
    """
    rule = policy.temporal
    backwards = memory.last_ns is not None and device_ns < memory.last_ns
    moved = memory.face is not None and face is not None and memory.face.iou(face) < rule.min_face_iou
    if backwards or moved or decision.reason.value in UNTRUSTED:
        memory = Memory()
    if policy.calibration is None:
        return vote.advance(memory, rule, decision, face, device_ns)
    return sprt.advance(memory, rule, policy.calibration, decision, face, device_ns)


def forget(memory: Memory) -> Memory:
    """The stream broke: whatever was believed is no longer supported."""
    return Memory(last_ns=memory.last_ns)


def evidence_of(memory: Memory, policy: Policy) -> float | None:
    """The evidence at the last frame, in nats; None where frames vote."""
    if policy.calibration is None:
        return None
    return sprt.faded(memory, policy.temporal.sprt, memory.last_ns) if memory.last_ns is not None else 0.0
