"""Xception (Chollet, "Xception: Deep Learning with Depthwise Separable Convolutions", CVPR 2017).

Written from the paper's figure 5; state-dict names and shapes are those of timm's `legacy_xception`, so its ImageNet
weights load.
"""

from __future__ import annotations

from torch import Tensor, nn

from edgefas.contracts import Modality
from edgefas.models.layers import global_pool, initialise
from edgefas.models.registry import PaperFigures, register_model
from edgefas.models.single import SingleBranch, SingleConfig


class Xception(nn.Module):
    """(N, in_channels, H, W) -> (N, outputs).

    Args:
        in_channels: 3 for RGB.
        outputs: of the classifier.
    """

    num_features = 2048

    def __init__(self, in_channels: int = 3, outputs: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, 32, 3, 2, bias=False)
        self.bn1 = nn.BatchNorm2d(32)
        self.conv2 = nn.Conv2d(32, 64, 3, bias=False)
        self.bn2 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True)
        self.block1 = Block(64, (128, 128), stride=2, first_relu=False)
        self.block2 = Block(128, (256, 256), stride=2)
        self.block3 = Block(256, (728, 728), stride=2)
        for i in range(4, 12):
            self.add_module(f"block{i}", Block(728, (728, 728, 728), stride=1))
        self.block12 = Block(728, (728, 1024), stride=2)
        self.conv3 = SeparableConv(1024, 1536)
        self.bn3 = nn.BatchNorm2d(1536)
        self.conv4 = SeparableConv(1536, self.num_features)
        self.bn4 = nn.BatchNorm2d(self.num_features)
        self.fc = nn.Linear(self.num_features, outputs)
        initialise(self)

    def forward_features(self, x: Tensor) -> Tensor:
        """(N, num_features, about H / 32, about W / 32): the first two convolutions do not pad."""
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.relu(self.bn2(self.conv2(x)))
        for i in range(1, 13):
            x = self.get_submodule(f"block{i}")(x)
        x = self.relu(self.bn3(self.conv3(x)))
        features: Tensor = self.relu(self.bn4(self.conv4(x)))
        return features

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.fc(global_pool(self.forward_features(x)))
        return logits


class SeparableConv(nn.Module):
    """Depthwise 3x3, then 1x1, with nothing between."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, 1, 1, groups=channels, bias=False)
        self.pointwise = nn.Conv2d(channels, out, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.pointwise(self.conv1(x))
        return y


class Block(nn.Module):
    """ReLU and separable convolution per entry of `outs`, pooling for a stride, and a shortcut."""

    def __init__(self, channels: int, outs: tuple[int, ...], stride: int, first_relu: bool = True) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for before, out in zip((channels, *outs), outs, strict=False):
            layers += [nn.ReLU(), SeparableConv(before, out), nn.BatchNorm2d(out)]
        if stride > 1:
            layers.append(nn.MaxPool2d(3, stride, 1))
        self.rep = nn.Sequential(*layers[0 if first_relu else 1 :])
        self.strided = stride > 1
        if self.strided:
            self.skip = nn.Conv2d(channels, outs[-1], 1, stride, bias=False)
            self.skipbn = nn.BatchNorm2d(outs[-1])

    def forward(self, x: Tensor) -> Tensor:
        shortcut = self.skipbn(self.skip(x)) if self.strided else x
        y: Tensor = self.rep(x) + shortcut
        return y


@register_model(
    "xception",
    SingleConfig(modality=Modality.RGB),
    paper=PaperFigures(
        title="Xception", params_m=22.856, gmacs=None, source="arXiv:1610.02357, table 3 (299x299, 1000 classes)"
    ),
)
def xception(config: SingleConfig) -> nn.Module:
    """Xception on one modality."""
    return SingleBranch(config, Xception(config.channels))
