"""What training minimises: a dict of named terms, whose sum is the loss.

Without more, it is the balanced cross entropy of the scores. A network may define one of:

- `training_module() -> nn.Module`: a module that holds the network and whatever only training needs. Its
  `forward(bona_fide, **inputs)` gives the (N,) scores and a dict of named, weighed terms that are added to the cross
  entropy.
- `training_losses(inputs, labels) -> dict`: all terms of a loss of its own, cross entropy included; `labels` are (N,),
  1 for bona fide and 0 for attacks, or smoothed.

Checkpoints hold the network alone.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from edgefas.models.losses import class_weights


class Objective(nn.Module):
    """The network as it is trained: (N,) classes and its inputs in, the loss's terms out."""

    def __init__(self, network: nn.Module, smoothing: float) -> None:
        super().__init__()
        self.network, self.smoothing = network, smoothing

    def smoothed(self, bona_fide: Tensor) -> Tensor:
        """(N,) classes as soft labels."""
        return bona_fide * (1 - 2 * self.smoothing) + self.smoothing

    def forward(self, bona_fide: Tensor, **inputs: Tensor) -> dict[str, Tensor]:
        """Named scalars whose sum is the loss."""
        return {"bce": self.cross_entropy(self.network(**inputs), bona_fide)}

    def cross_entropy(self, scores: Tensor, bona_fide: Tensor) -> Tensor:
        """Bona fide and attacks weigh the same, as far as a batch has both."""
        loss = binary_cross_entropy_with_logits(scores, self.smoothed(bona_fide), reduction="none")
        return (loss * class_weights(bona_fide)).mean()


class WithTerms(Objective):
    """`network` is its training module."""

    def forward(self, bona_fide: Tensor, **inputs: Tensor) -> dict[str, Tensor]:
        scores, further = self.network(bona_fide=bona_fide, **inputs)
        return {"bce": self.cross_entropy(scores, bona_fide), **further}


class OfItsOwn(Objective):
    """`network` has `training_losses`."""

    def forward(self, bona_fide: Tensor, **inputs: Tensor) -> dict[str, Tensor]:
        losses: dict[str, Tensor] = self.network.training_losses(inputs, self.smoothed(bona_fide))
        return losses


def objective(network: nn.Module, smoothing: float) -> Objective:
    """What to minimise for a network."""
    if hasattr(network, "training_losses"):
        return OfItsOwn(network, smoothing)
    if hasattr(network, "training_module"):
        return WithTerms(network.training_module(), smoothing)
    return Objective(network, smoothing)
