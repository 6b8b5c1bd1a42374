"""The sequential test against Wald's, its error rates on drawn scores, and what it must never do."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgefas.contracts import (
    ContractError,
    Decision,
    FaceBox,
    Policy,
    Reason,
    ScoreCalibration,
    SprtRule,
    TemporalRule,
    Verdict,
)
from edgefas.evaluation.intervals import wilson
from edgefas.live.temporal import UNTRUSTED, Memory, advance, evidence_of, forget, rule_of
from tests.scenes import face

MS = 1_000_000
FRAME_MS = 33
HOLD_MS = 400


def policy(correlation_ms: float = 0, threshold: float = -100, **changes: float) -> Policy:
    """Scores are log-likelihood ratios: slope 1, offset 0."""
    calibration = ScoreCalibration(
        model="m", model_sha256="0" * 64, slope=1, offset=0, correlation_ms=correlation_ms,
        bona_fide_episodes=9, attack_episodes=9, frames=99,
    )  # fmt: skip
    rule = TemporalRule(hold_ms=HOLD_MS, sprt=SprtRule.from_dict(changes))
    return Policy(threshold=threshold, calibration=calibration, temporal=rule)


def play(
    wanted: Policy, scores: list[float | None], step_ms: float = FRAME_MS, memory: Memory | None = None
) -> list[Memory]:
    """Scores in equal steps; None is a frame without a decision."""
    memory = memory or Memory()
    memories, now = [], memory.last_ns or 0
    for score in scores:
        now += int(step_ms * MS)
        decision = Decision.none(Reason.NO_FACE) if score is None else Decision.from_score(score, wanted.threshold)
        memory = advance(memory, wanted, decision, face() if score is not None else None, now)
        memories.append(memory)
    return memories


def wald(ratios: list[float], alpha: float, beta: float, at_least: int) -> tuple[str, int] | None:
    """Wald (1945), section 3: the first n where the product of likelihood ratios leaves (B, A), and which way."""
    product = np.float64(1)
    for n, ratio in enumerate(ratios, 1):
        product *= np.exp(np.float64(ratio))
        product = min(max(product, np.float64(beta / (1 - alpha))), np.float64((1 - beta) / alpha))
        if n >= at_least and product >= (1 - beta) / alpha * (1 - 1e-12):
            return "bona_fide", n
        if n >= at_least and product <= beta / (1 - alpha) * (1 + 1e-12):
            return "attack", n
    return None


@given(
    st.lists(st.floats(-3, 3), min_size=1, max_size=40), st.sampled_from([1e-5, 1e-3]), st.sampled_from([1e-5, 0.05])
)
def test_it_stops_where_walds_test_stops(ratios: list[float], alpha: float, beta: float) -> None:
    wanted = policy(max_apcer=alpha, max_bpcer=beta, max_frame_evidence=3.5, min_frames=2, release_ms=0)
    expected = wald(ratios, alpha, beta, 2)
    states = [memory.state for memory in play(wanted, list(ratios))]
    decided = next(((state.value, n) for n, state in enumerate(states, 1) if state is not Verdict.NO_DECISION), None)
    if expected is None or _near_a_boundary(ratios, alpha, beta):
        return
    assert decided == expected


def _near_a_boundary(ratios: list[float], alpha: float, beta: float) -> bool:
    """Sums and products round differently: within 1e-9 of a boundary either answer is right."""
    total = 0.0
    for ratio in ratios:
        total += ratio
        if min(abs(total - math.log((1 - beta) / alpha)), abs(total - math.log(beta / (1 - alpha)))) < 1e-9:
            return True
    return False


def episode(rng: np.random.Generator, label: int, distance: float, rho: float, frames: int) -> list[float]:
    """Log-likelihood ratios of two Gaussians `distance` spreads apart, a first-order autoregression; label +1 or -1."""
    state, ratios = rng.normal(), []
    for fresh in rng.normal(size=frames).tolist():
        ratios.append(float(label * distance**2 / 2 + distance * state))
        state = rho * state + math.sqrt(1 - rho * rho) * fresh
    return ratios


def wrong_and_undecided(wanted: Policy, label: int, distance: float, rho: float, episodes: int) -> tuple[int, int]:
    """(first decision wrong, none within 300 frames)."""
    rng = np.random.default_rng([7, label + 1, round(100 * distance), round(100 * rho)])
    wrong = undecided = 0
    for _ in range(episodes):
        memory, now = Memory(), 0
        for ratio in episode(rng, label, distance, rho, 300):
            now += FRAME_MS * MS
            memory = advance(memory, wanted, Decision.from_score(ratio, -100), None, now)
            if memory.state is not Verdict.NO_DECISION:
                break
        wrong += memory.state is (Verdict.ATTACK if label > 0 else Verdict.BONA_FIDE)
        undecided += memory.state is Verdict.NO_DECISION
    return wrong, undecided


EPISODES, ALPHA, BETA = 400, 0.05, 0.1
DRAWN = [(1.0, 0.0), (2.0, 0.0), (2.0, 0.5), (1.5, 0.8), (2.0, 0.9), (3.0, 0.95)]


@pytest.mark.parametrize(("distance", "rho"), DRAWN)
def test_drawn_scores_reach_the_error_targets(distance: float, rho: float) -> None:
    correlation_ms = -FRAME_MS / math.log(rho) if rho else 0.0
    wanted = policy(correlation_ms, max_apcer=ALPHA, max_bpcer=BETA, max_frame_evidence=1.4)
    for label, target in ((-1, ALPHA), (1, BETA)):
        wrong, undecided = wrong_and_undecided(wanted, label, distance, rho, EPISODES)
        assert wilson(wrong, EPISODES).low <= target
        assert undecided <= EPISODES // 50, "a test that never answers makes no errors"


def test_without_the_discount_correlated_scores_miss_the_target() -> None:
    """The planted bug: correlated frames taken for independent ones."""
    wanted = policy(0, max_apcer=ALPHA, max_bpcer=BETA, max_frame_evidence=1.4)
    wrong, _ = wrong_and_undecided(wanted, -1, 2.0, 0.9, EPISODES)
    assert wilson(wrong, EPISODES).low > ALPHA


@pytest.mark.parametrize("correlation_ms", [0, 50, 500, 1e6])
def test_one_frame_never_opens_a_door(correlation_ms: float) -> None:
    wanted = policy(correlation_ms, min_frames=2)
    outlier = play(wanted, [1e30, 0.0, 0.0, 0.0])
    assert {memory.state for memory in outlier} == {Verdict.NO_DECISION}
    assert outlier[0].evidence <= wanted.temporal.sprt.max_frame_evidence


def test_a_frame_that_could_open_a_door_is_refused_in_the_policy() -> None:
    with pytest.raises(ContractError, match=r"max_frame_evidence 5.0 must be below 4.55, the evidence that opens"):
        policy(max_frame_evidence=5)
    with pytest.raises(ContractError, match=r"max_gap_ms 600.0 must be below forget_ms 500"):
        policy(max_gap_ms=600)


def test_a_moment_told_twice_counts_once() -> None:
    wanted = policy(min_frames=2)
    memory = play(wanted, [2.0])[-1]
    for _ in range(20):
        memory = advance(memory, wanted, Decision.from_score(2.0, -100), face(), memory.last_ns or 0)
    assert memory.state is Verdict.NO_DECISION
    assert (memory.evidence, memory.frames) == (2.0, 1)


@pytest.mark.parametrize("correlation_ms", [200, 2000])
def test_evidence_grows_with_time_and_not_with_the_frame_rate(correlation_ms: float) -> None:
    wanted = policy(correlation_ms, max_apcer=1e-9)
    at_30, at_60, at_10 = (play(wanted, [1.0] * count, step_ms=1000 / count)[-1].evidence for count in (30, 60, 10))
    assert at_60 == pytest.approx(at_30, rel=0.1)
    assert at_10 == pytest.approx(at_30, rel=0.3), "the first frames of a test last longer at 10 a second"


def test_evidence_fades_in_a_gap_and_is_forgotten_after_it() -> None:
    wanted = policy(max_gap_ms=100, forget_ms=300, max_apcer=1e-9)
    begun = play(wanted, [1.5] * 4)[-1]
    assert begun.evidence == pytest.approx(6.0)
    left = {}
    for silent_ms in (90, 200, 299, 300, 10_000):
        later = advance(begun, wanted, Decision.none(Reason.NO_FACE), None, (begun.last_ns or 0) + silent_ms * MS)
        left[silent_ms] = evidence_of(later, wanted)
        again = advance(later, wanted, Decision.from_score(1.0, -100), face(), (begun.last_ns or 0) + silent_ms * MS)
        assert again.evidence == pytest.approx(left[silent_ms] + 1.0), "seen twice, faded once"
    assert left == pytest.approx({90: 6.0, 200: 3.0, 299: 0.03, 300: 0.0, 10_000: 0.0})


def test_frames_without_a_decision_do_not_stop_the_fading() -> None:
    wanted = policy(max_gap_ms=100, forget_ms=300, max_apcer=1e-9)
    begun = play(wanted, [1.5] * 4)[-1]
    assert evidence_of(play(wanted, [None] * 4, step_ms=50, memory=begun)[-1], wanted) == pytest.approx(3.0)
    assert evidence_of(play(wanted, [None] * 7, step_ms=50, memory=begun)[-1], wanted) == 0


def test_a_state_never_outlives_its_hold() -> None:
    accepted = play(policy(), [2.0] * 5)[-1]
    assert accepted.state is Verdict.BONA_FIDE
    for index, memory in enumerate(play(policy(), [None] * 40, memory=accepted), 1):
        assert (memory.state is Verdict.BONA_FIDE) == (index * FRAME_MS <= HOLD_MS)


def test_an_attack_ends_an_acceptance_and_all_must_be_proven_again() -> None:
    wanted = policy(threshold=0)
    accepted = play(wanted, [2.0] * 30)[-1]
    after = play(wanted, [-0.1, *[2.0] * 9], memory=accepted)
    assert after[0].state is Verdict.NO_DECISION
    first = next(n for n, memory in enumerate(after) if memory.state is Verdict.BONA_FIDE)
    assert first == wanted.temporal.sprt.min_frames - 1
    assert {m.state for m in play(wanted, [-0.1] + [None] * 9, memory=accepted)} == {Verdict.NO_DECISION}


def test_after_an_attack_nobody_is_accepted_for_a_while() -> None:
    wanted = policy(release_ms=1000)
    rejected = play(wanted, [-2.0] * 5)[-1]
    assert rejected.state is Verdict.ATTACK
    states = [memory.state for memory in play(wanted, [2.0] * 60, memory=rejected)]
    first = states.index(Verdict.BONA_FIDE)
    assert 1000 < (first + 1) * FRAME_MS <= 1000 + FRAME_MS


def test_a_frame_called_an_attack_never_speaks_for_bona_fide() -> None:
    """A threshold above the point where the ratio turns."""
    assert {memory.evidence for memory in play(policy(threshold=3), [2.0] * 9)} == {0.0}


def test_a_frame_that_says_nothing_opens_nothing() -> None:
    """The evidence is there before `min_frames` are; it waits for a frame that speaks for bona fide."""
    states = [memory.state for memory in play(policy(), [2.0, 2.0, 2.0, 0.0, 0.0, 0.0, 0.1])]
    assert states == [Verdict.NO_DECISION] * 6 + [Verdict.BONA_FIDE]


def test_the_policy_says_which_rule_decides() -> None:
    assert rule_of(policy()) == "sprt"
    assert rule_of(Policy()) == "vote"
    assert evidence_of(play(Policy(), [2.0])[-1], Policy()) is None


def test_a_policy_from_before_votes() -> None:
    text = '{"schema_version": 1, "threshold": -0.355, "temporal": {"window_ms": 500.0, "accept_frames": 3}}'
    old = Policy.from_json(text)
    assert old.calibration is None
    states = [memory.state for memory in play(old, [0.0] * 4)]
    assert states == [Verdict.NO_DECISION] * 2 + [Verdict.BONA_FIDE] * 2


# --- What must never happen, over any history ---

ELSEWHERE = face(x=20)
Event = tuple[str, float, int]
events = st.lists(
    st.tuples(
        st.sampled_from(["score"] * 6 + ["nothing", "other face", "untrusted", "silence"]),
        st.floats(-6, 12),
        st.one_of(st.integers(20, 60), st.integers(-100, 3000)),
    ),
    max_size=60,
)


@given(events, st.sampled_from([0.0, 40.0, 400.0]), st.sampled_from([-100.0, 0.0, 1.0]))
def test_bona_fide_is_always_earned(history: list[Event], correlation_ms: float, threshold: float) -> None:
    """Written from the rule's text: what may have spoken for a state since the last thing that voids it."""
    wanted = policy(correlation_ms, threshold)
    test = wanted.temporal.sprt
    memory, now, place = Memory(), 10**9, face()
    begun, earned, spoken, last_support, last_scored = 0, 0.0, False, 0, 0
    for kind, score, step_ms in history:
        before, backwards = memory.state, step_ms < 0
        now += step_ms * MS
        if backwards or kind in ("other face", "untrusted", "silence") or now - last_scored >= test.forget_ms * MS:
            begun, earned = 0, 0.0
        if kind == "silence":
            memory = forget(memory)
            assert memory.state is Verdict.NO_DECISION
            continue
        if kind == "other face":
            place = ELSEWHERE if place is not ELSEWHERE else face()
        decision = _decision(kind, score, threshold)
        memory = advance(memory, wanted, decision, None if decision.score is None else place, now)
        spoken = decision.verdict is Verdict.BONA_FIDE and score > 0
        if decision.verdict is Verdict.ATTACK and before is Verdict.BONA_FIDE:
            begun, earned = 0, 0.0
        if decision.score is not None:
            begun, last_scored = begun + 1, now
            earned += min(max(score, 0.0), test.max_frame_evidence) if spoken else 0.0
        if memory.state is not Verdict.BONA_FIDE:
            continue
        assert kind != "untrusted"
        assert decision.verdict is not Verdict.ATTACK
        if before is not Verdict.BONA_FIDE or backwards or kind == "other face":
            assert spoken, "only a frame that speaks for it makes it so"
            assert begun >= test.min_frames
            assert earned >= test.accept_evidence * (1 - 1e-9)
        last_support = now if spoken and memory.supported_ns == now else last_support
        assert now - last_support <= HOLD_MS * MS


def _decision(kind: str, score: float, threshold: float) -> Decision:
    if kind == "untrusted":
        return Decision.none(Reason.CAMERA_CHANGED)
    return Decision.none(Reason.NO_FACE) if kind == "nothing" else Decision.from_score(score, threshold)


@given(
    st.lists(
        st.tuples(
            st.integers(-(2**70), 2**70),
            st.floats(allow_nan=True, allow_infinity=True),
            st.sampled_from([None, face(), ELSEWHERE]),
        ),
        max_size=20,
    )
)
def test_no_clock_and_no_score_raises(history: list[tuple[int, float, FaceBox | None]]) -> None:
    for wanted in (policy(300), policy(0), Policy()):
        memory = Memory()
        for now, score, box in history:
            memory = advance(memory, wanted, Decision.from_score(score, 0), box, now)
            assert wanted.temporal.sprt.reject_evidence <= memory.evidence <= wanted.temporal.sprt.accept_evidence


def test_reasons_that_end_trust_are_reasons() -> None:
    """Those this version knows; the set also names those of checks that may not be installed."""
    assert Reason.CAMERA_CHANGED.value in UNTRUSTED
    accepted = play(policy(), [2.0] * 5)[-1]
    swapped = advance(accepted, policy(), Decision.none(Reason.CAMERA_CHANGED), None, (accepted.last_ns or 0) + 33 * MS)
    assert (swapped.state, swapped.evidence) == (Verdict.NO_DECISION, 0.0)
