"""The BTE kernel, run on the CPU, against a float64 transcription of the paper's equations."""

from __future__ import annotations

import numpy as np
import pytest

from tests.engines.plugins import reference
from tests.engines.plugins.emulation import INVALID_VALUE, Emulated

SHAPES = [
    (1, 960, 4, 4),  # DAH-FAS at 112x112
    (3, 480, 4, 4),  # dah-fas-lite
    (2, 40, 7, 7),  # packs do not fit: 49 pixels
    (3, 7, 5, 3),
    (1, 1, 1, 1),
    (2, 8, 1, 300),  # one row, wider than what is taken as one map
    (2, 8, 300, 1),
    (1, 24, 29, 37),  # odd, tiles that stick out
    (2, 20, 24, 40),  # packs across, tiles that stick out
    (1, 200, 16, 64),  # more channels than a thread holds in registers
]
TOLERANCE = {np.float32: (1e-5, 1e-6), np.float16: (2**-10, 1e-6)}
"""Relative and absolute. Half is rounded once, at the end: half a unit in the last place, 2**-11, and no more."""
ALPHA, EPSILON = 0.7, 0.25
"""An epsilon this large shows if it were forgotten."""


def assert_close(got: np.ndarray, x: np.ndarray, alpha: float = ALPHA, epsilon: float = EPSILON) -> None:
    rtol, atol = TOLERANCE[x.dtype.type]
    np.testing.assert_allclose(got.astype(np.float64), reference.bte(x, alpha, epsilon), rtol, atol)


def noise(shape: tuple[int, ...], dtype: type, seed: int = 0) -> np.ndarray:
    """With a pattern that all channels share, so that their mean has a gradient."""
    rng = np.random.default_rng(seed)
    common = rng.normal(size=(shape[0], 1, *shape[2:]))
    return (common + rng.normal(size=shape)).astype(dtype)


@pytest.mark.parametrize("processors", [1, 132])
@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("shape", SHAPES)
def test_equations(
    emulated: Emulated, shape: tuple[int, ...], dtype: type, channels_last: bool, processors: int
) -> None:
    x = noise(shape, dtype)
    emulated.device(processors)
    assert_close(emulated.bte(x, ALPHA, EPSILON, channels_last), x)
    assert emulated.launches == 1


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("shape", [(1, 32, 4, 4), (1, 24, 24, 40)])
def test_pointers_that_packs_do_not_fit(
    emulated: Emulated, shape: tuple[int, ...], dtype: type, channels_last: bool
) -> None:
    x = noise(shape, dtype)
    emulated.device(8)
    assert_close(emulated.bte(x, ALPHA, EPSILON, channels_last, shift=1), x)


@pytest.mark.parametrize("shape", [(1, 960, 4, 4), (1, 24, 24, 40)])
def test_order_of_threads_changes_nothing(emulated: Emulated, shape: tuple[int, ...]) -> None:
    x = noise(shape, np.float32)
    results = []
    for last_first in (False, True):
        emulated.device(132, last_first)
        results.append(emulated.bte(x, ALPHA, EPSILON))
    np.testing.assert_array_equal(*results)


@pytest.mark.parametrize(("processors", "blocks"), [(2, 2), (3, 3), (132, 4)])
def test_blocks_that_share_a_map_agree(emulated: Emulated, processors: int, blocks: int) -> None:
    x = noise((1, 960, 4, 4), np.float32)
    emulated.device(1)
    alone = emulated.bte(x, ALPHA, EPSILON)
    emulated.device(processors)
    np.testing.assert_array_equal(emulated.bte(x, ALPHA, EPSILON), alone)
    assert emulated.last_grid == (blocks, 1024)


def test_gradients_whose_squares_half_cannot_hold(emulated: Emulated) -> None:
    x = (2000 * noise((1, 16, 4, 4), np.float64)).astype(np.float16)
    emulated.device(8)
    for alpha in (1e-4, -1e-4):
        got = emulated.bte(x, alpha, EPSILON)
        assert np.isfinite(got).all()
        assert_close(got, x, alpha)


def test_a_negative_alpha_closes_the_gate(emulated: Emulated) -> None:
    x = 100 * noise((1, 16, 4, 4), np.float32)  # exp(50 * 1000) is infinite, its inverse 0
    emulated.device(8)
    got = emulated.bte(x, -50.0, EPSILON)
    assert np.isfinite(got).all()
    np.testing.assert_allclose(got, reference.bte(x, -50.0, EPSILON), 1e-3, 1e-6)


def test_nan_spreads_to_its_neighbours_and_no_further(emulated: Emulated) -> None:
    x = noise((1, 8, 16, 64), np.float32)
    x[0, 3, 5, 20] = np.nan
    emulated.device(8)
    got = emulated.bte(x, ALPHA, EPSILON)
    wanted = np.isnan(reference.bte(x, ALPHA, EPSILON))
    # The convolution of eq. 8 multiplies a pixel by its kernel's central zero, the kernel leaves it out.
    wanted[0, :, 5, 20] = np.isnan(x[0, :, 5, 20])
    assert wanted.sum() == 8 * 8 + 1
    np.testing.assert_array_equal(np.isnan(got), wanted)


@pytest.mark.parametrize("shape", [(0, 4, 4, 4), (1, 0, 4, 4), (1, 4, -1, 4), (2**11, 2**10, 2**5, 2**5)])
def test_shapes_that_are_none_are_refused(emulated: Emulated, shape: tuple[int, ...]) -> None:
    emulated.device(8)
    assert emulated.error_of_bte(shape) == INVALID_VALUE
    assert emulated.launches == 0


def test_a_legal_shape_is_launched(emulated: Emulated) -> None:
    emulated.device(8)
    assert emulated.error_of_bte((1, 4, 4, 4)) == 0
    assert emulated.launches == 1


def test_a_missing_pointer_is_refused(emulated: Emulated) -> None:
    emulated.device(8)
    assert emulated.error_of_bte((1, 4, 4, 4), with_memory=False) == INVALID_VALUE
    assert emulated.launches == 0


def test_the_references_own_error_is_seen() -> None:
    x = noise((1, 4, 4, 4), np.float32)
    with pytest.raises(AssertionError):
        assert_close(reference.bte(x, ALPHA, 0).astype(np.float32), x)
