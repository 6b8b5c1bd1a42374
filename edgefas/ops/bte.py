"""BioThermal Enhancer (BTE): attention from the gradient of the channel mean (DAH-FAS, eq. 7-11).

The name is the paper's. What a 850 nm camera sees is reflectance, not temperature.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from edgefas.ops import recompute

EPSILON = 1e-6
"""Added to the gradient magnitude (eq. 9)."""

SOBEL_X = ((-1.0, 0.0, 1.0), (-2.0, 0.0, 2.0), (-1.0, 0.0, 1.0))
"""The horizontal kernel of eq. 8; the vertical one is its transpose."""


def _forward(x: Tensor, alpha: Tensor) -> Tensor:
    """Weigh every pixel of `x` by sigmoid(alpha * (|Sobel(mean over channels)| + 1e-6)).

    Mean, squares and root are in FP32 even if `x` is half: a squared gradient overflows half above 256.
    At a zero gradient the root's slope is taken as 0, the subgradient of a norm, so training never meets infinity.

    Args:
        x: (N, C, H, W), any floating dtype.
        alpha: (1,), the learnable scale.

    Returns:
        (N, C, H, W) in the dtype of `x`.
    """
    wide = torch.promote_types(x.dtype, torch.float32)
    with torch.autocast(x.device.type, enabled=False):
        mean = x.to(wide).mean(1, keepdim=True)  # eq. 7
        sobel_x = torch.tensor(SOBEL_X, dtype=wide, device=x.device)
        gradient = F.conv2d(mean, torch.stack([sobel_x, sobel_x.T])[:, None], padding=1)  # eq. 8
        magnitude = torch.linalg.vector_norm(gradient, dim=1, keepdim=True) + EPSILON  # eq. 9
        attention = torch.sigmoid(alpha.to(wide) * magnitude)  # eq. 10
    return x * attention.to(x.dtype)  # eq. 11


bte = torch.library.custom_op("edgefas::bte", _forward, mutates_args=())


def _fake(x: Tensor, alpha: Tensor) -> Tensor:
    return torch.empty_like(x)


def _setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
    ctx.save_for_backward(*inputs)


def _backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    return recompute.gradients(_forward, ctx.saved_tensors, grad)


bte.register_fake(_fake)
bte.register_autograd(_backward, setup_context=_setup_context)
