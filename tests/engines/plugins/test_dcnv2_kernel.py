"""The DCNv2 kernels, run on the CPU, against a float64 transcription of the paper's equation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.engines.plugins import reference
from tests.engines.plugins.emulation import INVALID_VALUE, Emulated, LaunchError
from tests.engines.plugins.reference import Geometry, Tensors, random_tensors

Case = tuple[tuple[int, int, int, int], int, tuple[int, int], Geometry]

CASES: dict[str, Case] = {  # input, output channels, kernel, geometry
    "dense 7x7": ((1, 48, 7, 7), 40, (3, 3), Geometry()),
    "dense, stride 2, batch 3": ((3, 24, 14, 14), 136, (3, 3), Geometry(stride=(2, 2))),
    "no padding": ((2, 16, 9, 11), 16, (3, 3), Geometry(padding=(0, 0))),
    "dilation 2": ((1, 16, 9, 11), 16, (3, 3), Geometry(padding=(2, 2), dilation=(2, 2))),
    "all axes differ": ((3, 8, 11, 9), 12, (3, 2), Geometry((2, 1), (0, 2), (1, 2))),
    "groups": ((2, 24, 7, 9), 60, (3, 3), Geometry(groups=3)),
    "deformable groups": ((2, 24, 7, 9), 36, (3, 3), Geometry(deformable_groups=4)),
    "groups across deformable groups": ((2, 24, 7, 5), 18, (3, 3), Geometry(groups=2, deformable_groups=3)),
    "odd counts": ((3, 5, 5, 7), 7, (3, 3), Geometry()),
    "depthwise": ((3, 20, 7, 7), 20, (3, 3), Geometry(groups=20)),
    "depthwise, stride 2": ((1, 192, 7, 7), 192, (3, 3), Geometry(stride=(2, 2), groups=192)),
    "depthwise, deformable groups": ((2, 12, 6, 5), 12, (3, 3), Geometry(groups=12, deformable_groups=3)),
    "two outputs per group": ((2, 12, 6, 5), 8, (2, 3), Geometry((1, 2), (0, 1), (2, 1), 4, 6)),
    "three outputs in all": ((2, 12, 6, 5), 3, (3, 3), Geometry(deformable_groups=2)),
    "pointwise": ((2, 40, 6, 5), 40, (1, 1), Geometry(padding=(0, 0))),
    "7x7 kernel": ((1, 8, 9, 8), 33, (7, 7), Geometry(padding=(3, 3))),
    "64 taps": ((1, 4, 9, 9), 4, (8, 8), Geometry(padding=(4, 4))),
    "one row": ((2, 8, 1, 9), 8, (1, 3), Geometry(padding=(0, 1))),
    "one column": ((2, 8, 9, 1), 8, (3, 1), Geometry(padding=(1, 0))),
    "one pixel": ((2, 8, 1, 1), 8, (3, 3), Geometry()),
    "70 outputs": ((2, 16, 9, 9), 70, (3, 3), Geometry()),
    "250 outputs": ((1, 8, 9, 9), 250, (3, 3), Geometry()),
    "many pixels": ((2, 16, 28, 28), 130, (3, 3), Geometry()),
}


def assert_close(got: np.ndarray, tensors: Tensors, geometry: Geometry, wanted: np.ndarray | None = None) -> None:
    """FP32: 1e-5 of the largest sum of absolute terms, for positions and sums. FP16: besides, samples and result are
    each rounded once, by half a unit in the last place, 2**-11."""
    wanted = reference.dcnv2(tensors, geometry) if wanted is None else wanted
    scale = reference.magnitude(tensors, geometry)
    allowed = 1e-5 * scale.max() + (2**-10 * scale if tensors.x.dtype == np.float16 else 0)
    excess = np.abs(got - wanted) / allowed
    assert excess.max() < 1, f"{excess.max():.3g} times what is allowed, at {np.argwhere(excess >= 1)[:4].tolist()}"


def make(case: str, dtype: type, reach: float = 2.0) -> tuple[Tensors, Geometry]:
    shape, outputs, kernel, geometry = CASES[case]
    return random_tensors(shape, outputs, kernel, geometry, reach).cast(dtype), geometry


@pytest.mark.parametrize("processors", [1, 500])
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("case", CASES)
def test_equation(emulated: Emulated, case: str, dtype: type, processors: int) -> None:
    tensors, geometry = make(case, dtype)
    emulated.device(processors)
    assert_close(emulated.dcnv2(tensors, geometry), tensors, geometry)
    assert emulated.launches == 1


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_random_geometries(emulated: Emulated, dtype: type) -> None:
    rng = np.random.default_rng(11)
    done = 0
    while done < 40:
        groups, deformable_groups = (int(rng.choice([1, 1, 2, 3, 6])) for _ in range(2))
        n, h, w, kh, kw = (int(rng.integers(1, most)) for most in (4, 13, 13, 5, 5))
        channels, outputs = 6 * int(rng.integers(1, 6)), groups * int(rng.integers(1, 40))
        pairs = [tuple(rng.integers(low, high, 2).tolist()) for low, high in ((1, 4), (0, 4), (1, 4))]
        geometry = Geometry(*pairs, groups, deformable_groups)
        if min(geometry.output_size((h, w), (kh, kw))) < 1:
            continue
        tensors = random_tensors((n, channels, h, w), outputs, (kh, kw), geometry, seed=done).cast(dtype)
        emulated.device(int(rng.choice([1, 8, 500])), bool(rng.integers(2)))
        assert_close(emulated.dcnv2(tensors, geometry), tensors, geometry)
        done += 1


@pytest.mark.parametrize(
    ("case", "processors", "grid"),
    [
        ("many pixels", 1, (25 * 1, 256)),  # 192 x 64 per block
        ("250 outputs", 1, (2 * 2, 256)),  # 128 x 64
        ("many pixels", 500, (98 * 5, 128)),  # 32 x 16
        ("7x7 kernel", 1, (5 * 2, 128)),  # the table of 49 taps leaves no room for the large tile
        ("depthwise", 1, (5 * 1, 256)),  # 32 pixels, 32 outputs
        ("depthwise", 500, (5 * 3, 256)),  # 8 outputs
    ],
)
def test_choice_of_the_kernel(emulated: Emulated, case: str, processors: int, grid: tuple[int, int]) -> None:
    tensors, geometry = make(case, np.float16)
    emulated.device(processors)
    emulated.dcnv2(tensors, geometry)
    assert emulated.last_grid == grid


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("case", ["dense 7x7", "depthwise"])
def test_offsets_far_outside_give_the_bias(emulated: Emulated, case: str, dtype: type) -> None:
    tensors, geometry = make(case, dtype)
    far = np.where(tensors.offset > 0, 3e4, -3e4).astype(dtype)
    far[:, ::4] = np.inf
    emulated.device(8)
    got = emulated.dcnv2(replace(tensors, offset=far), geometry)
    np.testing.assert_array_equal(got, np.broadcast_to(tensors.bias[:, None, None], got.shape))


@pytest.mark.parametrize("case", ["dense 7x7", "depthwise"])
def test_samples_at_the_border(emulated: Emulated, case: str) -> None:
    """Whole and half pixels from two outside to two outside: the last pixel fades to zero over one pixel."""
    tensors, geometry = make(case, np.float32)
    border = np.round(2 * tensors.offset) / 2
    assert (np.abs(border) > 2).any()
    emulated.device(8)
    tensors = replace(tensors, offset=border)
    assert_close(emulated.dcnv2(tensors, geometry), tensors, geometry)


@pytest.mark.parametrize("processors", [1, 500])
def test_half_keeps_large_coordinates(emulated: Emulated, processors: int) -> None:
    """At 200 pixels half's steps are an eighth of a pixel: positions kept in half would not pass."""
    geometry = Geometry()
    tensors = random_tensors((1, 8, 3, 230), 40, (3, 3), geometry).cast(np.float16)
    emulated.device(processors)
    got = emulated.dcnv2(tensors, geometry)
    assert_close(got, tensors, geometry)
    in_half = reference.dcnv2(tensors, geometry, lambda at: at.astype(np.float16).astype(np.float64))
    with pytest.raises(AssertionError, match="times what is allowed"):
        assert_close(in_half, tensors, geometry)


@pytest.mark.parametrize("field", ["stride", "padding", "dilation"])
def test_swapped_axes_would_be_seen(emulated: Emulated, field: str) -> None:
    """Height before width, unlike TensorRT's ModulatedDeformConv2d: the swapped reading of each field fails."""
    values = {"stride": (3, 2), "padding": (1, 2), "dilation": (2, 1)}
    geometry = replace(Geometry(), **{field: values[field]})
    swapped = replace(geometry, **{field: values[field][::-1]})
    kernel = (3, 3)
    tensors = random_tensors((1, 16, 12, 12), 16, kernel, geometry).cast(np.float32)
    emulated.device(8)
    got = emulated.dcnv2(tensors, geometry)
    assert_close(got, tensors, geometry)
    # A square input gives a result of transposed size; its common part tells whether the axes were read as given.
    other = random_tensors((1, 16, 12, 12), 16, kernel, swapped).cast(np.float32)
    common = np.s_[..., : min(got.shape[2:]), : min(got.shape[2:])]
    offset, mask = other.offset.copy(), other.mask.copy()
    offset[common], mask[common] = tensors.offset[common], tensors.mask[common]
    misread = reference.dcnv2(replace(tensors, offset=offset, mask=mask), swapped)[common]
    assert np.abs(got[common] - misread).max() > 0.1


def test_bias_zero_and_not(emulated: Emulated) -> None:
    tensors, geometry = make("dense 7x7", np.float32)
    emulated.device(8)
    zero = emulated.dcnv2(replace(tensors, bias=np.zeros_like(tensors.bias)), geometry)
    with_bias = emulated.dcnv2(tensors, geometry)
    np.testing.assert_allclose(with_bias - zero, np.broadcast_to(tensors.bias[:, None, None], zero.shape), atol=1e-5)


@pytest.mark.parametrize("processors", [1, 500])
@pytest.mark.parametrize("case", ["dense, stride 2, batch 3", "depthwise"])
def test_order_of_threads_changes_nothing(emulated: Emulated, case: str, processors: int) -> None:
    tensors, geometry = make(case, np.float16)
    results = []
    for last_first in (False, True):
        emulated.device(processors, last_first)
        results.append(emulated.dcnv2(tensors, geometry))
    np.testing.assert_array_equal(*results)


@pytest.mark.parametrize("name", ["offset", "mask", "x"])
@pytest.mark.parametrize("case", ["dense 7x7", "depthwise"])
def test_nan_is_not_swallowed(emulated: Emulated, case: str, name: str) -> None:
    tensors, geometry = make(case, np.float32, reach=0.0)
    array = getattr(tensors, name).copy()
    array[0, 4, 3, 3] = np.nan
    emulated.device(8)
    got = emulated.dcnv2(replace(tensors, **{name: array}), geometry)
    spoilt = np.isnan(got)
    wanted = np.isnan(reference.dcnv2(replace(tensors, **{name: array}), geometry)) if name != "offset" else None
    assert spoilt[0, 4, 3, 3]
    assert not spoilt[:, :, 0, 0].any()
    assert wanted is None or spoilt[wanted].all()


FIELDS = (
    *("batch", "channels", "height", "width", "out_channels", "out_height", "out_width", "kernel_h", "kernel_w"),
    *("stride_h", "stride_w", "padding_h", "padding_w", "dilation_h", "dilation_w", "groups", "deformable_groups"),
)
"""Of Dcnv2Shape, in its order."""


@pytest.mark.parametrize(
    "changes",
    [
        {"batch": 0},
        {"channels": -48},
        {"out_height": 6},
        {"out_width": 8},
        {"stride_h": 0},
        {"stride_w": 2},
        {"padding_h": -1},
        {"padding_h": 2**25, "dilation_h": 2**25 + 3, "out_height": 1},  # beyond whole numbers of float
        {"dilation_w": 0},
        {"groups": 5},
        {"groups": 0},
        {"deformable_groups": 7},
        {"kernel_h": 0},
        {"kernel_h": 9, "kernel_w": 9, "padding_h": 4, "padding_w": 4},  # 81 taps
        {"batch": 2**22},
        {"batch": 2**30},
    ],
)
def test_shapes_that_are_none_are_refused(emulated: Emulated, changes: dict[str, int]) -> None:
    tensors, _ = make("dense 7x7", np.float32)
    numbers = [1, 48, 7, 7, 40, 7, 7, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1]
    emulated.device(8)
    emulated.dcnv2_of(numbers, tensors, (1, 40, 7, 7))
    for name, value in changes.items():
        numbers[FIELDS.index(name)] = value
    with pytest.raises(LaunchError) as refused:
        emulated.dcnv2_of(numbers, tensors, (1, 40, 7, 7))
    assert refused.value.args == (INVALID_VALUE,)
    assert emulated.launches == 1
