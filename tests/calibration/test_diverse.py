"""k-centre against brute force and chance, and what the features see."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgefas.calibration.diverse import GRID, features, k_centre, share_out


def radius(points: np.ndarray, chosen: list[int]) -> float:
    """Largest distance of any point to its nearest chosen one."""
    return float(np.linalg.norm(points[:, None] - points[chosen][None], axis=2).min(1).max())


@given(st.integers(0, 10**6), st.integers(1, 9), st.integers(1, 4))
def test_cover_is_at_most_twice_the_best(seed: int, size: int, count: int) -> None:
    points = np.random.default_rng(seed).normal(size=(size, 2))
    chosen = k_centre(points, count, seed % size)
    best = min(radius(points, list(some)) for some in combinations(range(size), min(count, size)))
    assert len(chosen) == len(set(chosen)) == min(count, size)
    assert radius(points, chosen) <= 2 * best + 1e-12


def test_cover_is_better_than_chance() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        points = np.concatenate([rng.normal(0, 1, (380, 3)), rng.normal(9, 0.5, (20, 3))])
        by_chance = np.median([radius(points, list(rng.choice(400, 12, replace=False))) for _ in range(21)])
        assert radius(points, k_centre(points, 12, int(rng.integers(400)))) < by_chance


def test_copies_are_taken_once() -> None:
    points = np.repeat(np.eye(3), 5, axis=0)
    chosen = k_centre(points, 10, 4)
    assert sorted(points[chosen].argmax(1)) == [0, 1, 2]


@pytest.mark.parametrize(
    ("sizes", "total", "shares"),
    [([9, 9, 9], 6, [2, 2, 2]), ([1, 9, 9], 7, [1, 3, 3]), ([2, 1], 9, [2, 1]), ([5, 5, 5], 4, [2, 1, 1])],
)
def test_shares_are_as_equal_as_sizes_allow(sizes: list[int], total: int, shares: list[int]) -> None:
    assert share_out(sizes, total) == shares


@given(st.lists(st.integers(1, 40), min_size=1, max_size=6), st.integers(1, 100))
def test_shares_add_up(sizes: list[int], total: int) -> None:
    shares = share_out(sizes, total)
    assert sum(shares) == min(total, sum(sizes))
    assert all(share <= size for share, size in zip(shares, sizes, strict=True))
    fullest = max(shares)
    assert all(share in (size, fullest, fullest - 1) for share, size in zip(shares, sizes, strict=True))


def test_features_are_block_means_and_deviations() -> None:
    inputs = {"ir": np.random.default_rng(1).normal(size=(5, 1, 32, 32)).astype(np.float32)}
    blocks = inputs["ir"].astype(np.float64).reshape(5, GRID, 4, GRID, 4).transpose(0, 1, 3, 2, 4).reshape(5, 64, 16)
    expected = np.concatenate([blocks.mean(2), blocks.std(2)], 1)
    expected -= expected.mean(0)
    expected /= np.sqrt((expected**2).sum(1).mean())
    np.testing.assert_allclose(features(inputs), expected, atol=1e-9)


def test_modalities_weigh_alike_whatever_their_units() -> None:
    rng = np.random.default_rng(2)
    inputs = {name: rng.normal(size=(6, 1, 16, 16)).astype(np.float32) for name in ("ir", "depth")}
    scaled = {"ir": inputs["ir"], "depth": 1000 * inputs["depth"]}
    np.testing.assert_allclose(features(scaled), features(inputs), atol=1e-6)
    constant = {"ir": np.ones((4, 1, 16, 16), np.float32)}
    np.testing.assert_array_equal(features(constant), 0)
