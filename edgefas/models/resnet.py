"""ResNet-18 (He et al., "Deep Residual Learning for Image Recognition", CVPR 2016).

Written from the paper's table 1; state-dict names and shapes are those of torchvision's `resnet18`, so its ImageNet
weights load.
"""

from __future__ import annotations

from torch import Tensor, nn

from edgefas.contracts import Modality
from edgefas.models.layers import global_pool, initialise
from edgefas.models.registry import PaperFigures, register_model
from edgefas.models.single import SingleBranch, SingleConfig


class ResNet18(nn.Module):
    """(N, in_channels, H, W) -> (N, outputs).

    Args:
        in_channels: 3 for RGB.
        outputs: of the classifier; 0 leaves it out.
        base: channels of the first stage; each later one has twice as many.
    """

    def __init__(self, in_channels: int = 3, outputs: int = 1, base: int = 64) -> None:
        super().__init__()
        self.num_features = 8 * base
        self.conv1 = nn.Conv2d(in_channels, base, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(base)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        self.layer1 = _stage(base, base, stride=1)
        self.layer2 = _stage(base, 2 * base, stride=2)
        self.layer3 = _stage(2 * base, 4 * base, stride=2)
        self.layer4 = _stage(4 * base, 8 * base, stride=2)
        if outputs:
            self.fc = nn.Linear(self.num_features, outputs)
        initialise(self)

    def forward_features(self, x: Tensor) -> Tensor:
        """(N, num_features, ceil(H / 32), ceil(W / 32))."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        features: Tensor = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return features

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.fc(global_pool(self.forward_features(x)))
        return logits


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut, which is a 1x1 convolution where the shape changes."""

    def __init__(self, channels: int, out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, out, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(out)
        self.conv2 = nn.Conv2d(out, out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(out)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = (
            nn.Identity()
            if stride == 1 and channels == out
            else nn.Sequential(nn.Conv2d(channels, out, 1, stride, bias=False), nn.BatchNorm2d(out))
        )

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        result: Tensor = self.relu(y + self.downsample(x))
        return result


def _stage(channels: int, out: int, stride: int) -> nn.Sequential:
    return nn.Sequential(BasicBlock(channels, out, stride), BasicBlock(out, out, 1))


@register_model(
    "resnet18",
    SingleConfig(modality=Modality.DEPTH),
    paper=PaperFigures(
        title="ResNet-18", params_m=None, gmacs=1.8, source="arXiv:1512.03385, table 1 (224x224, 1000 classes)"
    ),
)
def resnet18(config: SingleConfig) -> nn.Module:
    """ResNet-18 on one modality."""
    return SingleBranch(config, ResNet18(config.channels))
