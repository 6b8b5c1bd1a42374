"""Deformable convolution v2 (Zhu et al., "Deformable ConvNets v2", CVPR 2019; DAH-FAS eq. 3).

Written with `grid_sample`, which is differentiable and quick on a CPU; exported as the standard ONNX `DeformConv`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from edgefas.ops import recompute


def _forward(
    x: Tensor,
    offset: Tensor,
    mask: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    groups: int,
    offset_groups: int,
) -> Tensor:
    """Convolve samples of `x` taken beside the regular taps, each multiplied by its mask; zero outside the map.

    Coordinates and sums are in FP32 even if `x` is half.

    Args:
        x: (N, C, H, W).
        offset: (N, 2 * offset_groups * kh * kw, Ho, Wo) in pixels; per offset group and tap (row by row) dy then dx.
        mask: (N, offset_groups * kh * kw, Ho, Wo), the modulation scalars.
        weight: (M, C / groups, kh, kw).
        bias: (M,) or None.
        stride, padding, dilation: two integers each, (vertical, horizontal).
        groups: channel groups of the convolution; C makes it depthwise.
        offset_groups: groups of input channels that share their offsets and masks.

    Returns:
        (N, M, Ho, Wo) in the dtype of `x`.

    Raises:
        ValueError: `offset` or `mask` does not fit the other shapes.
    """
    n, m, ho, wo = _output_shape(x, offset, mask, weight, stride, padding, dilation, offset_groups)
    c, h, w = x.shape[1:]
    kh, kw = weight.shape[2:]
    wide = torch.promote_types(x.dtype, torch.float32)
    with torch.autocast(x.device.type, enabled=False):
        rows = _taps(ho, stride[0], padding[0], dilation[0], kh, offset).view(kh, 1, ho, 1)
        columns = _taps(wo, stride[1], padding[1], dilation[1], kw, offset).view(1, kw, 1, wo)
        shift = offset.to(wide).reshape(n * offset_groups, kh, kw, 2, ho, wo).unbind(3)
        # align_corners=False maps pixel p of size s to (2p + 1) / s - 1, which also holds for s = 1
        grid = torch.stack([(2 * (columns + shift[1]) + 1) / w - 1, (2 * (rows + shift[0]) + 1) / h - 1], -1)
        sampled = F.grid_sample(
            x.to(wide).reshape(n * offset_groups, c // offset_groups, h, w),
            grid.view(n * offset_groups, kh * kw * ho, wo, 2),
            padding_mode="zeros",
            align_corners=False,
        )
        sampled = sampled * mask.to(wide).reshape(n * offset_groups, 1, kh * kw * ho, wo)
        y = weight.to(wide).reshape(groups, m // groups, -1) @ sampled.reshape(n, groups, -1, ho * wo)
        y = y.view(n, m, ho, wo)
        if bias is not None:
            y = y + bias.to(wide).view(1, m, 1, 1)
    return y.to(x.dtype)


deform_conv2d = torch.library.custom_op("edgefas::deform_conv2d", _forward, mutates_args=())


def _taps(outputs: int, stride: int, padding: int, dilation: int, kernel: int, like: Tensor) -> Tensor:
    """(kernel, outputs): the regular input coordinate of each tap at each output."""
    tap = torch.arange(kernel, device=like.device)[:, None] * dilation
    return tap + torch.arange(outputs, device=like.device) * stride - padding


def _output_shape(
    x: Tensor,
    offset: Tensor,
    mask: Tensor,
    weight: Tensor,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    offset_groups: int,
) -> tuple[int, int, int, int]:
    """(N, M, Ho, Wo) by the rule of an ordinary convolution.

    Raises:
        ValueError: `offset` or `mask` does not fit it.
    """
    taps = offset_groups * weight.shape[2] * weight.shape[3]
    ho, wo = (
        (x.shape[2 + i] + 2 * padding[i] - dilation[i] * (weight.shape[2 + i] - 1) - 1) // stride[i] + 1
        for i in range(2)
    )
    for name, tensor, channels in (("offset", offset, 2 * taps), ("mask", mask, taps)):
        expected = (x.shape[0], channels, ho, wo)
        if tuple(tensor.shape) != expected:
            raise ValueError(f"deform_conv2d: {name} has shape {tuple(tensor.shape)}, expected {expected}")
    return x.shape[0], weight.shape[0], ho, wo


def _fake(
    x: Tensor,
    offset: Tensor,
    mask: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    groups: int,
    offset_groups: int,
) -> Tensor:
    return x.new_empty(_output_shape(x, offset, mask, weight, stride, padding, dilation, offset_groups))


def _setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs[:5])
    ctx.geometry = inputs[5:]


def _backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    found = recompute.gradients(lambda *tensors: _forward(*tensors, *ctx.geometry), ctx.saved_tensors, grad)
    return (*found, None, None, None, None, None)


deform_conv2d.register_fake(_fake)
deform_conv2d.register_autograd(_backward, setup_context=_setup_context)
