"""Tampering found through the public entry point, on software cameras behind the real librealsense."""

from __future__ import annotations

import random
from functools import lru_cache

import pytest

from edgefas.benchmarks.impostors import honest
from edgefas.benchmarks.injection import CHALLENGED, FOUND, START, attacks, run_attack, watch
from edgefas.contracts import Reason, Verdict
from edgefas.live.tamper.challenge import draw_lengths
from edgefas.sensors.frame import Frame
from edgefas.sensors.simulator.episode import parse_options
from edgefas.sensors.simulator.render import render

LIST = {a.name: a for a in attacks(lambda seed: draw_lengths(CHALLENGED.tamper, random.Random(seed)))}


@lru_cache(maxsize=1)
def clip() -> list[Frame]:
    return [render(parse_options("subject=300,seed=3,distance_mm=500"), index) for index in range(2)]


@pytest.mark.parametrize(
    "name",
    ["loop of 10 frames", "frozen picture", "virtual video device", "camera swapped, same serial"],
)
def test_what_repeats_leaps_or_is_another_camera_is_found(name: str) -> None:
    run = run_attack(LIST[name], clip(), 0)
    assert run.found_after is not None, run.reasons
    assert run.bona_fide_after == 0


@pytest.mark.parametrize(
    "name",
    ["replay, re-encoded, new noise", pytest.param("replay of a challenged session", marks=pytest.mark.slow)],
)
def test_a_replay_does_not_answer_the_challenge(name: str) -> None:
    run = run_attack(LIST[name], clip(), 0)
    assert run.found_after is not None, run.reasons
    assert run.bona_fide_after == 0
    assert not {"frame_looped", "frame_frozen"} & set(run.reasons)  # nothing repeats: the challenge alone finds it


def test_an_honest_camera_passes_and_is_not_suspected() -> None:
    lines = []
    for line in watch(honest(clip(), 0), clip()[0], CHALLENGED, 30 * 60):
        lines.append(line)
        if line.state.decision is Verdict.BONA_FIDE:
            break
    assert lines[-1].state.decision is Verdict.BONA_FIDE
    assert lines[-1].source == "camera"
    reasons = {line.reason for line in lines}
    assert not FOUND & reasons
    assert {Reason.CHALLENGE_PENDING, Reason.MODALITY_MISSING} <= reasons  # it was dark, and nothing was said before
    assert START > 0
