"""Range methods against plain loops in float64 on the values themselves."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from edgefas.calibration import histogram as under_test
from edgefas.calibration.histogram import BINS, CLIPS, Histogram, clip


def filled(*batches: np.ndarray) -> Histogram:
    histogram = Histogram()
    for batch in batches:
        histogram.add(batch.astype(np.float32))
    return histogram


def heavy_tailed(seed: int, count: int = 20_000) -> np.ndarray:
    rng = np.random.default_rng(seed)
    values = rng.laplace(0, rng.uniform(0.01, 50), count)
    values[: count // 3] = np.maximum(values[: count // 3], 0)
    return values.astype(np.float32)


def squared_error(values: np.ndarray, reach: float) -> float:
    """Of symmetric INT8 with 127 steps up to `reach`, value by value."""
    step = reach / 127
    kept = np.clip(np.round(values.astype(np.float64) / step), -127, 127) * step
    return float(((values - kept) ** 2).sum())


@given(
    st.lists(
        hnp.arrays(np.float32, st.integers(0, 30), elements=st.floats(-(2.0**60), 2.0**60, width=32)),
        min_size=1,
        max_size=5,
    )
)
def test_nothing_is_lost_however_the_range_grows(batches: list[np.ndarray]) -> None:
    values = np.concatenate(batches)
    found = filled(*batches)
    assert found.counts.sum() + found.zeros == values.size
    assert found.zeros == (values == 0).sum()
    assert found.absmax == (np.abs(values).max() if values.size else 0)
    if found.absmax:
        assert (found.minimum, found.maximum) == (values.min(), values.max())
        assert found.absmax < found.reach
        assert clip(found, "minmax") == found.absmax


def test_bins_hold_the_values_they_stand_for() -> None:
    values = heavy_tailed(1)
    found = filled(*np.array_split(values[np.argsort(np.abs(values))], 7))
    edges = np.linspace(0, found.reach, BINS + 1)
    expected, _ = np.histogram(np.abs(values[values != 0]).astype(np.float64), edges)
    # a value on an edge may fall to either side when two bins have become one
    assert np.abs(np.cumsum(found.counts) - np.cumsum(expected)).max() <= 2
    assert found.reach <= 2 * found.absmax


def test_percentile_is_numpys_to_a_bin() -> None:
    values = np.random.default_rng(2).standard_normal(400_000).astype(np.float32)
    found = filled(values)
    expected = np.quantile(np.abs(values), under_test.PERCENTILE, method="inverted_cdf")
    assert clip(found, "percentile") == pytest.approx(expected, abs=found.reach / BINS)
    assert clip(found, "percentile") < found.absmax


def test_zeros_count_as_values_of_a_percentile() -> None:
    values = np.append(np.zeros(10**6, np.float32), np.linspace(1, 2, 21, dtype=np.float32))
    expected = np.quantile(values, under_test.PERCENTILE, method="inverted_cdf")
    found = filled(values)
    assert clip(found, "percentile") == pytest.approx(expected, abs=found.reach / BINS)
    assert clip(found, "percentile") < 1.6


@pytest.mark.parametrize("seed", range(4))
def test_mse_is_as_good_as_a_brute_force_search_on_the_values(seed: int) -> None:
    values = heavy_tailed(seed, 200_000)
    chosen = clip(filled(values), "mse")
    largest = float(np.abs(values).max())
    best = min(squared_error(values, largest * n / 200) for n in range(1, 201))
    assert squared_error(values, chosen) <= 1.02 * best
    assert best < 0.9 * squared_error(values, largest), "clipping must pay here, or the test shows nothing"


def test_mse_does_not_clip_what_has_no_tail() -> None:
    values = np.random.default_rng(3).uniform(-2, 2, 50_000)
    assert clip(filled(values), "mse") == pytest.approx(2, rel=0.01)


def divergence(magnitudes: np.ndarray, bins: int, size: int) -> float:
    """Of the clipped histogram to its 128-level copy, bin by bin."""
    counts = [0.0] * bins
    for magnitude in magnitudes.tolist():
        counts[min(int(magnitude / magnitudes.max() * bins), bins - 1)] += 1
    copy = [0.0] * size
    for level in range(128):
        members = [i for i in range(size) if i * 128 // size == level]
        held = [i for i in members if counts[i]]
        for i in held:
            copy[i] = sum(counts[j] for j in members) / len(held)
    original = counts[:size]
    original[-1] += sum(counts[size:])
    floor = 1 / (sum(counts) * size)
    return sum(
        p / sum(original) * math.log((p / sum(original)) / max(q / sum(copy), floor))
        for p, q in zip(original, copy, strict=True)
        if p
    )


def test_entropy_takes_the_clip_of_least_divergence() -> None:
    values = np.random.default_rng(4).laplace(size=20_000)
    magnitudes = np.abs(values.astype(np.float32)).astype(np.float64)
    sizes = list(range(128, 2049, 120))
    losses = [divergence(magnitudes, 2048, size) for size in sizes]
    best = magnitudes.max() * sizes[int(np.argmin(losses))] / 2048
    chosen = clip(filled(values), "entropy")
    assert chosen < 0.7 * magnitudes.max()
    ours = round(chosen / magnitudes.max() * 2048)
    assert divergence(magnitudes, 2048, ours) <= 1.05 * min(losses), (chosen, best)


@pytest.mark.parametrize("method", CLIPS)
@pytest.mark.parametrize("value", [0.0, -0.0, 1e-42, -3.0, 3e38])
def test_constant_tensors_have_a_finite_clip(method: str, value: float) -> None:
    found = clip(filled(np.full(100, value, np.float32)), method)  # type: ignore[arg-type]
    assert found == pytest.approx(abs(np.float32(value)), rel=1e-3)
    assert clip(Histogram(), method) == 0  # type: ignore[arg-type]


@pytest.mark.parametrize("method", CLIPS)
def test_order_and_size_of_batches_do_not_matter(method: str) -> None:
    """The optimum of entropy is flat: bins that fall otherwise move it further."""
    values = heavy_tailed(5)
    whole, parts = filled(values), filled(*np.array_split(np.sort(values), 13))
    assert clip(parts, method) == pytest.approx(clip(whole, method), rel=0.15 if method == "entropy" else 0.02)  # type: ignore[arg-type]
