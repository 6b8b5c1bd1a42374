"""The optimiser of a recipe, and its learning rate over time."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import nn

from edgefas.training.recipe import Recipe


def make_optimiser(recipe: Recipe, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    """Adam couples weight decay with its step sizes, AdamW does not; SGD has Nesterov's momentum off."""
    how = recipe.optimiser
    if how.kind == "sgd":
        return torch.optim.SGD(parameters, how.learning_rate, momentum=how.momentum, weight_decay=how.weight_decay)
    make = torch.optim.AdamW if how.kind == "adamw" else torch.optim.Adam
    return make(parameters, lr=how.learning_rate, weight_decay=how.weight_decay)


def learning_rate(recipe: Recipe, epochs_done: float) -> float:
    """The rate after so many epochs.

    Linear warm-up, then: `cosine`, one half cosine to zero at the last epoch; `cyclic_cosine`, one every
    `cycle_epochs`, each from the peak; `decay`, the peak times `decay` for every `decay_epochs` gone by.
    """
    peak, schedule = recipe.optimiser.learning_rate, recipe.schedule
    warmup = min(schedule.warmup_epochs, recipe.epochs / 2)
    if epochs_done < warmup:
        return peak * (epochs_done + 1e-3) / warmup
    after = epochs_done - warmup
    if schedule.kind == "decay":
        return float(peak * schedule.decay ** math.floor(after / schedule.decay_epochs))
    cycle = schedule.cycle_epochs if schedule.kind == "cyclic_cosine" else recipe.epochs - warmup
    return peak * 0.5 * (1 + math.cos(math.pi * (after % cycle if after < recipe.epochs - warmup else cycle) / cycle))
