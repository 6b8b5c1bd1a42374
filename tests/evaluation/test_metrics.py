"""Figures against loops that say the definitions word by word, and properties that hold for any scores."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgefas.evaluation.metrics import (
    ErrorCounts,
    accuracy_at_bpcer,
    apcer_at_bpcer,
    auc,
    bpcer_at_apcer,
    count_errors,
    equal_error_threshold,
    error_rates,
    tpr_at_fpr,
)
from edgefas.evaluation.presentations import MetricError, Presentations, cuts, few_cuts, presentations
from edgefas.evaluation.thresholds import apcer_threshold, bpcer_threshold, eer_threshold, most_errors

SCORES = np.array([2.0, 0.5, -1.0, 0.5, -2.0, 1.0, np.nan])
SPECIES = np.array(["bona_fide", "bona_fide", "bona_fide", "print", "print", "mask", "mask"])
Lists = dict[str, list[float]]

ties = st.integers(-6, 6).map(float)
silent = st.one_of(ties, ties, ties, st.just(-math.inf))
classes = st.fixed_dictionaries(
    {"bona_fide": st.lists(ties, min_size=1, max_size=15), "print": st.lists(ties, min_size=1, max_size=15)},
    optional={"mask": st.lists(ties, min_size=1, max_size=6)},
)
with_silent = st.fixed_dictionaries(
    {"bona_fide": st.lists(silent, min_size=1, max_size=15), "print": st.lists(silent, min_size=1, max_size=15)},
    optional={"mask": st.lists(silent, min_size=1, max_size=6)},
).filter(lambda lists: any(math.isfinite(score) for values in lists.values() for score in values))


def sorted_up(lists: Lists) -> Presentations:
    arrays = {name: np.sort(np.array(values)) for name, values in lists.items()}
    return Presentations(arrays.pop("bona_fide"), arrays)


def rates_by_loop(lists: Lists, threshold: float) -> tuple[Fraction, dict[str, Fraction]]:
    """(BPCER, APCER per species), word by word."""
    rejected = sum(1 for score in lists["bona_fide"] if not score >= threshold)
    apcer = {
        name: Fraction(sum(1 for score in values if score >= threshold), len(values))
        for name, values in lists.items()
        if name != "bona_fide"
    }
    return Fraction(rejected, len(lists["bona_fide"])), apcer


def pooled_by_loop(lists: Lists, threshold: float) -> Fraction:
    attacks = [score for name, values in lists.items() if name != "bona_fide" for score in values]
    return Fraction(sum(1 for score in attacks if score >= threshold), len(attacks))


def every_cut(lists: Lists) -> list[float]:
    levels = sorted({score for values in lists.values() for score in values if math.isfinite(score)})
    return [levels[0] - 1, *((a + b) / 2 for a, b in pairwise(levels)), levels[-1] + 1]


def test_rates_by_hand() -> None:
    rates = error_rates(SCORES, SPECIES, 0.5)
    assert rates.bpcer == pytest.approx(1 / 3)
    assert rates.apcer == {"mask": 0.5, "print": 0.5}  # NaN is never accepted
    assert error_rates(SCORES, SPECIES, 0.75).apcer == {"mask": 0.5, "print": 0.0}
    assert error_rates(SCORES, SPECIES, 0.75).acer == pytest.approx((2 / 3 + 0.5) / 2)


def test_a_pool_hides_a_species() -> None:
    counts = ErrorCounts(0.0, 10, 100, {"print": 2, "mask": 7}, {"print": 90, "mask": 10})
    assert counts.rates.max_apcer == 0.7
    assert counts.rates.mean_apcer == pytest.approx((2 / 90 + 0.7) / 2)
    assert counts.pooled_apcer == 0.09
    assert counts.rates.acer == pytest.approx(0.4)
    assert counts.hter == pytest.approx(0.095)
    assert counts.correct == 90 + 88 + 3


@given(with_silent, st.sampled_from([-7.0, -1.5, 0.0, 3.0, 6.0, 6.5]))
def test_rates_are_those_of_the_loop(lists: Lists, threshold: float) -> None:
    counts = count_errors(sorted_up(lists), threshold)
    bpcer, apcer = rates_by_loop(lists, threshold)
    assert counts.rates.bpcer == float(bpcer)
    assert counts.rates.apcer == {name: float(share) for name, share in apcer.items()}
    assert counts.rates.max_apcer == float(max(apcer.values()))
    assert counts.rates.mean_apcer == pytest.approx(float(sum(apcer.values()) / len(apcer)))
    assert counts.pooled_apcer == float(pooled_by_loop(lists, threshold))
    assert counts.hter == pytest.approx(float((pooled_by_loop(lists, threshold) + bpcer) / 2))


@given(with_silent)
def test_eer_is_that_of_the_loop(lists: Lists) -> None:
    best = min(
        (abs(rates_by_loop(lists, cut)[0] - pooled_by_loop(lists, cut)), -number)  # the higher of equally good cuts
        for number, cut in enumerate(every_cut(lists))
    )
    expected = every_cut(lists)[-best[1]]
    threshold, eer = eer_threshold(sorted_up(lists))
    assert threshold == expected
    assert eer == pytest.approx(float((rates_by_loop(lists, expected)[0] + pooled_by_loop(lists, expected)) / 2))


def test_the_higher_of_two_equally_good_cuts_is_taken_whatever_the_rounding() -> None:
    """BPCER 0.3 beside APCER 0.4 and then 0.2: gaps of 0.1, which floats tell apart."""
    alive = [1.0] * 3 + [3.0] * 7
    spoof = [0.0] * 6 + [2.0] * 2 + [4.0] * 2
    threshold, eer = eer_threshold(sorted_up({"bona_fide": alive, "print": spoof}))
    assert threshold == 2.5
    assert eer == pytest.approx(0.25)


def test_separated_scores_are_cut_in_the_middle() -> None:
    scores = np.array([4.0, 5.0, -2.0, -3.0])
    species = np.array(["bona_fide", "bona_fide", "mask", "mask"])
    assert equal_error_threshold(scores, species) == (1.0, 0.0)


@given(with_silent)
def test_auc_is_that_of_the_loop(lists: Lists) -> None:
    attacks = [score for name, values in lists.items() if name != "bona_fide" for score in values]
    wins = sum(Fraction(1 if a > s else 0) + Fraction(a == s) / 2 for a in lists["bona_fide"] for s in attacks)
    assert auc(sorted_up(lists)) == float(Fraction(wins) / (len(lists["bona_fide"]) * len(attacks)))


@given(classes, st.sampled_from([0.02, 0.1, 0.2, 0.29, 0.5]))
def test_limited_thresholds_are_those_of_the_loop(lists: Lists, limit: float) -> None:
    scores, tried = sorted_up(lists), every_cut(lists)
    exact = Fraction(str(limit))
    highest = max(cut for cut in tried if rates_by_loop(lists, cut)[0] <= exact)
    assert bpcer_threshold(scores, limit) == highest
    lowest = min(cut for cut in tried if max(rates_by_loop(lists, cut)[1].values()) <= exact)
    assert apcer_threshold(scores, scores.attacks.values(), limit) == lowest
    lowest = min(cut for cut in tried if pooled_by_loop(lists, cut) <= exact)
    assert apcer_threshold(scores, [scores.pooled], limit) == lowest


@given(st.integers(1, 2000), st.integers(0, 2000))
def test_a_limit_that_is_a_share_is_reached(total: int, count: int) -> None:
    count = min(count, total - 1)
    assert most_errors(count / total, total) == count


def test_figures_of_the_curve_by_hand() -> None:
    alive = np.arange(100.0)
    scores = Presentations(alive, {"mask": np.array([*range(-20, 0), 49.5]), "print": np.arange(-100.0, 0.0)})
    at_bpcer = apcer_at_bpcer(scores, 0.05)
    assert (at_bpcer.value, at_bpcer.achieved, at_bpcer.threshold) == (1 / 21, 0.05, 4.5)
    at_apcer = bpcer_at_apcer(scores, 0.05)
    assert (at_apcer.value, at_apcer.achieved, at_apcer.threshold) == (0.0, 1 / 21, -0.5)
    tpr = tpr_at_fpr(scores, 0.01)
    assert (tpr.value, tpr.achieved) == (1.0, 1 / 121)
    assert accuracy_at_bpcer(scores, 0.01).value == (99 + 120) / 221
    assert apcer_at_bpcer(scores, 0.1).threshold == 9.5


def test_a_share_that_cannot_be_told_from_none_is_no_figure() -> None:
    scores = Presentations(np.arange(50.0), {"mask": np.arange(10.0), "print": np.arange(120.0)})
    assert tpr_at_fpr(scores, 1e-4).reason == "needs 10,000 attacks, there are 130"
    assert bpcer_at_apcer(scores, 0.05).reason == "needs 20 attacks of mask, there are 10"
    assert apcer_at_bpcer(scores, 0.01).reason == "needs 100 bona fide, there are 50"
    assert (apcer_at_bpcer(scores, 0.01).value, apcer_at_bpcer(scores, 0.01).threshold) == (None, None)
    assert tpr_at_fpr(scores, 0.01).value is not None
    assert bpcer_at_apcer(scores, 0.1).value is not None


def test_a_bpcer_below_the_non_responses_is_out_of_reach() -> None:
    alive = np.sort(np.array([-np.inf] * 5 + [1.0] * 95))
    scores = Presentations(alive, {"print": np.array([0.0])})
    assert bpcer_threshold(scores, 0.05) == 0.5
    with pytest.raises(MetricError, match=r"BPCER of 0.04 is out of reach: 5.00% of the bona fide have no score"):
        bpcer_threshold(scores, 0.04)
    assert "out of reach" in (apcer_at_bpcer(scores, 0.04).reason or "")


@given(classes)
def test_monotone_maps_change_nothing_but_the_threshold(lists: Lists) -> None:
    mapped = {name: [math.exp(score / 2) - 3 for score in values] for name, values in lists.items()}
    before, after = sorted_up(lists), sorted_up(mapped)
    assert auc(after) == auc(before)
    assert eer_threshold(after)[1] == eer_threshold(before)[1]
    for limit in (0.1, 0.3):
        for one, other in zip(
            (bpcer_threshold(before, limit), apcer_threshold(before, before.attacks.values(), limit)),
            (bpcer_threshold(after, limit), apcer_threshold(after, after.attacks.values(), limit)),
            strict=True,
        ):
            assert count_errors(before, one).rates.apcer == count_errors(after, other).rates.apcer
            assert count_errors(before, one).rejected == count_errors(after, other).rejected


@given(classes, st.randoms(use_true_random=False))
def test_order_changes_nothing(lists: Lists, random: object) -> None:
    pairs = [(score, name) for name, values in lists.items() for score in values]
    random.shuffle(pairs)  # type: ignore[attr-defined]
    shuffled = presentations(np.array([p[0] for p in pairs]), np.array([p[1] for p in pairs]))
    straight = sorted_up(lists)
    assert eer_threshold(shuffled) == eer_threshold(straight)
    assert auc(shuffled) == auc(straight)
    assert count_errors(shuffled, 0.0).rates == count_errors(straight, 0.0).rates


@given(classes, st.integers(2, 4))
def test_every_row_twice_changes_nothing(lists: Lists, times: int) -> None:
    once, often = sorted_up(lists), sorted_up({name: values * times for name, values in lists.items()})
    assert eer_threshold(often) == eer_threshold(once)
    assert auc(often) == auc(once)
    assert count_errors(often, 1.0).rates == count_errors(once, 1.0).rates


@given(st.lists(ties, min_size=1, max_size=15), st.lists(ties, min_size=1, max_size=15))
def test_classes_and_signs_swapped(alive: list[float], spoof: list[float]) -> None:
    """Where nothing lies on the threshold, bona fide and attacks trade places."""
    straight = sorted_up({"bona_fide": alive, "print": spoof})
    swapped = sorted_up({"bona_fide": [-s for s in spoof], "print": [-s for s in alive]})
    assert auc(swapped) == auc(straight)
    assert swapped.cuts.tolist() == (-straight.cuts[::-1]).tolist()
    for cut in straight.cuts.tolist():
        one, other = count_errors(straight, cut).rates, count_errors(swapped, -cut).rates
        assert (one.bpcer, one.apcer["print"]) == (other.apcer["print"], other.bpcer)
    gaps = [
        abs(r.bpcer - r.apcer["print"])
        for r in (count_errors(s, eer_threshold(s)[0]).rates for s in (straight, swapped))
    ]
    assert gaps[0] == pytest.approx(gaps[1])


def test_neighbouring_floats_are_told_apart() -> None:
    for dtype in (np.float32, np.float64):
        low = np.array([1.0, 3e38, -3e38], dtype)
        high = np.nextafter(low, np.array(np.inf, dtype))
        for a, b in zip(low, high, strict=True):
            _, middle, top = cuts(np.array([a, b]))
            assert a < middle <= b < top


@pytest.mark.parametrize(
    ("alive", "attacks", "words"),
    [
        ([], {"print": [1.0]}, "no bona fide presentations"),
        ([1.0], {}, "no attack presentations"),
        ([1.0, np.nan], {"print": [1.0]}, "a score of bona fide is nan"),
        ([1.0], {"print": [np.inf]}, "a score of print is inf"),
        ([-np.inf], {"print": [-np.inf], "mask": [-np.inf]}, "no presentation has a score"),
    ],
)
def test_what_cannot_be_counted_is_refused(alive: list[float], attacks: Lists, words: str) -> None:
    with pytest.raises(MetricError, match=words):
        sorted_up({"bona_fide": alive, **attacks})


def test_scores_that_are_not_finite_have_no_eer() -> None:
    with pytest.raises(MetricError, match="1 of 7 scores are not finite"):
        equal_error_threshold(SCORES, SPECIES)


def test_few_cuts_are_all_cuts_or_few() -> None:
    rng = np.random.default_rng(0)
    scores = Presentations(np.sort(rng.normal(size=3000) + 2), {"print": np.sort(rng.normal(size=5000))})
    assert few_cuts(scores, 9000) is scores.cuts
    few = few_cuts(scores, 400)
    assert 200 < few.size <= 401
    for limit in (0.001, 0.01, 0.1):  # a cut lies beside every error rate, small ones as well
        exact = apcer_threshold(scores, [scores.pooled], limit)
        nearest = few[np.abs(few - exact).argmin()]
        assert count_errors(scores, float(nearest)).pooled_apcer == pytest.approx(limit, rel=0.2, abs=2 / 5000)
