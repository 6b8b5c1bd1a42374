"""Error rates against counts made by hand and by brute force."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgefas.training.metrics import balanced_cross_entropy, equal_error_threshold, error_rates

SCORES = np.array([2.0, 0.5, -1.0, 0.5, -2.0, 1.0, np.nan])
SPECIES = np.array(["bona_fide", "bona_fide", "bona_fide", "print", "print", "mask", "mask"])


def test_rates_by_hand() -> None:
    rates = error_rates(SCORES, SPECIES, 0.5)
    assert rates.bpcer == pytest.approx(1 / 3)
    assert rates.apcer == {"mask": 0.5, "print": 0.5}  # NaN is never accepted
    assert error_rates(SCORES, SPECIES, 0.75).apcer == {"mask": 0.5, "print": 0.0}
    assert error_rates(SCORES, SPECIES, 0.75).acer == pytest.approx((2 / 3 + 0.5) / 2)


@given(
    st.lists(st.integers(-8, 8), min_size=1, max_size=20),
    st.lists(st.integers(-8, 8), min_size=1, max_size=20),
)
def test_equal_error_is_the_smallest_gap_of_any_threshold(alive: list[int], spoof: list[int]) -> None:
    scores = np.array([*alive, *spoof], float)
    species = np.array(["bona_fide"] * len(alive) + ["print"] * len(spoof))
    threshold, eer = equal_error_threshold(scores, species)
    rates = error_rates(scores, species, threshold)
    assert eer == pytest.approx((rates.bpcer + rates.apcer["print"]) / 2)
    gaps = []
    for cut in np.arange(-9, 10, 0.25):
        other = error_rates(scores, species, cut)
        gaps.append(abs(other.bpcer - other.apcer["print"]))
    assert abs(rates.bpcer - rates.apcer["print"]) <= min(gaps) + 1e-12


def test_separated_scores_are_cut_in_the_middle() -> None:
    scores = np.array([4.0, 5.0, -2.0, -3.0])
    species = np.array(["bona_fide", "bona_fide", "mask", "mask"])
    assert equal_error_threshold(scores, species) == (1.0, 0.0)


def test_cross_entropy_weighs_the_classes_equally() -> None:
    scores = np.array([1.0, -1.0, -1.0, -1.0])
    species = np.array(["bona_fide", "mask", "mask", "mask"])
    assert balanced_cross_entropy(scores, species) == pytest.approx(np.log1p(np.exp(-1)))
