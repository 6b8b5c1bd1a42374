"""What a recipe would cost, before it costs it."""

from __future__ import annotations

import resource
import time
from dataclasses import dataclass

import torch

from edgefas.models.complexity import count
from edgefas.training.loop import make_network
from edgefas.training.objective import objective
from edgefas.training.optimise import make_optimiser
from edgefas.training.recipe import Recipe

STEPS = 3
"""The first warms up and is not counted."""


@dataclass(frozen=True)
class DryRun:
    """A step of a recipe on random inputs, in the precision of this CPU."""

    parameters: dict[str, int]
    """By part of the network, and what only training has."""
    gmacs: float
    state_mb: float
    """Weights, gradients and the optimiser's state."""
    peak_mb: float
    """Of this process after a step."""
    step_s: float
    images_per_s: float


def dry_run(recipe: Recipe) -> DryRun:
    """Build the network and take a few steps on random inputs of a whole batch."""
    torch.manual_seed(recipe.seed)
    model, spec = make_network(recipe)
    trained = objective(model, recipe.label_smoothing)
    optimiser = make_optimiser(recipe, trained.parameters())
    inputs = {m.value: torch.randn(recipe.batch_size, *spec.shape(m)) for m in spec.modalities}
    bona_fide = (torch.arange(recipe.batch_size) % 2).float()
    took_s = []
    trained.train()
    for _ in range(STEPS):
        begin = time.perf_counter()
        optimiser.zero_grad(set_to_none=True)
        torch.stack(list(trained(bona_fide=bona_fide, **inputs).values())).sum().backward()
        optimiser.step()
        took_s.append(time.perf_counter() - begin)
    parts: dict[str, int] = {}
    own = {id(parameter) for parameter in model.parameters()}
    for name, child in model.named_children():
        parts[name] = sum(parameter.numel() for parameter in child.parameters())
    further = sum(parameter.numel() for parameter in trained.parameters() if id(parameter) not in own)
    if further:
        parts["training only"] = further
    trainable = sum(parameter.numel() for parameter in trained.parameters())
    state = sum(v.numel() for held in optimiser.state.values() for v in held.values() if isinstance(v, torch.Tensor))
    step_s = min(took_s[1:])
    model.eval()
    return DryRun(
        parameters=parts,
        gmacs=count(model, spec).macs / 1e9,
        state_mb=4 * (2 * trainable + state) / 1e6,
        peak_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3,
        step_s=step_s,
        images_per_s=recipe.batch_size / step_s,
    )
