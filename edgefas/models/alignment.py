"""The alignment of mmFAS: how its encoders are brought to agree while it is trained (equation numbers: the paper's).

Colour is aligned with depth and with infrared, each pair by a module of its own: instance contrastive learning (ICL)
between pictures of one moment, class matching (CM) on the hardest pairs of a batch. Left open in the paper, and chosen:

- Features are the encoders' class tokens. For similarities (eq. 1) they have unit length, as wherever a temperature is
  learned (CLIP, ALBEF); it starts at 0.07 and is learned as its logarithm, which keeps it positive.
- The 540-wide matching predictor is one layer, 540 -> 2. The 2N pairs are, for each of N colour features, the most
  similar feature of the other class and the least similar of its own, which may be its own moment's. Without mining
  (table 2's "CM") they are any of the other class and any of its own.

A batch of one class has no pair to tell apart: class matching is then zero, with zero gradients. Contrastive learning
needs no classes; it is zero for a single sample. Under several processes a batch is one process's share.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

if TYPE_CHECKING:
    from edgefas.models.mm_fas import MmFas

FIRST_TEMPERATURE = 0.07


class AlignedTraining(nn.Module):
    """mmFAS in training: scores, and the terms that eq. 9 adds to their binary cross entropy."""

    def __init__(self, network: MmFas) -> None:
        super().__init__()
        self.network = network
        config = network.config
        names = ("depth", "ir") if config.alpha or config.beta else ()
        self.alignments = nn.ModuleDict({name: Alignment(config.dim, config.mining) for name in names})

    def forward(
        self, bona_fide: Tensor, rgb: Tensor | None = None, ir: Tensor | None = None, depth: Tensor | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """(N,) log-odds, and `icl` (eq. 3) and `cm` (eq. 4) with their weights alpha and beta, unless both are 0.

        Args:
            bona_fide: (N,), 1 for bona fide and 0 for attacks.

        Raises:
            EdgefasError: as the network's own forward.
        """
        streams = self.network.encode(rgb, ir, depth)
        if not self.alignments:
            return self.network.classify(streams), {}
        features = {name: tokens[:, 0] for name, tokens in streams.items()}
        losses = [align(features["rgb"], features[name], bona_fide) for name, align in self.alignments.items()]
        icl, cm = (torch.stack(terms).sum() for terms in zip(*losses, strict=True))
        config = self.network.config
        return self.network.classify(streams), {"icl": config.alpha * icl, "cm": config.beta * cm}


class Alignment(nn.Module):
    """Colour with one other modality: features (N, dim) twice and (N,) classes -> their shares of eq. 3 and eq. 4."""

    def __init__(self, dim: int, mining: bool = True) -> None:
        super().__init__()
        self.mining = mining
        self.log_temperature = nn.Parameter(torch.tensor(math.log(FIRST_TEMPERATURE)))
        self.matching = nn.Linear(2 * dim, 2)

    def forward(self, rgb: Tensor, other: Tensor, bona_fide: Tensor) -> tuple[Tensor, Tensor]:
        similarity = F.normalize(rgb, dim=1) @ F.normalize(other, dim=1).T  # eq. 1; its transpose is the way back
        icl = contrastive_loss(similarity, self.log_temperature.exp())
        hardness = similarity.detach() if self.mining else torch.rand_like(similarity)
        partners = torch.cat(hard_partners(hardness, bona_fide))
        pairs = torch.cat([rgb.repeat(2, 1), other[partners]], 1)
        match = torch.arange(2, device=rgb.device).repeat_interleave(len(rgb))
        cm = F.cross_entropy(self.matching(pairs), match)  # eq. 4
        two_classes = bona_fide.min() < bona_fide.max()
        return icl, cm * two_classes


def contrastive_loss(similarity: Tensor, temperature: Tensor) -> Tensor:
    """One pair of modalities in eq. 3: half the cross entropies of eq. 2's shares, both ways, at the own instance.

    Args:
        similarity: (N, N), row i of colour, column j of the other modality.
    """
    logits, instance = similarity / temperature, torch.arange(len(similarity), device=similarity.device)
    return (F.cross_entropy(logits, instance) + F.cross_entropy(logits.T, instance)) / 2


def hard_partners(similarity: Tensor, bona_fide: Tensor) -> tuple[Tensor, Tensor]:
    """(N,) columns twice: per row the most similar of the other class, and the least similar of its own.

    Without another class the first means nothing.
    """
    same = bona_fide[:, None] == bona_fide
    negative = similarity.masked_fill(same, -math.inf).argmax(1)
    positive = similarity.masked_fill(~same, math.inf).argmin(1)
    return negative, positive
