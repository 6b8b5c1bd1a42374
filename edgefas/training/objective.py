"""What training minimises: the balanced cross entropy of the scores, and the terms a network adds to it.

A network that is trained by more than its scores defines `training_module() -> nn.Module`: a module that holds the
network, and whatever only training needs. Its `forward(bona_fide, **inputs)` takes (N,) classes, 1 for bona fide and 0
for attacks, and the network's inputs; it gives the (N,) scores and a dict of named scalar terms, weighed. The loss is
the sum of the cross entropy and these terms. Checkpoints hold the network alone.
"""

from __future__ import annotations

from torch import Tensor, nn, where
from torch.nn.functional import binary_cross_entropy_with_logits


class ScoresAlone(nn.Module):
    """The training module of a network that defines none."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, bona_fide: Tensor, **inputs: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """(N,) log-odds of bona fide, and no term."""
        return self.network(**inputs), {}


def training_module(network: nn.Module) -> nn.Module:
    """The network as it is trained."""
    module: nn.Module = network.training_module() if hasattr(network, "training_module") else ScoresAlone(network)
    return module


def loss_terms(module: nn.Module, inputs: dict[str, Tensor], bona_fide: Tensor, smoothing: float) -> dict[str, Tensor]:
    """Named scalars whose sum is the loss: `bce`, and what `module` adds."""
    scores, further = module(bona_fide=bona_fide, **inputs)
    return {"bce": balanced_loss(scores, bona_fide, smoothing), **further}


def balanced_loss(scores: Tensor, bona_fide: Tensor, smoothing: float) -> Tensor:
    """Binary cross entropy in which bona fide and attacks weigh the same, as far as a batch has both."""
    soft = bona_fide * (1 - 2 * smoothing) + smoothing
    loss = binary_cross_entropy_with_logits(scores, soft, reduction="none")
    share = bona_fide.mean().clamp(0.1, 0.9)
    weight = where(bona_fide > 0.5, 0.5 / share, 0.5 / (1 - share))
    return (loss * weight).mean()
