"""What more than one network uses."""

from __future__ import annotations

import math

import torch.nn.functional as F
from torch import Tensor, nn


def make_divisible(channels: float, divisor: int) -> int:
    """Round a scaled channel count to a multiple of `divisor`, never down by more than a tenth."""
    rounded = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return rounded if rounded >= 0.9 * channels else rounded + divisor


def global_pool(x: Tensor) -> Tensor:
    """(N, C, H, W) -> (N, C): the mean over the map."""
    return x.mean((2, 3))


def initialise(network: nn.Module) -> None:
    """He et al. (2015) for convolutions, by fan-out; small normal weights for linear layers."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            fan_out = module.out_channels * math.prod(module.kernel_size) // module.groups
            nn.init.normal_(module.weight, std=math.sqrt(2 / fan_out))
        elif isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=0.01)
        else:
            continue
        if module.bias is not None:
            nn.init.zeros_(module.bias)


class SqueezeExcite(nn.Module):
    """x * gate(W2 activation(W1 GAP(x))), in timm's names (Hu et al., "Squeeze-and-Excitation Networks", CVPR 2018)."""

    def __init__(self, channels: int, reduced: int, activation: type[nn.Module], gate: type[nn.Module]) -> None:
        super().__init__()
        self.conv_reduce = nn.Conv2d(channels, reduced, 1)
        self.act1 = activation()
        self.conv_expand = nn.Conv2d(reduced, channels, 1)
        self.gate = gate()

    def forward(self, x: Tensor) -> Tensor:
        squeezed = F.adaptive_avg_pool2d(x, 1)
        return x * self.gate(self.conv_expand(self.act1(self.conv_reduce(squeezed))))
