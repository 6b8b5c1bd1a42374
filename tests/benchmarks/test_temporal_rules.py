"""The comparison of temporal rules: its people, its rules against counting by hand, its noise and its plot."""

from __future__ import annotations

from itertools import pairwise
from xml.etree import ElementTree

import numpy as np
import pytest

from edgefas.benchmarks.temporal_episodes import MOMENTS, jobs, species_of
from edgefas.benchmarks.temporal_plot import Curve, Panel, plot
from edgefas.benchmarks.temporal_rules import NOISE, NOISE_MS, average, best, markdown, points_of, vote, with_noise
from edgefas.calibration.episodes import ScoredEpisode
from edgefas.contracts import Label, Policy
from edgefas.demo.episodes import demo_episodes, load_plan
from edgefas.training.recipe import load_recipe

STEP_NS = 100_000_000


def episode(label: Label, scores: list[float], name: str = "species=x,row=0") -> ScoredEpisode:
    return ScoredEpisode(name, label, np.arange(len(scores), dtype=np.int64) * STEP_NS, np.array(scores, np.float64))


def test_its_people_are_in_no_split_and_not_in_the_demonstration() -> None:
    people = {subject for _, subject, _ in jobs()}
    data = load_recipe("dah-fas-lite-sim").data
    splits = (data.train, data.validation, data.test)
    others = {n for s in splits if s is not None for n in range(s.first_subject, s.last_subject + 1)}
    assert not people & (others | {shown.subject for shown in demo_episodes(load_plan())})
    alive = [job for job in jobs() if job[0] == Label.BONA_FIDE.value]
    assert len(alive) >= 40
    assert len(jobs()) - len(alive) >= 60
    assert len({seed for _, _, seed in jobs()}) == len(jobs())
    assert len(MOMENTS) == 12
    assert all(first[1] <= second[1] for first, second in pairwise(jobs())), "a head is modelled once"


def test_species_are_read_from_the_name() -> None:
    assert species_of(episode(Label.ATTACK, [0], "simulated:species=flat_print,subject=1")) == "flat_print"


def test_a_vote_counts_frames() -> None:
    shown = episode(Label.BONA_FIDE, [1, 1, -1, *[1] * 9])
    assert vote(Policy(), 2)(shown) == 100
    assert vote(Policy(), 3)(episode(Label.BONA_FIDE, [1, float("nan"), 1, 1])) == 300
    assert vote(Policy(), 3)(shown) is None, "the attack frame stays in the window of a second"


def test_an_average_is_held_against_the_threshold() -> None:
    scores = [-1.0, 0.5, 3.0, 3.0]
    kept, mean, expected = np.exp(-0.5), scores[0], None
    for number, score in enumerate(scores[1:], 2):
        mean = kept * mean + (1 - kept) * score
        if expected is None and number >= 2 and mean >= 0.2:
            expected = (number - 1) * 100
    assert average(Policy(threshold=0.2), 2)(episode(Label.ATTACK, scores)) == pytest.approx(expected)
    assert average(Policy(threshold=9), 1)(episode(Label.ATTACK, scores)) is None


def test_noise_is_as_wide_and_as_correlated_as_said_and_the_same_each_time() -> None:
    flat = [episode(Label.ATTACK, [0.0] * 400)]
    noisy = with_noise(flat, 5, 20)
    drawn = np.array([found.scores for found in noisy]) / NOISE
    assert drawn.std() == pytest.approx(1, abs=0.1)
    assert np.mean(drawn[:, 1:] * drawn[:, :-1]) == pytest.approx(np.exp(-100 / NOISE_MS), abs=0.1)
    np.testing.assert_array_equal(drawn * NOISE, [found.scores for found in with_noise(flat, 5, 20)])
    assert not np.array_equal(noisy[0].scores, noisy[1].scores)


def test_points_are_counted_and_drawn() -> None:
    fitted = with_noise([episode(label, [s] * 12) for label, s in zip(Label, (4.0, -4.0), strict=True)] * 20, 1, 1)
    policy, points = points_of("noise", fitted, fitted)
    assert policy.calibration is not None
    assert {point.rule for point in points} == {"vote", "average", "sequential test"}
    first = next(p for p in points if (p.rule, p.setting, p.threshold) == ("vote", 1, 0.0))
    accepted = [vote(Policy(threshold=0), 1)(shown) for shown in fitted if shown.label is Label.ATTACK]
    assert (first.attacks_accepted.count, first.attacks_accepted.total) == (sum(a is not None for a in accepted), 20)
    kept = best(points, "noise", "vote")
    assert kept
    for point in points:
        if point.rule == "vote" and point.attacks_accepted.count == 0 and point.median_ms is not None:
            quicker = [k for k in kept if round(k.median_ms or 0) <= round(point.median_ms)]
            assert min(k.bona_fide_not_accepted.share for k in quicker) <= point.bona_fide_not_accepted.share
    text = markdown({"what": "w", "command": "c", "cpu": "x"}, points)
    assert text.count("| vote |") == len(kept)
    curve = Curve("vote <&>", [(100.0, 0.1, 0.05, 0.2), (200.0, 0.0, 0.0, 0.1)])
    root = ElementTree.fromstring(plot([Panel("a", [curve]), Panel("b", [curve])], 2, "ms"))
    dots = [node for node in root.iter() if node.tag.endswith("circle")]
    assert len(dots) == 4
    assert float(dots[0].get("cx", "nan")) == pytest.approx(300 * 100 / 210, abs=0.1)
    assert float(dots[1].get("cy", "nan")) == 200, "nothing accepted lies on the axis"
