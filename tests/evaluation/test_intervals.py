"""Intervals against figures of printed tables and sums over the binomial distribution."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgefas.evaluation.intervals import beta_quantile, clopper_pearson, mean_over_runs


def at_most(count: int, total: int, share: float) -> float:
    """The binomial distribution, summed up."""
    return math.fsum(math.comb(total, k) * share**k * (1 - share) ** (total - k) for k in range(count + 1))


@given(st.integers(1, 60), st.integers(0, 60))
def test_exact_interval_inverts_the_binomial_test(total: int, count: int) -> None:
    found = clopper_pearson(min(count, total), total)
    assert found.low <= found.share <= found.high
    if found.count < total:
        assert at_most(found.count, total, found.high) == pytest.approx(0.025, rel=1e-9)
    if found.count:
        assert 1 - at_most(found.count - 1, total, found.low) == pytest.approx(0.025, rel=1e-9)


def test_nothing_and_everything() -> None:
    none, every = clopper_pearson(0, 100), clopper_pearson(100, 100)
    assert (none.low, none.share, every.share, every.high) == (0, 0, 1, 1)
    assert none.high == pytest.approx(1 - 0.025 ** (1 / 100))
    assert every.low == pytest.approx(0.025 ** (1 / 100))


def test_many_are_no_trouble() -> None:
    """Where the normal distribution is as good."""
    found = clopper_pearson(5_000_000, 10_000_000)
    assert found.high - found.low == pytest.approx(2 * 1.959964 * math.sqrt(0.25 / 1e7), rel=1e-3)
    assert clopper_pearson(1, 10_000_000).low == pytest.approx(2.5318e-9, rel=1e-4)


@pytest.mark.parametrize(("runs", "t"), [(2, 12.706), (3, 4.303), (4, 3.182), (6, 2.571), (31, 2.042)])
def test_means_use_the_printed_t(runs: int, t: float) -> None:
    values = [float(k % 2) for k in range(runs)]
    found = mean_over_runs(values)
    assert found.mean == pytest.approx(sum(values) / runs)
    assert found.std is not None
    assert found.high == pytest.approx(found.mean + t * found.std / math.sqrt(runs), abs=1e-3)
    assert found.low == pytest.approx(2 * found.mean - (found.high or 0))


def test_one_run_has_no_interval() -> None:
    found = mean_over_runs([0.25])
    assert (found.runs, found.mean, found.std, found.low, found.high) == (1, 0.25, None, None, None)


@given(st.floats(0.5, 500), st.floats(0.5, 500), st.floats(0.001, 0.999))
def test_beta_quantiles_are_symmetric(a: float, b: float, share: float) -> None:
    assert beta_quantile(share, a, b) == pytest.approx(1 - beta_quantile(1 - share, b, a), abs=1e-9)
