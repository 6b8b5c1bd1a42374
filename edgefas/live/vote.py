"""The vote: what decides without a score calibration. Every frame counts the same, whatever its score was."""

from __future__ import annotations

from edgefas.contracts import Decision, FaceBox, TemporalRule, Verdict
from edgefas.live.memory import Memory


def advance(memory: Memory, rule: TemporalRule, decision: Decision, face: FaceBox | None, device_ns: int) -> Memory:
    """Take in one frame's decision.

    Bona fide needs `accept_frames` bona fide votes within the window and not one attack; attack needs
    `reject_frames`.
    """
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
    return Memory(
        votes=votes,
        state=state,
        since_ns=since_ns,
        supported_ns=supported_ns,
        last_ns=device_ns,
        face=face or memory.face,
    )


def _proposed(votes: tuple[tuple[int, Verdict], ...], rule: TemporalRule) -> Verdict | None:
    attacks = sum(verdict is Verdict.ATTACK for _, verdict in votes)
    if attacks >= rule.reject_frames:
        return Verdict.ATTACK
    if attacks == 0 and len(votes) >= rule.accept_frames:
        return Verdict.BONA_FIDE
    return None
