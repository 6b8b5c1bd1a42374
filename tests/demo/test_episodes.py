"""The demo's plan and its judgement."""

from __future__ import annotations

import pytest

from edgefas.contracts import Reason, Verdict
from edgefas.demo.episodes import DemoEpisode, Outcome, demo_episodes, load_plan, outcome
from edgefas.demo.run import check
from edgefas.errors import CheckFailed
from edgefas.live.line import DecisionLine, State, Timing
from edgefas.training.recipe import load_recipe

PLAN = load_plan()


def line(ms: int, state: Verdict, score: float | None = None) -> DecisionLine:
    return DecisionLine(
        frame=ms, device_ns=ms * 1_000_000 + 1, decision=Verdict.NO_DECISION, reason=Reason.NO_FACE, score=score,
        state=State(decision=state, since_ns=None), face=None, median_z_mm=None, faces=0, each=(),
        modalities=(), trust="unsigned", timing=Timing(),
    )  # fmt: skip


def test_plan_holds_out_subjects_and_site_and_counts_its_seeds() -> None:
    episodes = demo_episodes(PLAN)
    assert [e.seed for e in episodes] == list(range(len(episodes)))
    assert sum(e.species != "empty" for e in episodes) >= 24
    data = load_recipe("dah-fas-lite-sim").simulated
    assert min(e.subject for e in episodes) > data.validation.last_subject
    assert PLAN.site not in data.train.sites + data.validation.sites


def test_every_attack_species_of_the_plan_is_trained_on() -> None:
    species = {e.species for e in demo_episodes(PLAN)} - {"empty"}
    assert species == set(load_recipe("dah-fas-lite-sim").simulated.train.samples)


@pytest.mark.parametrize(
    ("species", "states", "wanted"),
    [
        ("bona_fide", {1999: Verdict.BONA_FIDE}, True),
        ("bona_fide", {2001: Verdict.BONA_FIDE}, False),
        ("bona_fide", {100: Verdict.ATTACK}, False),
        ("flat_print", {100: Verdict.ATTACK}, True),
        ("flat_print", {}, True),
        ("flat_print", {100: Verdict.ATTACK, 2400: Verdict.BONA_FIDE}, False),
        ("empty", {}, True),
        ("empty", {100: Verdict.ATTACK}, False),
        ("empty", {100: Verdict.BONA_FIDE}, False),
    ],
)
def test_what_is_wanted(species: str, states: dict[int, Verdict], wanted: bool) -> None:
    lines = [line(0, Verdict.NO_DECISION), *(line(ms, state) for ms, state in states.items())]
    assert outcome(DemoEpisode(species, 1, 1, ""), lines).as_wanted(2.0) is wanted


def test_check_fails_on_one_accepted_attack_or_too_few_accepted() -> None:
    def result(species: str, verdict: Verdict) -> Outcome:
        after = 1.0 if verdict is Verdict.BONA_FIDE else None
        return Outcome(DemoEpisode(species, 1, 1, "s"), verdict, after, None)

    alive = [result("bona_fide", Verdict.BONA_FIDE)] * 9 + [result("bona_fide", Verdict.ATTACK)]
    check(PLAN, [*alive, result("rigid_mask", Verdict.ATTACK)])
    with pytest.raises(CheckFailed, match="1 attacks or empty"):
        check(PLAN, [*alive, result("rigid_mask", Verdict.BONA_FIDE)])
    with pytest.raises(CheckFailed, match="8 of 10 bona fide"):
        check(PLAN, [*alive[1:], result("bona_fide", Verdict.NO_DECISION)])
