"""GhostNet (Han et al., "GhostNet: More Features from Cheap Operations", CVPR 2020).

Written from the paper's table 1; state-dict names and shapes are those of timm's `ghostnet_100`, so its ImageNet
weights load.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from edgefas.contracts import Modality
from edgefas.models.layers import SqueezeExcite, global_pool, initialise, make_divisible
from edgefas.models.registry import PaperFigures, register_model
from edgefas.models.single import SingleBranch, SingleConfig

STAGES = (
    ((3, 16, 16, False, 1),),
    ((3, 48, 24, False, 2),),
    ((3, 72, 24, False, 1),),
    ((5, 72, 40, True, 2),),
    ((5, 120, 40, True, 1),),
    ((3, 240, 80, False, 2),),
    (
        (3, 200, 80, False, 1),
        (3, 184, 80, False, 1),
        (3, 184, 80, False, 1),
        (3, 480, 112, True, 1),
        (3, 672, 112, True, 1),
    ),
    ((5, 672, 160, True, 2),),
    ((5, 960, 160, False, 1), (5, 960, 160, True, 1), (5, 960, 160, False, 1), (5, 960, 160, True, 1)),
)
"""Per stage and block (kernel, expanded channels, channels, squeeze-and-excitation, stride), table 1 of the paper."""


class GhostNet(nn.Module):
    """(N, in_channels, H, W) -> (N, outputs).

    Args:
        in_channels: 3 for RGB.
        outputs: of the classifier; 0 leaves out the classifier and the 1280-channel layer before it.
        width: channel multiplier.
    """

    def __init__(self, in_channels: int = 3, outputs: int = 1, width: float = 1.0) -> None:
        super().__init__()
        channels = make_divisible(16 * width, 4)
        self.conv_stem = nn.Conv2d(in_channels, channels, 3, 2, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.act1 = nn.ReLU(inplace=True)
        stages = []
        for stage in STAGES:
            blocks = []
            for kernel, expanded, base, excite, stride in stage:
                hidden, out = make_divisible(expanded * width, 4), make_divisible(base * width, 4)
                blocks.append(GhostBottleneck(channels, hidden, out, kernel, stride, excite))
                channels = out
            stages.append(nn.Sequential(*blocks))
        self.num_features = make_divisible(STAGES[-1][-1][1] * width, 4)
        stages.append(nn.Sequential(ConvBnAct(channels, self.num_features)))
        self.blocks = nn.Sequential(*stages)
        if outputs:
            self.conv_head = nn.Conv2d(self.num_features, 1280, 1)
            self.act2 = nn.ReLU(inplace=True)
            self.dropout = nn.Dropout(0.2)
            self.classifier = nn.Linear(1280, outputs)
        initialise(self)

    def forward_features(self, x: Tensor) -> Tensor:
        """(N, num_features, ceil(H / 32), ceil(W / 32))."""
        features: Tensor = self.blocks(self.act1(self.bn1(self.conv_stem(x))))
        return features

    def forward(self, x: Tensor) -> Tensor:
        pooled = global_pool(self.forward_features(x))[:, :, None, None]
        hidden = self.act2(self.conv_head(pooled)).flatten(1)
        logits: Tensor = self.classifier(self.dropout(hidden))
        return logits


class GhostModule(nn.Module):
    """Half the channels by a 1x1 convolution, the other half ("ghosts") from those by a cheap depthwise 3x3."""

    def __init__(self, channels: int, out: int, activation: type[nn.Module]) -> None:
        super().__init__()
        self.out = out
        half = math.ceil(out / 2)
        self.primary_conv = nn.Sequential(nn.Conv2d(channels, half, 1, bias=False), nn.BatchNorm2d(half), activation())
        self.cheap_operation = nn.Sequential(
            nn.Conv2d(half, half, 3, 1, 1, groups=half, bias=False), nn.BatchNorm2d(half), activation()
        )

    def forward(self, x: Tensor) -> Tensor:
        intrinsic = self.primary_conv(x)
        return torch.cat([intrinsic, self.cheap_operation(intrinsic)], 1)[:, : self.out]


class GhostBottleneck(nn.Module):
    """Ghost expansion, a depthwise convolution if strided, squeeze-and-excitation, linear ghost projection."""

    def __init__(self, channels: int, hidden: int, out: int, kernel: int, stride: int, excite: bool) -> None:
        super().__init__()
        pad = kernel // 2
        self.ghost1 = GhostModule(channels, hidden, nn.ReLU)
        if stride > 1:
            self.conv_dw = nn.Conv2d(hidden, hidden, kernel, stride, pad, groups=hidden, bias=False)
            self.bn_dw = nn.BatchNorm2d(hidden)
        else:
            self.conv_dw, self.bn_dw = nn.Identity(), nn.Identity()
        self.se = (
            SqueezeExcite(hidden, make_divisible(hidden / 4, 4), nn.ReLU, nn.Hardsigmoid) if excite else nn.Identity()
        )
        self.ghost2 = GhostModule(hidden, out, nn.Identity)
        self.shortcut = (
            nn.Identity()
            if stride == 1 and channels == out
            else nn.Sequential(
                nn.Conv2d(channels, channels, kernel, stride, pad, groups=channels, bias=False),
                nn.BatchNorm2d(channels),
                nn.Conv2d(channels, out, 1, bias=False),
                nn.BatchNorm2d(out),
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn_dw(self.conv_dw(self.ghost1(x)))
        result: Tensor = self.ghost2(self.se(y)) + self.shortcut(x)
        return result


class ConvBnAct(nn.Module):
    """1x1 convolution, batch norm, ReLU."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, out, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(out)
        self.act = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.act(self.bn1(self.conv(x)))
        return result


@register_model(
    "ghostnet",
    SingleConfig(modality=Modality.IR),
    paper=PaperFigures(
        title="GhostNet 1.0x", params_m=5.2, gmacs=0.141, source="arXiv:1911.11907, table 7 (224x224, 1000 classes)"
    ),
)
def ghostnet(config: SingleConfig) -> nn.Module:
    """GhostNet on one modality."""
    return SingleBranch(config, GhostNet(config.channels))
