"""EfficientNet-B0 on RGB, IR and depth, refined by U-Adapters, its gradients weighed per modality by ReGrad.

"Multi-Modal Face Anti-Spoofing Identification Using Efficient Networks Integrated with U-Adapter for Unreliable Region
Mitigation" (M. Suneel, T. Ranga Babu, published 29 November 2025); equation and table numbers below are the paper's.

The text and its table 7 speak of two networks: three EfficientNet-B0 "with different set weights" (eq. 1) are 12 M
parameters before anything is added, the table says 6.2 M. Both can be had; the rest is a **reconstruction**:

- `backbones: shared` (the default) meets the table: one B0 of 4.0 M sees all three modalities, and the "fully connected
  layer" before the classifier, whose width the paper does not give, has 576 units: 6.22 M (paper 6.2 M). U-Adapters of
  24 channels make it 6.41 M (paper 6.4 M).
- `backbones: separate` is the text and eq. 1: a B0 per modality, everything else equal: 14.4 M.
- ReGrad is a rule for gradients and has no parameters: the 0.1 M that the table counts for it are not there.
- Each modality has its own U-Adapter ("optimized for every mode separately", though W_down has no index in eq. 2). It
  acts on the feature maps, position by position; they are pooled before eq. 6 makes a vector of them.
- IR and depth are repeated to three channels, so that one backbone can take all, and ImageNet weights fit.
- The weight of eq. 10 is 0.1, and its term is differentiated: a constant would train nothing. Input sizes are B0's own.
- "Balanced cross-entropy" (eq. 8): both classes weigh the same in each batch.
- One logit, the margin of eq. 7's two classes.

Eq. 5 is implemented as printed. It gives the largest factor to the modality with the largest gradient: gradients that
differ by r differ by r squared once they are scaled. The paper's text says the opposite, that the factors balance.
"""

from __future__ import annotations

from functools import partial
from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from edgefas.contracts import InputSpec, Modality
from edgefas.models.efficientnet import EfficientNetB0
from edgefas.models.layers import global_pool, initialise
from edgefas.models.losses import class_weights
from edgefas.models.registry import ModelConfig, PaperFigures, default_input_spec, register_model, require_inputs

EPSILON = 1e-12
"""Where no gradient is left, every modality has its third."""


class UAdapterFasConfig(ModelConfig):
    """The two readings, and the parts that the paper's tables 4 and 7 leave out in turn."""

    backbones: Literal["shared", "separate"] = Field("shared", description="one EfficientNet-B0, or one per modality")
    width: float = Field(1.0, gt=0, le=2, description="channel multiplier of EfficientNet-B0")
    adapter: int = Field(24, ge=0, le=512, description="channels inside a U-Adapter; 0: without U-Adapters")
    hidden: int = Field(576, ge=1, le=4096, description="width of the fully connected layer")
    regrad: bool = Field(True, description="scale gradients by eq. 5, and train with eq. 9's balance")
    balance_weight: float = Field(0.1, ge=0, le=10, description="alpha of eq. 10")
    size_px: int = Field(224, ge=32, le=512)

    def input_spec(self) -> InputSpec:
        """RGB, IR and depth at one size."""
        return default_input_spec(*Modality, size_px=self.size_px)


class UAdapter(nn.Module):
    """A bottleneck of 1x1 convolutions with a shortcut (eq. 2-4): (N, channels, H, W) -> the same."""

    def __init__(self, channels: int, reduced: int) -> None:
        super().__init__()
        self.down = nn.Conv2d(channels, reduced, 1)
        self.up = nn.Conv2d(reduced, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        adapted: Tensor = self.up(F.relu(self.down(x)))  # eq. 2-3
        return adapted + x  # eq. 4


class UAdapterFas(nn.Module):
    """`backbones` (one or three), `adapters` and `classifier`; the losses are `training_losses`."""

    def __init__(self, config: UAdapterFasConfig) -> None:
        super().__init__()
        self.regrad, self.balance_weight = config.regrad, config.balance_weight
        count = 1 if config.backbones == "shared" else len(Modality)
        self.backbones = nn.ModuleList(EfficientNetB0(3, outputs=0, width=config.width) for _ in range(count))
        channels = self.backbones[0].num_features
        self.adapters = nn.ModuleList(
            UAdapter(channels, config.adapter) if config.adapter else nn.Identity() for _ in Modality
        )
        self.classifier = nn.Sequential(
            nn.Linear(len(Modality) * channels, config.hidden), nn.ReLU(), nn.Linear(config.hidden, 1)
        )
        initialise(self.adapters)
        initialise(self.classifier)

    def forward(self, rgb: Tensor | None = None, ir: Tensor | None = None, depth: Tensor | None = None) -> Tensor:
        """(N,) log-odds of bona fide.

        Raises:
            EdgefasError: a modality is None.
        """
        return self.classify(self.features(require_inputs(Modality, rgb, ir, depth)))

    def features(self, inputs: list[Tensor]) -> list[Tensor]:
        """Eq. 1: per modality (N, C, H, W) -> (N, 1280 x width, ceil(H / 32), ceil(W / 32))."""
        pictures = [x.expand(-1, 3, -1, -1) for x in inputs]
        if len(self.backbones) > 1:
            return [backbone.forward_features(x) for backbone, x in zip(self.backbones, pictures, strict=True)]
        # In one pass: the batch norms then train on the mixture of modalities whose statistics they keep.
        maps: Tensor = self.backbones[0].forward_features(torch.cat(pictures))
        return list(maps.unflatten(0, (len(pictures), -1)))

    def classify(self, features: list[Tensor]) -> Tensor:
        """(N,) float32 log-odds from the backbones' outputs."""
        adapted = [adapter(x) for adapter, x in zip(self.adapters, features, strict=True)]
        logits: Tensor = self.classifier(torch.cat([global_pool(m) for m in adapted], 1))  # eq. 6
        return logits.float().squeeze(1)

    def training_losses(self, inputs: dict[str, Tensor], labels: Tensor) -> dict[str, Tensor]:
        """Eq. 10's terms; the backward pass of their sum scales what enters each backbone by eq. 5.

        A batch of one class is trained like any other: both terms need no second class.

        Args:
            inputs: modality -> (N, C, H, W) float32.
            labels: (N,) float, 1 bona fide, 0 attack.

        Raises:
            EdgefasError: a modality is missing.
        """
        features, loss = self._cross_entropy(inputs, labels)
        if not self.regrad:
            return {"cross_entropy": loss}
        factors = rebalance_factors(loss, features)
        for feature, factor in zip(features, factors.detach(), strict=True):
            feature.register_hook(partial(torch.mul, factor))
        return {"cross_entropy": loss, "modality_balance": self.balance_weight * balance_loss(factors)}

    def gradient_balance(self, inputs: dict[str, Tensor], labels: Tensor) -> float:
        """Table 4's "gradient balance" on one batch, in percent; arguments as for `training_losses`."""
        features, loss = self._cross_entropy(inputs, labels)
        return gradient_balance(rebalance_factors(loss, features))

    def pretrainable(self) -> dict[Modality, nn.Module]:
        """See `edgefas.models.pretrained`; one backbone for all counts as that of colour."""
        return dict(zip(Modality, self.backbones, strict=False))

    def _cross_entropy(self, inputs: dict[str, Tensor], labels: Tensor) -> tuple[list[Tensor], Tensor]:
        """The backbones' outputs, and eq. 8."""
        features = self.features(require_inputs(Modality, *(inputs.get(m.value) for m in Modality)))
        weights = class_weights(labels)
        return features, F.binary_cross_entropy_with_logits(self.classify(features), labels, weights)


def rebalance_factors(loss: Tensor, features: list[Tensor]) -> Tensor:
    """Eq. 5: each modality's share of the gradient norms at the backbones' outputs.

    Args:
        loss: a scalar, the mean over the batch.
        features: M maps (N, ...) that it was computed from.

    Returns:
        (M,) with the sum 1, differentiable; 1 / M each where no gradient is left.
    """
    gradients = torch.autograd.grad(loss, features, create_graph=True)
    norms = torch.stack([torch.linalg.vector_norm(g.flatten(1), dim=1).mean() for g in gradients]) + EPSILON
    return norms / norms.sum()


def balance_loss(factors: Tensor) -> Tensor:
    """Eq. 9: how far the factors (M,) are from equal shares, 0 to 2 (M - 1) / M."""
    return (factors - 1 / len(factors)).abs().sum()


def gradient_balance(factors: Tensor) -> float:
    """Percent: 100 where all factors (M,) are equal, 0 where one modality has all the gradient.

    Table 4 reports this figure without defining it; here it is eq. 9 on a scale of its own range.
    """
    worst = 2 * (len(factors) - 1) / len(factors)
    return 100 * (1 - balance_loss(factors).item() / worst)


register_model(
    "uadapter-fas",
    UAdapterFasConfig(),
    paper=PaperFigures(
        title="EfficientNet with U-Adapter",
        params_m=6.5,
        gmacs=None,
        source="table 7, full model (input size not given, two classes)",
        comparable=True,
    ),
)(UAdapterFas)
