"""Thresholds for targets, rates, intervals and captures against a transcription of their definitions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from edgefas.calibration.episodes import ScoredEpisode
from edgefas.calibration.folds import folds, units
from edgefas.calibration.needed import needed, shown
from edgefas.calibration.quality import BINS, quality
from edgefas.calibration.rates import rates_at
from edgefas.calibration.threshold import Targets, fit_threshold, threshold_interval
from edgefas.contracts import Label
from edgefas.evaluation.intervals import binomial_at_most, clopper_pearson
from edgefas.evaluation.presentations import presentations
from edgefas.evaluation.thresholds import apcer_threshold, bpcer_threshold
from tests.calibration import transcription as naive

ALIVE, SPOOF = Label.BONA_FIDE, Label.ATTACK
SPECIES = ("mask", "print")


def episode(recording: naive.Recording, subject: str = "") -> ScoredEpisode:
    label, pai, scores = recording
    return ScoredEpisode("r", Label(label), np.empty(0, np.int64), np.array(scores, np.float64), pai, subject)


def drawn(seed: int, count: int, most_frames: int) -> list[naive.Recording]:
    """Overlapping classes with ties, recordings of every length."""
    rng = np.random.default_rng(seed)
    found = []
    for place in range(count):
        alive = place % 2 == 0
        frames = rng.integers(1, most_frames + 1)
        scores = (rng.normal(1.0 if alive else -1.0, 1.5, frames) * 4).round() / 4
        found.append(("bona_fide" if alive else "attack", SPECIES[place // 2 % 2], scores.tolist()))
    return found


recordings = st.lists(
    st.tuples(
        st.sampled_from(["bona_fide", "attack"]),
        st.sampled_from(SPECIES),
        st.lists(st.integers(-6, 6).map(float), min_size=1, max_size=5),
    ),
    min_size=2,
    max_size=12,
)


@given(recordings, st.sampled_from(["0.01", "0.05", "0.1", "0.25", "0.29", "0.3", "0.5"]))
@settings(max_examples=300)
def test_thresholds_meet_their_target_and_no_other_cut_is_better(rows: list[naive.Recording], limit: str) -> None:
    assume({label for label, _, _ in rows} == {"bona_fide", "attack"})
    episodes = [episode(row) for row in rows]
    expected = naive.threshold_at_bpcer(rows, limit)
    assert fit_threshold(episodes, Targets(frame_bpcer=float(limit))) == expected
    assert fit_threshold(episodes, Targets(frame_bpcer=float(limit), frame_apcer=0.01)) == expected
    assert fit_threshold(episodes, Targets(frame_apcer=float(limit))) == naive.threshold_at_apcer(rows, limit)


@pytest.mark.parametrize("limit", [0.01, 0.05, 0.29])
def test_with_recordings_of_one_frame_the_rules_are_those_of_evaluation(limit: float) -> None:
    rows = drawn(3, 200, 1)
    species = np.array([label if label == "bona_fide" else pai for label, pai, _ in rows])
    found = presentations(np.array([scores[0] for _, _, scores in rows]), species)
    episodes = [episode(row) for row in rows]
    assert fit_threshold(episodes, Targets(frame_bpcer=limit)) == bpcer_threshold(found, limit)
    assert fit_threshold(episodes, Targets(frame_apcer=limit)) == apcer_threshold(found, found.attacks.values(), limit)


def test_a_long_recording_counts_as_one() -> None:
    """One bad recording of a hundred frames among nine of one: a tenth, not nine tenths."""
    rows: list[naive.Recording] = [("bona_fide", "", [5.0])] * 9 + [("bona_fide", "", [-3.0] * 100)]
    episodes = [episode(row) for row in [*rows, ("attack", "print", [0.0])]]
    assert fit_threshold(episodes, Targets(frame_bpcer=0.1)) == 2.5


def test_rates_are_means_over_recordings_with_the_interval_of_whole_ones() -> None:
    rows = drawn(5, 60, 6)
    found = rates_at([episode(row) for row in rows], 0.3)
    assert found.bpcer.share == pytest.approx(float(naive.bpcer(rows, 0.3)))
    assert found.apcer[found.worst].share == pytest.approx(float(naive.max_apcer(rows, 0.3)))
    assert found.bpcer.recordings == 30
    errors = float(naive.bpcer(rows, 0.3)) * 30
    assert errors % 1 > 0.01
    assert found.bpcer.low == clopper_pearson(int(errors), 30).low
    assert found.bpcer.high == clopper_pearson(int(errors) + 1, 30).high


def test_intervals_hold_for_recordings_that_are_wrong_in_part() -> None:
    """2,000 draws of 25 recordings, each wrong in a share of its own: at least 95 in 100 intervals hold the mean."""
    shares = np.random.default_rng(0).beta(0.3, 2.7, (2000, 25)).sum(axis=1)
    held = [
        clopper_pearson(int(np.floor(s)), 25).low <= 0.1 <= clopper_pearson(int(np.ceil(s)), 25).high for s in shares
    ]
    assert np.mean(held) >= 0.95


def test_the_interval_of_the_threshold_is_what_resampling_by_hand_gives() -> None:
    """The same draws, each threshold found by the definition among the cuts of all data."""
    rows = drawn(7, 24, 3)
    episodes = [episode(row) for row in rows]
    targets = Targets(frame_bpcer=0.1)
    rng = np.random.default_rng(4)
    found = []
    for _ in range(60):
        alive = rng.choice(np.arange(0, 24, 2), 12)
        rng.choice(np.arange(1, 24, 2), 12)  # attacks do not move this threshold
        again = [rows[place] for place in alive]
        found.append(max(cut for cut in naive.cuts(rows) if naive.bpcer(again, cut) <= naive.Fraction("0.1")))
    expected = np.percentile(found, [2.5, 97.5], method="nearest")
    assert threshold_interval(episodes, targets, 60, 4) == tuple(expected)
    assert expected[0] < fit_threshold(episodes, targets) < expected[1]


def test_more_recordings_make_the_threshold_surer() -> None:
    widths = []
    for count in (40, 400):
        low, high = threshold_interval([episode(row) for row in drawn(9, count, 4)], Targets(frame_bpcer=0.05))
        widths.append(high - low)
    assert 0 < widths[1] < 0.6 * widths[0]


def test_people_are_drawn_and_held_out_with_all_their_recordings() -> None:
    rows = drawn(11, 80, 3)
    named = [episode(row, f"p{place // 8}") for place, row in enumerate(rows)]
    assert units(named).tolist() == [place // 8 for place in range(80)]
    number = folds(named)
    assert all(len(set(number[place : place + 8])) == 1 for place in range(0, 80, 8))
    assert sorted(set(number)) == list(range(10))
    copies = [episode(row, f"p{place}") for place, row in enumerate(drawn(11, 16, 3)) for _ in range(9)]
    strangers = [episode((e.label.value, e.pai, e.scores)) for e in copies]
    spread = [np.ptp(threshold_interval(part, Targets(frame_bpcer=0.2))) for part in (copies, strangers)]
    assert spread[0] > 1.5 * spread[1], "nine copies of a person are one person"


@given(
    st.lists(st.tuples(st.sampled_from(Label), st.integers(0, 9)), min_size=8, max_size=40),
    st.booleans(),
)
def test_every_fold_leaves_and_holds_some_of_each_class(rows: list[tuple[Label, int]], known: bool) -> None:
    counts = [sum(label is wanted for label, _ in rows) for wanted in Label]
    assume(min(counts) >= 4)
    episodes = [episode((label.value, "print", [0.0]), f"p{who}" if known else "") for label, who in rows]
    number = folds(episodes)
    assert number.max() >= 1
    for fold in range(number.max() + 1):
        for part in (number == fold, number != fold):
            assert {episodes[place].label for place in np.flatnonzero(part)} == set(Label)


@pytest.mark.parametrize(("total", "share"), [(1, 0.3), (12, 0.01), (40, 0.5), (300, 0.02)])
def test_binomial_sums(total: int, share: float) -> None:
    for count in range(0, total + 1, max(1, total // 7)):
        assert binomial_at_most(count, total, share) == pytest.approx(naive.at_most(count, total, share), abs=1e-12)


@pytest.mark.parametrize("limit", [0.5, 0.2, 0.1, 0.05, 0.03])
def test_captures_needed_are_the_fewest(limit: float) -> None:
    for part in (0.0, 0.01, 0.2, 0.4, 0.6):
        found = needed(limit, part * limit)
        assert found is not None
        assert (found.recordings, found.errors) == naive.captures_needed(limit, part * limit, 1200)
        assert shown(limit, found.errors, found.recordings)
        assert not shown(limit, found.errors, found.recordings - 1)


def test_the_rule_of_three_and_what_no_number_shows() -> None:
    for limit in (0.05, 0.01, 0.001):
        found = needed(limit)
        assert found is not None
        assert found.errors == 0
        assert found.recordings == pytest.approx(3 / limit, rel=0.03)
    assert needed(0.01, 0.01) is None
    assert needed(0.01, 0.5) is None
    assert needed(0.01, 0.00999) is None, "more than a million"


def test_loss_and_calibration_error_are_those_of_loops() -> None:
    for seed in range(5):
        rows = drawn(seed, 41, 7)
        ratios = [0.8 * np.array(scores) - 0.3 for _, _, scores in rows]
        found = quality([episode(row) for row in rows], ratios)
        told = [ratio.tolist() for ratio in ratios]
        assert found.nll == pytest.approx(naive.loss(rows, told), abs=1e-12)
        assert found.ece == pytest.approx(naive.calibration_error(rows, told, BINS), abs=1e-12)
        assert sum(part.mass for part in found.bins) == pytest.approx(1)


def test_what_quality_means() -> None:
    rows: list[naive.Recording] = [("bona_fide", "", [1.0, 1.0]), ("attack", "print", [-1.0])] * 20
    episodes = [episode(row) for row in rows]

    def of(ratio: float) -> tuple[float, float]:
        found = quality(episodes, [ratio * np.array(scores) for _, _, scores in rows])
        return found.nll, found.ece

    assert of(0) == (pytest.approx(np.log(2)), pytest.approx(0)), "tells nothing, and says so"
    assert of(60) == (pytest.approx(0), pytest.approx(0))
    assert of(-60) == (pytest.approx(60), pytest.approx(1)), "sure, and always wrong"


def test_ratios_of_known_densities_are_calibrated() -> None:
    """Of N(+1, 1) against N(-1, 1) the ratio is 2 * score; half or twice of it is over- or underconfident."""
    rng = np.random.default_rng(2)
    rows: list[naive.Recording] = [
        (label.value, "print", rng.normal(mean, 1, 5).tolist())
        for label, mean in ((ALIVE, 1), (SPOOF, -1))
        for _ in range(2000)
    ]
    episodes = [episode(row) for row in rows]
    right, weak, strong = (quality(episodes, [s * np.array(r[2]) for r in rows]) for s in (2.0, 1.0, 4.0))
    assert right.ece < 0.01
    assert min(weak.ece, strong.ece) > 0.03
    assert right.nll < min(weak.nll, strong.nll)
