"""ResNeXt-50 32x4d (Xie et al., "Aggregated Residual Transformations for Deep Neural Networks", CVPR 2017).

Written from the paper's table 1; state-dict names and shapes are those of torchvision's `resnext50_32x4d`, so its
ImageNet weights load.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from edgefas.contracts import Modality
from edgefas.models.layers import global_pool, initialise
from edgefas.models.registry import PaperFigures, register_model
from edgefas.models.single import SingleBranch, SingleConfig

Attention = Callable[[int], nn.Module]
"""channels -> what ends the residual branch of a block, before the shortcut is added."""


def no_attention(channels: int) -> nn.Module:
    """ResNeXt's own blocks end in a batch norm."""
    return nn.Identity()


class ResNeXt(nn.Module):
    """(N, in_channels, H, W) -> (N, outputs).

    Args:
        in_channels: 3 for RGB.
        outputs: of the classifier.
        blocks: of each of the four stages.
        strides: of each stage's first block.
        pool_stride: of the stem's max pooling.
        base: channels of the stem; the stages give 4, 8, 16 and 32 times as many.
        groups: of the 3x3 convolutions.
        attention: called with the channels of each block.
    """

    def __init__(
        self,
        in_channels: int = 3,
        outputs: int = 1,
        *,
        blocks: tuple[int, ...] = (3, 4, 6, 3),
        strides: tuple[int, ...] = (1, 2, 2, 2),
        pool_stride: int = 2,
        base: int = 64,
        groups: int = 32,
        attention: Attention = no_attention,
    ) -> None:
        super().__init__()
        self.num_features = 32 * base
        self.conv1 = nn.Conv2d(in_channels, base, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(base)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, pool_stride, 1)
        channels, stages = base, []
        for i, (count, first_stride) in enumerate(zip(blocks, strides, strict=True)):
            out, stage = 4 * base * 2**i, []
            for stride in (first_stride, *[1] * (count - 1)):
                stage.append(Bottleneck(channels, out, stride, groups, attention(out)))
                channels = out
            stages.append(nn.Sequential(*stage))
        self.layer1, self.layer2, self.layer3, self.layer4 = stages
        self.fc = nn.Linear(self.num_features, outputs)
        initialise(self)

    def forward_features(self, x: Tensor) -> Tensor:
        """(N, num_features, H', W'), at ResNeXt-50's strides ceil(H / 32), ceil(W / 32)."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        features: Tensor = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return features

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.fc(global_pool(self.forward_features(x)))
        return logits


class Bottleneck(nn.Module):
    """1x1, grouped 3x3 and 1x1 convolutions, attention, and a shortcut: a 1x1 convolution where the shape changes."""

    def __init__(self, channels: int, out: int, stride: int, groups: int, attention: nn.Module) -> None:
        super().__init__()
        width = out // 2
        self.conv1 = nn.Conv2d(channels, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, groups=groups, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, out, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out)
        self.attention = attention
        self.relu = nn.ReLU(inplace=True)
        self.downsample = (
            nn.Identity()
            if stride == 1 and channels == out
            else nn.Sequential(nn.Conv2d(channels, out, 1, stride, bias=False), nn.BatchNorm2d(out))
        )

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.bn3(self.conv3(self.relu(self.bn2(self.conv2(y)))))
        result: Tensor = self.relu(self.attention(y) + self.downsample(x))
        return result


@register_model(
    "resnext50",
    SingleConfig(modality=Modality.RGB),
    paper=PaperFigures(
        title="ResNeXt-50 (32x4d)",
        params_m=25.0,
        gmacs=4.2,
        source="arXiv:1611.05431, table 1 (224x224, 1000 classes)",
    ),
)
def resnext50(config: SingleConfig) -> nn.Module:
    """ResNeXt-50 on one modality."""
    return SingleBranch(config, ResNeXt(config.channels))
