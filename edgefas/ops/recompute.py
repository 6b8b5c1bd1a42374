"""The backward pass both operators share: compute the forward again, with gradients, and differentiate that."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor


def gradients(
    forward: Callable[..., Tensor], inputs: Sequence[Tensor | None], grad_output: Tensor
) -> tuple[Tensor | None, ...]:
    """Gradients of `forward(*inputs)`; None for an input that is None or needs no gradient.

    Nothing but the inputs is kept between forward and backward: the sampled columns of a deformable convolution are
    nine times its input, so memory is worth more than the second forward.
    """
    leaves = [None if t is None else t.detach().requires_grad_(t.requires_grad) for t in inputs]
    wanted = [t for t in leaves if t is not None and t.requires_grad]
    with torch.enable_grad():
        output = forward(*leaves)
    found = iter(torch.autograd.grad(output, wanted, grad_output))
    return tuple(next(found) if t is not None and t.requires_grad else None for t in leaves)
