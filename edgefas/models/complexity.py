"""How large a network is: parameters, multiply-accumulates (MACs), and FLOPs = 2 x MACs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode, register_flop_formula

import edgefas.ops  # noqa: F401  (registers the operators)
from edgefas.contracts import InputSpec

_BILINEAR_AND_MASK = 5
"""Multiplications per sample of DCNv2: four neighbours and the mask."""


@dataclass(frozen=True)
class Complexity:
    """Of one face (batch 1).

    Attributes:
        params: learnable numbers; running statistics of batch norm are not counted.
        macs: multiply-accumulates of convolutions, linear layers, DCNv2 (with its sampling) and BTE's Sobel filters.
            Elementwise work, pooling and activations are not counted, as is the custom of the papers.
    """

    params: int
    macs: int

    @property
    def flops(self) -> int:
        """Floating point operations: a multiplication and an addition per MAC."""
        return 2 * self.macs


def count(model: nn.Module, spec: InputSpec) -> Complexity:
    """Count by running the network once on zeros of the shapes in `spec`."""
    device = next(model.parameters()).device
    inputs = {m.value: torch.zeros(1, *spec.shape(m), device=device) for m in spec.modalities}
    training = model.training
    model.eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(**inputs)
    model.train(training)
    return Complexity(sum(p.numel() for p in model.parameters()), counter.get_total_flops() // 2)


@register_flop_formula(torch.ops.edgefas.deform_conv2d)
def _deform_conv2d_flops(
    x: Any, offset: Any, mask: Any, weight: Any, *args: Any, out_shape: Any = None, **kwargs: Any
) -> int:
    """FlopCounterMode passes shapes, not tensors."""
    filters = math.prod(out_shape) * math.prod(weight[1:])
    samples = x[0] * x[1] * math.prod(weight[2:]) * math.prod(out_shape[2:])
    return int(2 * (filters + _BILINEAR_AND_MASK * samples))


@register_flop_formula(torch.ops.edgefas.bte)
def _bte_flops(x: Any, alpha: Any, *args: Any, out_shape: Any = None, **kwargs: Any) -> int:
    """Two 3x3 Sobel filters on one map."""
    return int(2 * 18 * x[0] * x[2] * x[3])
