"""The temporal rule: from frame decisions to the state a door uses. Pure; all times are device times."""

from __future__ import annotations

from dataclasses import dataclass

from edgefas.contracts import Decision, FaceBox, TemporalRule, Verdict


@dataclass(frozen=True)
class Memory:
    """What the rule remembers between frames."""

    votes: tuple[tuple[int, Verdict], ...] = ()
    """(device_ns, verdict) of the scored frames within the window."""
    state: Verdict = Verdict.NO_DECISION
    since_ns: int | None = None
    supported_ns: int = 0
    """Device time of the last frame that spoke for the state."""
    last_ns: int | None = None
    face: FaceBox | None = None


def advance(memory: Memory, rule: TemporalRule, decision: Decision, face: FaceBox | None, device_ns: int) -> Memory:
    """Take in one frame's decision.

    Bona fide needs `accept_frames` bona fide votes within the window and not one attack; attack needs
    `reject_frames`. A clock that runs backwards, or another face in place of the last, forgets everything:
    what was proven of one face says nothing of the next.
    """
    if (memory.last_ns is not None and device_ns < memory.last_ns) or _another_face(memory.face, face, rule):
        memory = Memory()
    window_start_ns = device_ns - int(rule.window_ms * 1e6)
    votes = tuple(vote for vote in memory.votes if vote[0] > window_start_ns)
    if decision.verdict is not Verdict.NO_DECISION:
        votes += ((device_ns, decision.verdict),)

    proposed = _proposed(votes, rule)
    supported_ns = memory.supported_ns
    if proposed is not None and decision.verdict is proposed:
        supported_ns = device_ns
    state = proposed if proposed is not None and proposed is decision.verdict else memory.state
    if state is Verdict.BONA_FIDE and any(verdict is Verdict.ATTACK for _, verdict in votes):
        state = Verdict.NO_DECISION  # doubt ends an acceptance at once
    if state is not Verdict.NO_DECISION and device_ns - supported_ns > rule.hold_ms * 1e6:
        state = Verdict.NO_DECISION
    since_ns = memory.since_ns if state is memory.state and memory.since_ns is not None else device_ns
    return Memory(votes, state, since_ns, supported_ns, device_ns, face or memory.face)


def forget(memory: Memory) -> Memory:
    """The stream broke: whatever was believed is no longer supported."""
    return Memory(last_ns=memory.last_ns)


def _proposed(votes: tuple[tuple[int, Verdict], ...], rule: TemporalRule) -> Verdict | None:
    attacks = sum(verdict is Verdict.ATTACK for _, verdict in votes)
    if attacks >= rule.reject_frames:
        return Verdict.ATTACK
    if attacks == 0 and len(votes) >= rule.accept_frames:
        return Verdict.BONA_FIDE
    return None


def _another_face(last: FaceBox | None, now: FaceBox | None, rule: TemporalRule) -> bool:
    return last is not None and now is not None and last.iou(now) < rule.min_face_iou
