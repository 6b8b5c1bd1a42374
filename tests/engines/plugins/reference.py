"""BTE and DCNv2 in numpy float64, written from the papers' equations; nothing of edgefas is imported."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import astuple, dataclass

import numpy as np

Pair = tuple[int, int]


@dataclass(frozen=True)
class Geometry:
    """Of a DCNv2; pairs are (vertical, horizontal)."""

    stride: Pair = (1, 1)
    padding: Pair = (1, 1)
    dilation: Pair = (1, 1)
    groups: int = 1
    deformable_groups: int = 1

    def output_size(self, size: Pair, kernel: Pair) -> Pair:
        """By the rule of an ordinary convolution."""
        reach = [self.dilation[i] * (kernel[i] - 1) + 1 for i in range(2)]
        height, width = ((size[i] + 2 * self.padding[i] - reach[i]) // self.stride[i] + 1 for i in range(2))
        return height, width


@dataclass(frozen=True)
class Tensors:
    """Of a DCNv2, in any one dtype."""

    x: np.ndarray
    offset: np.ndarray
    mask: np.ndarray
    weight: np.ndarray
    bias: np.ndarray

    def cast(self, dtype: type) -> Tensors:
        return Tensors(*(array.astype(dtype) for array in astuple(self)))


def bte(x: np.ndarray, alpha: float, epsilon: float) -> np.ndarray:
    """DAH-FAS, eq. 7-11, on (N, C, H, W)."""
    wide = x.astype(np.float64)
    mean = np.pad(wide.mean(1), ((0, 0), (1, 1), (1, 1)))
    sobel = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]], np.float64)
    height, width = x.shape[2:]

    def convolve(kernel: np.ndarray) -> np.ndarray:
        total = np.zeros(mean[:, :height, :width].shape)
        for i, j in np.ndindex(3, 3):
            total += kernel[i, j] * mean[:, i : i + height, j : j + width]
        return total

    magnitude = np.sqrt(convolve(sobel) ** 2 + convolve(sobel.T) ** 2) + epsilon
    with np.errstate(over="ignore"):
        gate: np.ndarray = 1 / (1 + np.exp(-alpha * magnitude))
    return wide * gate[:, None]


def dcnv2(
    tensors: Tensors, geometry: Geometry, coordinate: Callable[[np.ndarray], np.ndarray] = lambda at: at
) -> np.ndarray:
    """Deformable ConvNets v2, eq. 1, with the borders of ONNX DeformConv; `coordinate` may spoil the positions."""
    x, offset, mask, weight, bias = (array.astype(np.float64) for array in astuple(tensors))
    n, c, h, w = x.shape
    m, per_group, kh, kw = weight.shape
    ho, wo = geometry.output_size((h, w), (kh, kw))
    dg = geometry.deformable_groups
    offset = offset.reshape(n, dg, kh, kw, 2, ho, wo)
    mask = mask.reshape(n, dg, kh, kw, ho, wo)
    planes = x.reshape(n, dg, c // dg, h, w)
    rows = (np.arange(ho) * geometry.stride[0] - geometry.padding[0])[:, None]
    columns = (np.arange(wo) * geometry.stride[1] - geometry.padding[1])[None]
    samples = np.zeros((n, dg, c // dg, kh, kw, ho, wo))
    for b, g, i, j in np.ndindex(n, dg, kh, kw):
        y = coordinate(rows + i * geometry.dilation[0] + offset[b, g, i, j, 0])
        z = coordinate(columns + j * geometry.dilation[1] + offset[b, g, i, j, 1])
        for top, left in ((0, 0), (0, 1), (1, 0), (1, 1)):
            row, column = np.floor(y) + top, np.floor(z) + left
            share = (1 - np.abs(y - row)) * (1 - np.abs(z - column))
            inside = (row >= 0) & (row < h) & (column >= 0) & (column < w)
            at = np.where(inside, row, 0).astype(int), np.where(inside, column, 0).astype(int)
            samples[b, g, :, i, j] += np.where(inside, share * planes[b, g][:, at[0], at[1]], 0)
        samples[b, g, :, i, j] *= mask[b, g, i, j]
    grouped = samples.reshape(n, geometry.groups, per_group, kh * kw, ho * wo)
    filters = weight.reshape(geometry.groups, m // geometry.groups, per_group, kh * kw)
    y = np.einsum("ngctp,gmct->ngmp", grouped, filters).reshape(n, m, ho, wo)
    result: np.ndarray = y + bias[:, None, None]
    return result


def random_tensors(
    shape: tuple[int, int, int, int], outputs: int, kernel: Pair, geometry: Geometry, reach: float = 2.0, seed: int = 0
) -> Tensors:
    """For an input of `shape`; offsets are normal with deviation `reach` pixels, masks lie in 0 to 1."""
    rng = np.random.default_rng(seed)
    n, c, h, w = shape
    out = geometry.output_size((h, w), kernel)
    taps = geometry.deformable_groups * kernel[0] * kernel[1]
    fan_in = c // geometry.groups * kernel[0] * kernel[1]
    return Tensors(
        x=rng.normal(size=shape),
        offset=rng.normal(scale=reach, size=(n, 2 * taps, *out)),
        mask=rng.uniform(size=(n, taps, *out)),
        weight=rng.normal(scale=fan_in**-0.5, size=(outputs, c // geometry.groups, *kernel)),
        bias=rng.normal(size=outputs),
    )


def magnitude(tensors: Tensors, geometry: Geometry) -> np.ndarray:
    """The sum of the absolute terms of each output: what rounding errors are relative to."""
    absolute = Tensors(
        np.abs(tensors.x), tensors.offset, np.abs(tensors.mask), np.abs(tensors.weight), np.abs(tensors.bias)
    )
    return dcnv2(absolute, geometry)
