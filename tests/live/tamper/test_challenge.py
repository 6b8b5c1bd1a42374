"""The projector challenge in made-up time: who answers it, who does not, and what is decided meanwhile."""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np
import pytest

from edgefas.contracts import Decision, Reason, TamperRule, Verdict
from edgefas.live.tamper.challenge import MIN_SPECKS, Run, Sight, Switch, draw_lengths, verify
from edgefas.live.tamper.guard import Guard
from tests.live.tamper.projected import MS, Projected

REQUIRED = TamperRule(challenge="required")
AUTO = TamperRule(challenge="auto")
YES = Decision.from_score(1.0, 0.0)


def guarded(camera: Projected, rule: TamperRule, seed: int = 0) -> Guard:
    return Guard(camera, rule, random.Random(seed), camera.now, lambda: 0)


def play(guard: Guard, camera: Projected, seconds: float, *, face: bool = True) -> list[Reason]:
    """What is said of each frame, where the network would say bona fide."""
    said = []
    for frame in camera.frames(seconds):
        alarm = guard.look(frame)
        said.append(alarm.reason if alarm else guard.judged(YES, face=face).reason)
    return said


ACCEPTED, PENDING = Reason.SCORE_ABOVE_THRESHOLD, Reason.CHALLENGE_PENDING
FAILED, DARK = Reason.CHALLENGE_FAILED, Reason.MODALITY_MISSING


@pytest.mark.parametrize("latency_ms", [5, 60, 200, 250])
@pytest.mark.parametrize("metadata", [True, False])
def test_a_real_camera_answers_every_time(latency_ms: float, metadata: bool) -> None:
    camera = Projected(latency_ms=latency_ms, late_ms=lambda rng: float(rng.exponential(30)))
    camera.metadata = metadata
    said = play(guarded(camera, REQUIRED), camera, 180 if latency_ms == 60 else 40)
    first = said.index(ACCEPTED)
    assert first < 30 * 6
    assert set(said[:first]) <= {PENDING, DARK}
    assert set(said[first:]) == {ACCEPTED, DARK}  # challenged again and again, and never late
    assert len(camera.commands) > 4 * 40 / 15
    assert camera.dots


@pytest.mark.parametrize("fps", [10, 15, 60, 90])
def test_other_frame_rates_answer_too(fps: float) -> None:
    camera = Projected(period_ms=1000 / fps)
    said = play(guarded(camera, REQUIRED), camera, 30)
    assert FAILED not in said
    assert ACCEPTED in said


def test_a_camera_that_alternates_answers_too() -> None:
    """Every frame brings an unlit picture; what the projector answers is the lit one, and its absence."""
    camera = Projected()
    camera.alternating = True
    said = play(guarded(camera, REQUIRED), camera, 30)
    assert FAILED not in said
    assert {ACCEPTED, DARK} <= set(said)


IMPOSTORS: dict[str, Callable[[float, bool], bool]] = {
    "always lit": lambda time_ms, commanded: True,
    "never lit": lambda time_ms, commanded: False,
    "blinks at its own pace": lambda time_ms, commanded: time_ms % 900 > 240,
    "inverted": lambda time_ms, commanded: not commanded,
}


@pytest.mark.parametrize("who", sorted(IMPOSTORS))
@pytest.mark.parametrize("rule", [REQUIRED, AUTO], ids=["required", "auto"])
def test_an_impostor_is_never_accepted(who: str, rule: TamperRule) -> None:
    camera = Projected(answers=IMPOSTORS[who])
    said = play(guarded(camera, rule), camera, 30)
    if rule is REQUIRED:
        assert ACCEPTED not in said
    if who == "always lit":
        assert ACCEPTED not in said[30 * 7 :]
        assert said[-1] is FAILED


def test_a_replay_that_was_challenged_itself_does_not_know_when() -> None:
    """Its dots vanish as another challenge, drawn from the same ranges, commanded."""
    caught = []
    for seed in range(6):
        rng = random.Random(1000 + seed)
        edges = np.cumsum([rng.uniform(500, 9000), *(n / MS for n in draw_lengths(REQUIRED, rng))])
        other = lambda time_ms, commanded, edges=edges: int(np.searchsorted(edges, time_ms)) % 2 == 0  # noqa: E731
        camera = Projected(answers=other, seed=seed)
        said = play(guarded(camera, REQUIRED, seed), camera, 25)
        caught.append(FAILED in said and ACCEPTED not in said)
    assert all(caught)


def test_a_swap_of_pictures_is_found_at_the_next_challenge_and_only_two_passes_restore_trust() -> None:
    real = [True]
    camera = Projected(answers=lambda time_ms, commanded: commanded if real[0] else True)
    guard = guarded(camera, AUTO)
    assert FAILED not in play(guard, camera, 20)
    real[0] = False
    said = play(guard, camera, 40)
    assert FAILED in said
    assert said.index(FAILED) < 30 * (15 + 4)
    real[0] = True
    while guard._challenger._run is not None:  # the one under way may fail yet
        play(guard, camera, 0.1)
    asked = len(camera.commands)
    again: list[Reason] = []
    while ACCEPTED not in again:
        again += play(guard, camera, 0.1)
        assert len(again) < 30 * 30
    assert again[0] is FAILED
    assert len(camera.commands) - asked == 2 * 4  # a challenge of two pulses is four commands
    assert FAILED not in play(guard, camera, 20)


def test_unlit_frames_are_never_judged() -> None:
    """Not even where the camera does not say that they are unlit; a network would take them for an attack."""
    camera = Projected()
    camera.metadata = False
    guard = guarded(camera, AUTO)
    for frame in camera.frames(30):
        alarm = guard.look(frame)
        dark = not (frame.ir_lit > 120).any()
        if dark:
            assert alarm is not None
            assert (alarm.reason, alarm.breaks) == (DARK, False)
        else:
            guard.judged(YES, face=True)


def test_attacks_are_not_withheld_and_bona_fide_is() -> None:
    guard = guarded(Projected(), REQUIRED)
    attack = Decision.from_score(-1.0, 0.0)
    assert guard.judged(attack, face=True) is attack
    assert guard.judged(YES, face=True).verdict is Verdict.NO_DECISION


def test_without_a_face_the_projector_is_left_alone() -> None:
    camera = Projected()
    play(guarded(camera, AUTO), camera, 60, face=False)
    assert [on for _, on in camera.commands] == [True]


def test_off_by_default() -> None:
    camera = Projected()
    assert set(play(guarded(camera, TamperRule()), camera, 20)) == {ACCEPTED}
    assert camera.commands == []


def test_a_source_that_cannot_be_challenged() -> None:
    assert set(play(guarded(Projected(can=False), AUTO), Projected(can=False), 5)) == {ACCEPTED}
    camera = Projected(can=False)
    assert set(play(guarded(camera, REQUIRED), camera, 5)) == {FAILED}


def test_dots_that_cannot_be_seen_cannot_be_asked_for() -> None:
    camera = Projected(answers=lambda time_ms, commanded: False)
    assert set(play(guarded(camera, AUTO), camera, 20)) == {ACCEPTED}
    assert [on for _, on in camera.commands] == [True]
    assert MIN_SPECKS > 0


def test_silence_and_restarts_take_the_pass_away() -> None:
    camera = Projected()
    guard = guarded(camera, REQUIRED)
    assert play(guard, camera, 20)[-1] in (ACCEPTED, DARK)
    guard.silence()
    assert play(guard, camera, 0.1)[0] is PENDING
    assert ACCEPTED in play(guard, camera, 10)
    camera.restarts += 1
    assert play(guard, camera, 0.1)[0] is PENDING


def test_the_projector_is_lit_again_however_it_ends() -> None:
    camera = Projected()
    guard = guarded(camera, REQUIRED)
    for frame in camera.frames(60):
        guard.look(frame)
        guard.judged(YES, face=True)
        if not camera.commands[-1][1]:
            break
    assert not camera.commands[-1][1]
    guard.close()
    assert camera.commands[-1][1]


def test_verify_wants_one_latency_for_all_switches() -> None:
    def run(edges_ms: list[float], clock_ms: int = 0) -> Run:
        switches = tuple(
            Switch(on, at * MS, at * MS) for on, at in zip((False, True, False, True), (0, 200, 900, 1100), strict=True)
        )
        lit = [sum(t >= edge for edge in edges_ms) % 2 == 0 for t in range(-99, 1500, 33)]
        sights = tuple(
            Sight((t + clock_ms) * MS, 0.05 if on else 0.0002) for t, on in zip(range(-99, 1500, 33), lit, strict=True)
        )
        return Run((200 * MS, 700 * MS, 200 * MS), sights, switches, -clock_ms * MS)

    for shift in (5, 60, 150, 290):
        assert verify(run([t + shift for t in (0, 200, 900, 1100)]), AUTO) is True
    for clock in (-9000, 0, 9000):
        assert verify(run([t + 60 for t in (0, 200, 900, 1100)], clock), AUTO) is True
        assert verify(run([t + 400 for t in (0, 200, 900, 1100)], clock), AUTO) is False  # too late
    assert verify(run([t - 120 for t in (0, 200, 900, 1100)]), AUTO) is False  # before it was asked
    assert verify(run([60, 260, 760, 960]), AUTO) is False  # the pause was shorter
    assert verify(run([60, 420, 960, 1160]), AUTO) is False  # the first pulse was longer
    assert verify(run([60, 260]), AUTO) is False  # one pulse
    assert verify(run([]), AUTO) is False
