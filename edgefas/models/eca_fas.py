"""ECA-ResNeXt with the intra-class differentiator (ICD), on patches of one modality.

"Face Anti-Spoofing Based on Adaptive Channel Enhancement and Intra-Class Constraint", J. Imaging 11 (2025) 116;
equation and table numbers below are the paper's. It gives neither parameters nor operations.

The network is the paper's table 1: two blocks per stage, a stride of 2 in each, ECA at the end of every block, a
reduction of 16 in BRM. (Section 3.1 counts four ECA modules; table 1 and section 3.2 have one in each block, eight.)
What is open there is a **reconstruction**:

- Table 1 gives the stem's max pooling no stride, and its closing 7x7 pooling needs 1/32 of 224: the stride is 1.
- The 3x3 convolutions have ResNeXt-50's 32 groups; pooling is global, since 112 pixels leave 4x4.
- U, Lambda and V of eq. 2 and 4 are the factors of one matrix, which table 1 calls a pointwise convolution: that is
  what is trained. No convolution in ECA has a bias or a batch norm, as in the equations.
- Eq. 5 gives a map, eq. 7 wants W(c): the map is averaged per channel before the sigmoid. The Frobenius norms of eq. 6
  are over one picture's whole map.
- The paper crops patches of 112x112 pictures and does not say how a picture is scored by them. Training takes one at
  random from each picture; scoring takes the mean log-odds of nine, the corners, edges and centre.
- The feature vector of eq. 8 is what the classifier sees. Eq. 12 calls sigma variances: they are, over the batch.
- Of the candidates for lambda and gamma (0.3, 0.5, 0.8, 1) it is not said which won. 0.3 is taken for both: the
  terms of ICD start far above the cross entropy as it is.
- One logit, the margin of the paper's two classes.

Eq. 10 is implemented as printed: dist_neg is the spread among attacks. The text calls it the distance between classes.
"""

from __future__ import annotations

from functools import partial
from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor, nn

from edgefas.contracts import Modality
from edgefas.models.layers import global_pool
from edgefas.models.patches import mean_over_grid, random_patches
from edgefas.models.registry import register_model, require_inputs
from edgefas.models.resnext import ResNeXt, no_attention
from edgefas.models.single import SingleConfig

EPSILON = 1e-6


class EcaFasConfig(SingleConfig):
    """Table 1, the patch, and the weights of ICD; the ablations of table 10 are `attention` and `feature_weight: 0`."""

    modality: Modality = Modality.RGB
    patch_px: Literal[16, 32, 48] | None = Field(48, description="side of the patches; None: the full picture")
    base: int = Field(64, ge=16, le=128, multiple_of=16, description="channels of the stem")
    groups: int = Field(32, ge=1, le=64, description="of the 3x3 convolutions; divides twice the base")
    attention: bool = Field(True, description="ECA at the end of every block")
    reduction: int = Field(16, ge=1, le=64, description="of the channels in BRM")
    cross_entropy_weight: float = Field(1.0, ge=0, le=10, description="alpha of eq. 14")
    feature_weight: float = Field(1.0, ge=0, le=10, description="beta of eq. 14")
    separation: float = Field(0.3, ge=0, le=10, description="lambda of eq. 11")
    distribution: float = Field(0.3, ge=0, le=10, description="gamma of eq. 11")

    @model_validator(mode="after")
    def _grouped(self) -> EcaFasConfig:
        if 2 * self.base % self.groups:
            raise ValueError(f"groups {self.groups} does not divide {2 * self.base}, twice the base")
        return self


class EnhancedChannelAttention(nn.Module):
    """Depthwise 3x3, BRM, and a gate per channel (eq. 1-7): (N, channels, H, W) -> the same."""

    def __init__(self, channels: int, reduction: int) -> None:
        super().__init__()
        reduced = max(1, channels // reduction)
        self.depthwise = nn.Conv2d(channels, channels, 3, 1, 1, groups=channels, bias=False)
        self.reduce = nn.Conv2d(channels, reduced, 1, bias=False)
        self.expand = nn.Conv2d(reduced, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        flat = self.expand(F.relu(self.reduce(F.relu(self.depthwise(x)))))  # eq. 1-4
        # Eq. 5-6 with the mean taken of both terms apart, and alpha's division first: it then cannot overflow in half.
        scaled = _mean(flat) / (_norm(flat) + EPSILON)
        gate = torch.sigmoid(_mean(x) + _norm(x) * scaled)
        return gate * x  # eq. 7


class EcaFas(nn.Module):
    """`backbone` is ECA-ResNeXt with its classifier; patches are cut here, so that every engine sees whole pictures."""

    def __init__(self, config: EcaFasConfig) -> None:
        super().__init__()
        self.modality, self.patch_px = config.modality, config.patch_px
        self.weights = (
            config.cross_entropy_weight,
            config.feature_weight,
            config.separation,
            config.distribution,
        )
        attention = partial(EnhancedChannelAttention, reduction=config.reduction) if config.attention else no_attention
        self.backbone = ResNeXt(
            config.channels,
            blocks=(2, 2, 2, 2),
            strides=(2, 2, 2, 2),
            pool_stride=1,
            base=config.base,
            groups=config.groups,
            attention=attention,
        )

    def forward(self, rgb: Tensor | None = None, ir: Tensor | None = None, depth: Tensor | None = None) -> Tensor:
        """(N,) log-odds of bona fide: of the picture, or the mean over its patches.

        Raises:
            EdgefasError: the network's modality is None, or smaller than a patch.
        """
        (x,) = require_inputs([self.modality], rgb, ir, depth)
        if self.patch_px is None:
            return self._score(x)
        return mean_over_grid(self._score, x, self.patch_px)

    def training_losses(self, inputs: dict[str, Tensor], labels: Tensor) -> dict[str, Tensor]:
        """ICD, eq. 14: cross entropy and the terms of the global-local feature contrastive loss.

        Of a class with fewer than two samples in the batch the distance is 0, and so is the last term where a class is
        absent: a batch of attacks alone is trained on their cross entropy and, by eq. 10, to spread.

        Args:
            inputs: modality -> (N, C, H, W) float32; one random patch of each picture is trained on.
            labels: (N,) float, 1 bona fide, 0 attack.

        Raises:
            EdgefasError: the network's modality is missing, or smaller than a patch.
        """
        (x,) = require_inputs([self.modality], *(inputs.get(m.value) for m in Modality))
        features = self._features(x if self.patch_px is None else random_patches(x, self.patch_px))
        alpha, beta, separation, distribution = self.weights
        bona_fide, attack = features[labels > 0.5].float(), features[labels <= 0.5].float()
        return {
            "cross_entropy": alpha * F.binary_cross_entropy_with_logits(self._logits(features), labels),  # eq. 13
            "bona_fide_distance": beta * mean_distance(bona_fide),  # eq. 9
            "attack_distance": -beta * separation * mean_distance(attack),  # eq. 10
            "distribution": beta * distribution * variance_gap(bona_fide, attack),  # eq. 12
        }

    def pretrainable(self) -> dict[Modality, nn.Module]:
        """See `edgefas.models.pretrained`; two blocks per stage are no published network's."""
        return {self.modality: self.backbone}

    def _score(self, x: Tensor) -> Tensor:
        return self._logits(self._features(x))

    def _features(self, x: Tensor) -> Tensor:
        return global_pool(self.backbone.forward_features(x))

    def _logits(self, features: Tensor) -> Tensor:
        logits: Tensor = self.backbone.fc(features)
        return logits.float().squeeze(1)


def mean_distance(features: Tensor) -> Tensor:
    """Eq. 9 and 10 for (n, d) features: each pair's Euclidean distance once, over n (n - 1); 0 below two features."""
    count = len(features)
    if count < 2:  # not left to pdist, whose backward pass then ends the process
        return features.new_zeros(())
    return F.pdist(features).sum() / (count * (count - 1))


def variance_gap(bona_fide: Tensor, attack: Tensor) -> Tensor:
    """Eq. 12 for (n, d) and (m, d): squared differences of the variances, summed over d; 0 where a class is absent."""
    if not len(bona_fide) or not len(attack):
        return bona_fide.new_zeros(())
    return (bona_fide.var(0, correction=0) - attack.var(0, correction=0)).square().sum()


def _mean(x: Tensor) -> Tensor:
    return F.adaptive_avg_pool2d(x, 1)


def _norm(x: Tensor) -> Tensor:
    """(N, C, H, W) -> (N, 1, 1, 1): Frobenius."""
    return torch.linalg.vector_norm(x, dim=(1, 2, 3), keepdim=True)


register_model("eca-fas", EcaFasConfig())(EcaFas)
