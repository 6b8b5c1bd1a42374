"""The vote, which decides without a calibration: what a door may believe, and for how long."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edgefas.contracts import Decision, Policy, Reason, TemporalRule, Verdict
from edgefas.live.temporal import Memory, advance, forget
from tests.scenes import face

MS = 1_000_000
RULE = TemporalRule(window_ms=500, accept_frames=5, reject_frames=2, hold_ms=400)
POLICY = Policy(temporal=RULE)
ALIVE, SPOOF, NOTHING = Decision.from_score(3, 0), Decision.from_score(-3, 0), Decision.none(Reason.NO_FACE)


def play(decisions: list[Decision], step_ms: int = 33, memory: Memory | None = None) -> list[Memory]:
    memories, now = [], 0 if memory is None or memory.last_ns is None else memory.last_ns
    memory = memory or Memory()
    for decision in decisions:
        now += step_ms * MS
        memory = advance(memory, POLICY, decision, None if decision is NOTHING else face(), now)
        memories.append(memory)
    return memories


def test_accepts_after_enough_frames_and_not_before() -> None:
    states = [m.state for m in play([ALIVE] * 6)]
    assert states == [Verdict.NO_DECISION] * 4 + [Verdict.BONA_FIDE] * 2


def test_since_is_when_the_state_began() -> None:
    memories = play([ALIVE] * 8)
    assert memories[-1].since_ns == 5 * 33 * MS


def test_slow_frames_never_fill_the_window() -> None:
    assert {m.state for m in play([ALIVE] * 20, step_ms=150)} == {Verdict.NO_DECISION}


def test_one_attack_ends_an_acceptance_and_two_are_an_attack() -> None:
    memories = play([ALIVE] * 6 + [SPOOF, SPOOF])
    assert [m.state for m in memories[-3:]] == [Verdict.BONA_FIDE, Verdict.NO_DECISION, Verdict.ATTACK]


def test_an_attack_blocks_acceptance_while_it_is_in_the_window() -> None:
    states = [m.state for m in play([SPOOF] + [ALIVE] * 30)]
    first = states.index(Verdict.BONA_FIDE)
    assert first * 33 >= RULE.window_ms - 33


def test_a_state_never_outlives_its_hold() -> None:
    memories = play([ALIVE] * 6 + [NOTHING] * 40)
    supported = 6 * 33
    for index, memory in enumerate(memories[6:], start=7):
        expected = index * 33 - supported <= RULE.hold_ms
        assert (memory.state is Verdict.BONA_FIDE) == expected


def test_a_gap_in_the_stream_ends_the_state() -> None:
    accepted = play([ALIVE] * 6)[-1]
    later = advance(accepted, POLICY, NOTHING, None, accepted.last_ns + 401 * MS)
    assert later.state is Verdict.NO_DECISION
    assert later.since_ns == later.last_ns


def test_another_face_starts_again() -> None:
    accepted = play([ALIVE] * 6)[-1]
    other = advance(accepted, POLICY, ALIVE, face(x=20), accepted.last_ns + 33 * MS)
    assert other.state is Verdict.NO_DECISION
    assert len(other.votes) == 1


def test_a_clock_running_backwards_forgets() -> None:
    accepted = play([ALIVE] * 6)[-1]
    assert advance(accepted, POLICY, ALIVE, face(), 1).state is Verdict.NO_DECISION


def test_silence_forgets() -> None:
    assert forget(play([ALIVE] * 6)[-1]).state is Verdict.NO_DECISION


@given(st.lists(st.tuples(st.sampled_from([ALIVE, SPOOF, NOTHING]), st.integers(1, 700)), max_size=60))
def test_bona_fide_always_has_fresh_and_unanimous_support(events: list[tuple[Decision, int]]) -> None:
    """Written from the rule's text, over the raw history."""
    memory, now, history = Memory(), 0, []
    for decision, gap_ms in events:
        now += gap_ms * MS
        memory = advance(memory, POLICY, decision, None if decision is NOTHING else face(), now)
        history.append((now, decision))
        if memory.state is not Verdict.BONA_FIDE:
            continue
        last_alive = max(t for t, d in history if d is ALIVE)
        assert now - last_alive <= RULE.hold_ms * MS
        assert not any(d is SPOOF and t > now - RULE.window_ms * MS for t, d in history)
        assert sum(d is ALIVE and last_alive - t < RULE.window_ms * MS + RULE.hold_ms * MS for t, d in history) >= 5
