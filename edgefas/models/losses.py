"""What more than one training loss uses."""

from __future__ import annotations

import torch
from torch import Tensor


def class_weights(labels: Tensor) -> Tensor:
    """(N,) weights with which bona fide and attacks count the same in a mean over the batch, whatever their numbers.

    A class below a tenth of the batch is weighed as if it were one; where a class is absent the other weighs 5 / 9.

    Args:
        labels: (N,) float, 1 bona fide, 0 attack, or smoothed.
    """
    bona_fide = labels > 0.5
    share = bona_fide.to(labels).mean().clamp(0.1, 0.9)
    return torch.where(bona_fide, 0.5 / share, 0.5 / (1 - share))
