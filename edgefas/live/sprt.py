"""The sequential probability ratio test: evidence adds up until it is enough for one answer or the other.

A. Wald, "Sequential tests of statistical hypotheses", Ann. Math. Statist. 16 (1945): sum the log-likelihood ratios of
independent observations, stop at log((1 - beta) / alpha) or log(beta / (1 - alpha)). Three things are a
reconstruction, since frames before a door are neither independent nor of one length:

- Correlation. Of n frames dt apart whose correlation falls as exp(-dt / T), the mean is as good as that of
  1 + (n - 1) w independent ones, w = (1 - rho) / (1 + rho) = tanh(dt / 2T): the effective sample size of a first-order
  autoregression. So each log-likelihood ratio weighs w, and the first `min_frames` weigh at least 1 / min_frames, which
  together make the one independent frame that every test has. Evidence then grows with time and not with the frame
  rate, and a moment told twice counts once.
- Clipping. One frame gives at most `max_frame_evidence`, either way, and never enough to open a door.
- No end. The evidence stays between the two boundaries, and the test goes on.
"""

from __future__ import annotations

import math

from edgefas.contracts import Decision, FaceBox, ScoreCalibration, SprtRule, TemporalRule, Verdict
from edgefas.live.memory import Memory

NS_PER_MS = 1e6


def advance(
    memory: Memory,
    rule: TemporalRule,
    calibration: ScoreCalibration,
    decision: Decision,
    face: FaceBox | None,
    device_ns: int,
) -> Memory:
    """Take in one frame's decision.

    The state changes only by a scored frame that speaks for the new state, or back to no decision. An attack frame
    ends an acceptance at once, and what had been proven is void.
    """
    test = rule.sprt
    evidence = faded(memory, test, device_ns)
    scored_ns, frames = (memory.scored_ns, memory.frames) if remembered(memory, test, device_ns) else (None, 0)
    state, supported_ns, refused_ns = memory.state, memory.supported_ns, memory.refused_ns
    if decision.score is not None and decision.verdict is not Verdict.NO_DECISION:
        if decision.verdict is Verdict.ATTACK and state is Verdict.BONA_FIDE:
            state, evidence, frames = Verdict.NO_DECISION, 0.0, 0
        gap_ns = None if scored_ns is None else device_ns - scored_ns
        given = frame_evidence(decision, test, calibration, frames, gap_ns)
        evidence = min(max(evidence + given, test.reject_evidence), test.accept_evidence)
        frames, scored_ns = frames + (scored_ns is None or device_ns > scored_ns), device_ns
        reached = _reached(evidence, given, test) if frames >= test.min_frames else None
        if reached is Verdict.ATTACK:
            refused_ns = device_ns
        if reached is Verdict.BONA_FIDE and refused_ns is not None:
            reached = reached if device_ns - refused_ns > test.release_ms * NS_PER_MS else None
        if reached is not None:
            state, supported_ns = reached, device_ns
        elif state is Verdict.BONA_FIDE and evidence <= 0:
            state = Verdict.NO_DECISION
    elif scored_ns is None:
        evidence = 0.0
    else:
        evidence = memory.evidence  # as it was at scored_ns: it fades from there
    if state is not Verdict.NO_DECISION and device_ns - supported_ns > rule.hold_ms * NS_PER_MS:
        state = Verdict.NO_DECISION
    return Memory(
        evidence=evidence,
        frames=frames,
        scored_ns=scored_ns,
        refused_ns=refused_ns,
        state=state,
        since_ns=memory.since_ns if state is memory.state and memory.since_ns is not None else device_ns,
        supported_ns=supported_ns,
        last_ns=device_ns,
        face=face or memory.face,
    )


def frame_evidence(
    decision: Decision, test: SprtRule, calibration: ScoreCalibration, frames: int, gap_ns: int | None
) -> float:
    """What a scored frame adds, in nats: its log-likelihood ratio, weighed by what is new in it, then clipped.

    Args:
        frames: that gave evidence before it in this test.
        gap_ns: since the last of them; None if there is none.
    """
    assert decision.score is not None
    if gap_ns is not None and gap_ns <= 0:
        return 0.0  # the same moment again
    ratio = calibration.log_likelihood_ratio(decision.score)
    if decision.verdict is Verdict.ATTACK:
        ratio = min(ratio, 0.0)  # a frame that is called an attack never speaks for bona fide
    weight = independent_share(test.max_gap_ms if gap_ns is None else gap_ns / NS_PER_MS, test, calibration)
    if frames < test.min_frames:
        weight = max(weight, 1 / test.min_frames)
    return min(max(ratio * weight, -test.max_frame_evidence), test.max_frame_evidence)


def independent_share(gap_ms: float, test: SprtRule, calibration: ScoreCalibration) -> float:
    """How many independent frames one is worth that comes `gap_ms` after the last, above 0 to 1."""
    if calibration.correlation_ms == 0:
        return 1.0
    return math.tanh(min(gap_ms, test.max_gap_ms) / (2 * calibration.correlation_ms))


def remembered(memory: Memory, test: SprtRule, device_ns: int) -> bool:
    """Whether the last scored frame is young enough to build on."""
    return memory.scored_ns is not None and device_ns - memory.scored_ns < test.forget_ms * NS_PER_MS


def faded(memory: Memory, test: SprtRule, device_ns: int) -> float:
    """The evidence at a later time: whole until `max_gap_ms`, then linearly down to nothing at `forget_ms`."""
    if memory.scored_ns is None or not remembered(memory, test, device_ns):
        return 0.0
    silent_ms = (device_ns - memory.scored_ns) / NS_PER_MS
    left = (test.forget_ms - silent_ms) / (test.forget_ms - test.max_gap_ms)
    return memory.evidence * min(left, 1.0)


def _reached(evidence: float, given: float, test: SprtRule) -> Verdict | None:
    """The boundary that the evidence is at, if this frame spoke for it."""
    if evidence >= test.accept_evidence and given > 0:
        return Verdict.BONA_FIDE
    if evidence <= test.reject_evidence and given < 0:
        return Verdict.ATTACK
    return None
