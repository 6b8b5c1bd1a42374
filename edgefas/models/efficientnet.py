"""EfficientNet-B0 (Tan & Le, "EfficientNet: Rethinking Model Scaling for CNNs", ICML 2019).

Written from the paper's table 1; state-dict names and shapes are those of timm's `efficientnet_b0`, so its ImageNet
weights load.
"""

from __future__ import annotations

from torch import Tensor, nn

from edgefas.contracts import Modality
from edgefas.models.layers import SqueezeExcite, global_pool, initialise, make_divisible
from edgefas.models.registry import PaperFigures, register_model
from edgefas.models.single import SingleBranch, SingleConfig

STAGES = ((6, 3, 24, 2, 2), (6, 5, 40, 2, 2), (6, 3, 80, 3, 2), (6, 5, 112, 3, 1), (6, 5, 192, 4, 2), (6, 3, 320, 1, 1))
"""(expansion, kernel, channels, blocks, first stride) of stages 3 to 8 in the paper's table 1; 2 has no expansion."""


class EfficientNetB0(nn.Module):
    """(N, in_channels, H, W) -> (N, outputs).

    Args:
        in_channels: 3 for RGB.
        outputs: of the classifier; 0 leaves it out.
        width: channel multiplier.
    """

    def __init__(self, in_channels: int = 3, outputs: int = 1, width: float = 1.0) -> None:
        super().__init__()
        stem, channels, self.num_features = (make_divisible(base * width, 8) for base in (32, 16, 1280))
        self.conv_stem = nn.Conv2d(in_channels, stem, 3, 2, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(stem)
        self.act = nn.SiLU(inplace=True)
        stages = [nn.Sequential(SeparableConv(stem, channels))]
        for expansion, kernel, base, count, first_stride in STAGES:
            out = make_divisible(base * width, 8)
            blocks = []
            for i in range(count):
                blocks.append(MBConv(channels, out, expansion, kernel, first_stride if i == 0 else 1))
                channels = out
            stages.append(nn.Sequential(*blocks))
        self.blocks = nn.Sequential(*stages)
        self.conv_head = nn.Conv2d(channels, self.num_features, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(self.num_features)
        if outputs:
            self.dropout = nn.Dropout(0.2)
            self.classifier = nn.Linear(self.num_features, outputs)
        initialise(self)

    def forward_features(self, x: Tensor) -> Tensor:
        """(N, num_features, ceil(H / 32), ceil(W / 32))."""
        x = self.blocks(self.act(self.bn1(self.conv_stem(x))))
        features: Tensor = self.act(self.bn2(self.conv_head(x)))
        return features

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.dropout(global_pool(self.forward_features(x))))
        return logits


class SeparableConv(nn.Module):
    """MBConv without expansion: depthwise 3x3, squeeze-and-excitation, linear 1x1."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.conv_dw = nn.Conv2d(channels, channels, 3, 1, 1, groups=channels, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.act = nn.SiLU(inplace=True)
        self.se = SqueezeExcite(channels, channels // 4, nn.SiLU, nn.Sigmoid)
        self.conv_pw = nn.Conv2d(channels, out, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(out)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.bn2(self.conv_pw(self.se(self.act(self.bn1(self.conv_dw(x))))))
        return result


class MBConv(nn.Module):
    """Expand by 1x1, depthwise, squeeze-and-excitation by a quarter of the input, linear 1x1; shortcut if it fits."""

    def __init__(self, channels: int, out: int, expansion: int, kernel: int, stride: int) -> None:
        super().__init__()
        hidden = channels * expansion
        self.conv_pw = nn.Conv2d(channels, hidden, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(hidden)
        self.conv_dw = nn.Conv2d(hidden, hidden, kernel, stride, kernel // 2, groups=hidden, bias=False)
        self.bn2 = nn.BatchNorm2d(hidden)
        self.act = nn.SiLU(inplace=True)
        self.se = SqueezeExcite(hidden, channels // 4, nn.SiLU, nn.Sigmoid)
        self.conv_pwl = nn.Conv2d(hidden, out, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out)
        self.shortcut = stride == 1 and channels == out

    def forward(self, x: Tensor) -> Tensor:
        y = self.act(self.bn1(self.conv_pw(x)))
        y = self.se(self.act(self.bn2(self.conv_dw(y))))
        y = self.bn3(self.conv_pwl(y))
        return x + y if self.shortcut else y


@register_model(
    "efficientnet-b0",
    SingleConfig(modality=Modality.RGB, size_px=224),
    paper=PaperFigures(
        title="EfficientNet-B0", params_m=5.3, gmacs=0.39, source="arXiv:1905.11946, table 2 (224x224, 1000 classes)"
    ),
)
def efficientnet_b0(config: SingleConfig) -> nn.Module:
    """EfficientNet-B0 on one modality."""
    return SingleBranch(config, EfficientNetB0(config.channels))
