"""MobileNetV2 (Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks", CVPR 2018).

Written from the paper's table 2; state-dict names and shapes are those of torchvision's `mobilenet_v2`, so its
ImageNet weights load.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from edgefas.contracts import Modality
from edgefas.models.layers import global_pool, initialise, make_divisible
from edgefas.models.registry import PaperFigures, register_model
from edgefas.models.single import SingleBranch, SingleConfig

Mixer = Callable[[int, int, int], nn.Module]
"""(block, channels, stride) -> what stands in the place of that block's depthwise 3x3 convolution."""

STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
"""(expansion, channels, blocks, first stride), table 2 of the paper."""


def depthwise(block: int, channels: int, stride: int) -> nn.Module:
    """The paper's own mixer: one 3x3 filter per channel."""
    return nn.Conv2d(channels, channels, 3, stride, 1, groups=channels, bias=False)


class MobileNetV2(nn.Module):
    """(N, in_channels, H, W) -> (N, outputs).

    Args:
        in_channels: 3 for RGB.
        outputs: of the classifier; 0 leaves it out.
        width: channel multiplier.
        mixer: called for blocks 0 to 16, the inverted residuals in order.
    """

    def __init__(self, in_channels: int = 3, outputs: int = 1, width: float = 1.0, mixer: Mixer = depthwise) -> None:
        super().__init__()
        channels = make_divisible(32 * width, 8)
        self.num_features = make_divisible(1280 * max(1.0, width), 8)
        layers: list[nn.Module] = [_conv_bn_relu6(nn.Conv2d(in_channels, channels, 3, 2, 1, bias=False))]
        for expansion, base, count, first_stride in STAGES:
            out = make_divisible(base * width, 8)
            for i in range(count):
                stride = first_stride if i == 0 else 1
                hidden = channels * expansion
                layers.append(InvertedResidual(channels, out, stride, hidden, mixer(len(layers) - 1, hidden, stride)))
                channels = out
        layers.append(_conv_bn_relu6(nn.Conv2d(channels, self.num_features, 1, bias=False)))
        self.features = nn.Sequential(*layers)
        if outputs:
            self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(self.num_features, outputs))
        initialise(self)

    def forward_features(self, x: Tensor) -> Tensor:
        """(N, num_features, ceil(H / 32), ceil(W / 32))."""
        features: Tensor = self.features(x)
        return features

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.classifier(global_pool(self.forward_features(x)))
        return logits


class InvertedResidual(nn.Module):
    """Expand by 1x1, mix in space, project by a linear 1x1; with a shortcut where the shape stays."""

    def __init__(self, channels: int, out: int, stride: int, hidden: int, mixer: nn.Module) -> None:
        super().__init__()
        expand = [] if hidden == channels else [_conv_bn_relu6(nn.Conv2d(channels, hidden, 1, bias=False))]
        self.conv = nn.Sequential(
            *expand,
            nn.Sequential(mixer, nn.BatchNorm2d(hidden), nn.ReLU6(inplace=True)),
            nn.Conv2d(hidden, out, 1, bias=False),
            nn.BatchNorm2d(out),
        )
        self.shortcut = stride == 1 and channels == out

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv(x)
        return x + y if self.shortcut else y


def _conv_bn_relu6(conv: nn.Conv2d) -> nn.Sequential:
    return nn.Sequential(conv, nn.BatchNorm2d(conv.out_channels), nn.ReLU6(inplace=True))


@register_model(
    "mobilenetv2",
    SingleConfig(modality=Modality.RGB),
    paper=PaperFigures(
        title="MobileNetV2", params_m=3.4, gmacs=0.300, source="arXiv:1801.04381, table 4 (224x224, 1000 classes)"
    ),
)
def mobilenetv2(config: SingleConfig) -> nn.Module:
    """MobileNetV2 on one modality."""
    return SingleBranch(config, MobileNetV2(config.channels))
