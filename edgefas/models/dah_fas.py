"""DAH-FAS: MobileNetV2 on RGB, GhostNet on IR, ResNet-18 on depth, joined by cross-modal attention.

"Dynamically-Aware Heterogeneous Face Anti-Spoofing Network", Scientific Reports, published 29 December 2025; equation
numbers below are the paper's.

The paper gives the equations and the totals of its table 8 (29.6 M parameters, 1.78 G operations), but not everything
in between. What follows is a **reconstruction**: an analytic search over the open choices found this one
within 2 % of both totals. Totals do not identify an architecture: others meet them too.

- 1.78 G is read as multiply-accumulates, because the table's other rows are (ResNet-101 7.85 G at 224x224), and as of
  the 112x112 it trains at: at 224x224 the plain backbones alone take more.
- VA-MSRB stands in the place of the depthwise 3x3 of the inverted residuals 1 to 10 of 0 to 16, on the expanded
  channels, before their batch norm and ReLU6. DCNv2 is dense; DSConv has its pointwise half; the detail branch halves
  the channels; a stride is taken by the 3x3 convolution of each branch.
- Eq. 5: the variance is each channel's over the map (one number per channel, which GAP leaves as it is), and the 1x1
  convolution maps C channels to 3 weights per picture.
- BTE acts once, on "the original feature output from GhostNet" (the 960 channels after its last 1x1).
- BGC-MA acts once, after the last IR and depth stage. 960 and 512 channels need no embedding: the grouped 1x1 layers of
  eq. 12-13 map one count to the other (reduction 4, 4 groups), and eq. 14's GAP is read as pooling over channels, since
  pooling over the map would leave nothing for 7x7 kernels: four maps enter, one leaves.
- The classifier is 2752 -> 512 -> 1: one logit, the margin of the paper's two classes.
- The baseline of tables 1 and 2, CASIA-SURF's "SE fusion", joins three ResNet-18 in their middle, where other backbones
  have no equal: here (`fusion: se`) squeeze-and-excitation weighs each last map, and the classifier is the same. BGC-MA
  takes its place.

`dah-fas-lite` is the same network by configuration, for a CPU beside a camera; it is ours, the paper has none.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor, nn

from edgefas.contracts import InputSpec, Modality
from edgefas.models.ghostnet import GhostNet
from edgefas.models.layers import SqueezeExcite, global_pool, initialise
from edgefas.models.mobilenetv2 import MobileNetV2, depthwise
from edgefas.models.registry import ModelConfig, PaperFigures, default_input_spec, register_model, require_inputs
from edgefas.models.resnet import ResNet18
from edgefas.ops import bte, deform_conv2d

SE_REDUCTION = 16
"""Of the channels in the baseline's squeeze-and-excitation, as in its paper."""


class DahFasConfig(ModelConfig):
    """The choices the paper leaves open, and the parts that its tables 1 and 2 leave out in turn."""

    rgb_backbone: Literal["mobilenetv2", "resnet18"] = "mobilenetv2"
    ir_backbone: Literal["ghostnet", "resnet18"] = "ghostnet"
    bte: bool = Field(True, description="edges of the IR features, eq. 7-10")
    fusion: Literal["bgc-ma", "se"] = Field("bgc-ma", description="se: the baseline of tables 1 and 2")
    rgb_width: float = Field(1.0, gt=0, le=2, description="channel multiplier of MobileNetV2")
    ir_width: float = Field(1.0, gt=0, le=2, description="channel multiplier of GhostNet")
    depth_base: int = Field(64, ge=8, le=128, description="channels of the first stage of every ResNet-18")
    va_msrb_blocks: tuple[int, ...] = Field(tuple(range(1, 11)), description="inverted residuals with VA-MSRB, 0-16")
    deformable: Literal["dense", "depthwise"] = "dense"
    detail_reduction: int = Field(2, ge=1, le=64, description="of the detail branch's channels, eq. 4")
    attention_reduction: int = Field(4, ge=1, le=64, description="of the channels in eq. 12-13")
    attention_groups: int = Field(4, ge=1, le=64, description="of the 1x1 convolutions in eq. 12-13")
    hidden: int = Field(512, ge=1, le=4096, description="width of the fully connected layer")
    size_px: int = Field(112, ge=32, le=512)

    @model_validator(mode="after")
    def _blocks_exist(self) -> DahFasConfig:
        if self.va_msrb_blocks and self.rgb_backbone != "mobilenetv2":
            raise ValueError("VA-MSRB has its place in MobileNetV2: rgb_backbone resnet18 needs va_msrb_blocks: []")
        return self

    def input_spec(self) -> InputSpec:
        """RGB, IR and depth at one size, so that IR and depth maps lie on each other."""
        return default_input_spec(*Modality, size_px=self.size_px)


class VAMSRB(nn.Module):
    """Variance-adaptive multi-scale residual block: three convolutions weighed by the input's variance (eq. 2-6).

    (N, channels, H, W) -> (N, channels, ceil(H / stride), ceil(W / stride)). Variances are FP32 even in half.
    """

    stands_for = "separable.0"
    """The part that takes pretrained weights of the depthwise convolution in whose place this block is."""

    def __init__(self, channels: int, stride: int, deformable: str, detail_reduction: int) -> None:
        super().__init__()
        reduced = max(8, channels // detail_reduction)
        self.separable = nn.Sequential(depthwise(0, channels, stride), nn.Conv2d(channels, channels, 1, bias=False))
        self.deformable = DeformableConv(channels, stride, channels if deformable == "depthwise" else 1)
        self.detail = nn.Sequential(
            nn.Conv2d(channels, reduced, 1), nn.ReLU(), nn.Conv2d(reduced, channels, 3, stride, 1, bias=False)
        )
        self.weigh = nn.Conv2d(channels, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        wide = x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
        variance = (wide - wide.mean((2, 3), keepdim=True)).square().mean((2, 3), keepdim=True)
        w1, w2, w3 = self.weigh(variance.to(x.dtype)).softmax(1).split(1, 1)  # eq. 5
        mixed: Tensor = w1 * self.separable(x) + w2 * self.deformable(x) + w3 * self.detail(x)  # eq. 2-4, 6
        return mixed


class DeformableConv(nn.Module):
    """3x3 DCNv2 whose offsets and masks are a 3x3 convolution of the same input (eq. 3).

    That convolution starts at zero: regular taps, each with mask 1/2.
    """

    def __init__(self, channels: int, stride: int, groups: int) -> None:
        super().__init__()
        self.stride, self.groups = stride, groups
        self.offset_and_mask = nn.Conv2d(channels, 27, 3, stride, 1)
        self.weight = nn.Parameter(torch.empty(channels, channels // groups, 3, 3))
        self.reset()

    def reset(self) -> None:
        """Offsets to zero, weights by fan-out."""
        nn.init.zeros_(self.offset_and_mask.weight)
        nn.init.zeros_(self.offset_and_mask.bias)
        nn.init.normal_(self.weight, std=(2 / (9 * self.weight.shape[1])) ** 0.5)

    def forward(self, x: Tensor) -> Tensor:
        offset, mask = self.offset_and_mask(x).split([18, 9], 1)
        stride = [self.stride, self.stride]
        y: Tensor = deform_conv2d(x, offset, mask.sigmoid(), self.weight, None, stride, [1, 1], [1, 1], self.groups, 1)
        return y


class RGBBranch(nn.Module):
    """MobileNetV2 with VA-MSRB in some blocks, or ResNet-18: (N, 3, H, W) -> (N, num_features, H / 32, W / 32)."""

    def __init__(self, config: DahFasConfig) -> None:
        super().__init__()

        def mixer(block: int, channels: int, stride: int) -> nn.Module:
            if block in config.va_msrb_blocks:
                return VAMSRB(channels, stride, config.deformable, config.detail_reduction)
            return depthwise(block, channels, stride)

        if config.rgb_backbone == "resnet18":
            self.backbone: nn.Module = ResNet18(3, outputs=0, base=config.depth_base)
        else:
            self.backbone = MobileNetV2(3, outputs=0, width=config.rgb_width, mixer=mixer)
        self.num_features: int = self.backbone.num_features
        for module in self.modules():
            if isinstance(module, DeformableConv):
                module.reset()

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.backbone.forward_features(x)
        return y


class IRBranch(nn.Module):
    """GhostNet or ResNet-18, then BTE on its features: (N, 1, H, W) -> (N, num_features, H / 32, W / 32)."""

    def __init__(self, config: DahFasConfig) -> None:
        super().__init__()
        if config.ir_backbone == "resnet18":
            self.backbone: nn.Module = ResNet18(1, outputs=0, base=config.depth_base)
        else:
            self.backbone = GhostNet(1, outputs=0, width=config.ir_width)
        self.num_features: int = self.backbone.num_features
        self.alpha = nn.Parameter(torch.ones(1)) if config.bte else None  # eq. 10

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.backbone.forward_features(x)
        return y if self.alpha is None else bte(y, self.alpha)


class DepthBranch(nn.Module):
    """ResNet-18: (N, 1, H, W) -> (N, num_features, H / 32, W / 32)."""

    def __init__(self, config: DahFasConfig) -> None:
        super().__init__()
        self.backbone = ResNet18(1, outputs=0, base=config.depth_base)
        self.num_features = self.backbone.num_features

    def forward(self, x: Tensor) -> Tensor:
        return self.backbone.forward_features(x)


class BGCMA(nn.Module):
    """Bidirectional group cross-modal attention: each of IR and depth is weighed by the other (eq. 12-17).

    Two maps of one size, (N, ir_channels, H, W) and (N, depth_channels, H, W) -> the same, refined.
    """

    def __init__(self, ir_channels: int, depth_channels: int, reduction: int, groups: int) -> None:
        super().__init__()
        self.ir_to_depth = _channel_weights(ir_channels, depth_channels, reduction, groups)  # W1, W2
        self.depth_to_ir = _channel_weights(depth_channels, ir_channels, reduction, groups)  # V1, V2
        self.spatial = nn.Sequential(_separable_7x7(4, 4), nn.ReLU(), _separable_7x7(4, 1), nn.Sigmoid())  # U1, U2

    def forward(self, ir: Tensor, depth: Tensor) -> tuple[Tensor, Tensor]:
        depth_enhanced = depth * self.ir_to_depth(F.adaptive_avg_pool2d(ir, 1))  # eq. 12
        ir_enhanced = ir * self.depth_to_ir(F.adaptive_avg_pool2d(depth, 1))  # eq. 13
        maps = [m.mean(1, keepdim=True) for m in (depth, ir, depth_enhanced, ir_enhanced)]
        spatial = self.spatial(torch.cat(maps, 1))  # eq. 14-15
        return ir_enhanced * spatial, depth_enhanced * spatial  # eq. 16-17


def _channel_weights(channels: int, out: int, reduction: int, groups: int) -> nn.Sequential:
    reduced = channels // reduction
    return nn.Sequential(
        nn.Conv2d(channels, reduced, 1, groups=groups),
        nn.Hardswish(),
        nn.Conv2d(reduced, out, 1, groups=groups),
        nn.Sigmoid(),
    )


def _separable_7x7(channels: int, out: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, channels, 7, 1, 3, groups=channels, bias=False), nn.Conv2d(channels, out, 1)
    )


class SEFusion(nn.Module):
    """Each map's channels are weighed by what the map itself holds: three maps of any size -> the same, refined."""

    def __init__(self, *channels: int) -> None:
        super().__init__()
        self.excite = nn.ModuleList(SqueezeExcite(c, c // SE_REDUCTION, nn.ReLU, nn.Sigmoid) for c in channels)

    def forward(self, *maps: Tensor) -> tuple[Tensor, ...]:
        return tuple(excite(m) for excite, m in zip(self.excite, maps, strict=True))


class Fusion(nn.Module):
    """BGC-MA between IR and depth or the baseline's SE, pooling, fully connected classification.

    Three feature maps (N, C_i, H, W) -> (N,) float32 log-odds of bona fide.
    """

    def __init__(self, rgb_channels: int, ir_channels: int, depth_channels: int, config: DahFasConfig) -> None:
        super().__init__()
        self.attention: nn.Module
        if config.fusion == "se":
            self.attention = SEFusion(rgb_channels, ir_channels, depth_channels)
        else:
            self.attention = BGCMA(ir_channels, depth_channels, config.attention_reduction, config.attention_groups)
        self.classifier = nn.Sequential(
            nn.Linear(rgb_channels + ir_channels + depth_channels, config.hidden),
            nn.ReLU(),
            nn.Linear(config.hidden, 1),
        )
        initialise(self)

    def forward(self, rgb: Tensor, ir: Tensor, depth: Tensor) -> Tensor:
        if isinstance(self.attention, SEFusion):
            rgb, ir, depth = self.attention(rgb, ir, depth)
        else:
            ir, depth = self.attention(ir, depth)
        logits: Tensor = self.classifier(torch.cat([global_pool(m) for m in (rgb, ir, depth)], 1))
        return logits.float().squeeze(1)


class DahFas(nn.Module):
    """`branches` (rgb, ir, depth) and `fusion` are the whole network: they can be run apart and joined later."""

    def __init__(self, config: DahFasConfig) -> None:
        super().__init__()
        rgb, ir, depth = RGBBranch(config), IRBranch(config), DepthBranch(config)
        self.branches = nn.ModuleDict({"rgb": rgb, "ir": ir, "depth": depth})
        self.fusion = Fusion(rgb.num_features, ir.num_features, depth.num_features, config)

    def forward(self, rgb: Tensor | None = None, ir: Tensor | None = None, depth: Tensor | None = None) -> Tensor:
        """(N,) log-odds of bona fide.

        Raises:
            EdgefasError: a modality is None.
        """
        inputs = require_inputs(Modality, rgb, ir, depth)
        features = [self.branches[m.value](x) for m, x in zip(Modality, inputs, strict=True)]
        logits: Tensor = self.fusion(*features)
        return logits

    def pretrainable(self) -> dict[Modality, nn.Module]:
        """See `edgefas.models.pretrained`."""
        return {m: self.branches[m.value].backbone for m in Modality}


LITE = DahFasConfig(
    rgb_width=0.35,
    ir_width=0.5,
    depth_base=24,
    va_msrb_blocks=(10, 13),
    deformable="depthwise",
    detail_reduction=8,
    hidden=128,
)
"""About a tenth of the parameters and an eighteenth of the operations; VA-MSRB where the maps are 14x14 and 7x7, since
sampling nine taps per pixel is what costs a CPU most in training."""

register_model(
    "dah-fas",
    DahFasConfig(),
    paper=PaperFigures(
        title="DAH-FAS", params_m=29.6, gmacs=1.78, source="table 8 (input size not given)", comparable=True
    ),
)(DahFas)
register_model("dah-fas-lite", LITE)(DahFas)
