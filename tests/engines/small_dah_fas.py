"""A real DAH-FAS, narrow and for 64 pixels, with the weights of no training but in a trained network's ranges."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from edgefas.engines.export import random_inputs
from edgefas.models import create_model, save_checkpoint
from edgefas.models.dah_fas import DeformableConv

CONFIG: dict[str, Any] = {
    "rgb_width": 0.2, "ir_width": 0.25, "depth_base": 8, "va_msrb_blocks": (1, 2), "hidden": 16, "size_px": 64
}  # fmt: skip
OFFSET_PX = 1.5
SCORE_SPREAD = 5.0


def small_dah_fas() -> nn.Module:
    """Batch norms that saw noise, offsets of pixels and masks that differ (they start at nothing), scores of some 5."""
    torch.manual_seed(0)
    model = create_model("dah-fas", **CONFIG)
    for module in model.modules():
        if isinstance(module, DeformableConv):
            reads = module.offset_and_mask.weight[0].numel()
            nn.init.normal_(module.offset_and_mask.weight, std=OFFSET_PX / reads**0.5)
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.momentum = None  # the mean of what is seen
    frames = {name: torch.from_numpy(array) for name, array in random_inputs(model.input_spec, 16, 7).items()}
    with torch.no_grad():
        model.train()(**frames)
        scores = model.eval()(**frames)
        last = [module for module in model.modules() if isinstance(module, nn.Linear)][-1]
        gain = SCORE_SPREAD / scores.std()
        last.weight *= gain
        last.bias -= last.bias + gain * (scores.mean() - last.bias)
    return model


def write_checkpoint(path: Path) -> Path:
    save_checkpoint(path, "dah-fas", CONFIG, small_dah_fas().state_dict())
    return path


def write_frames(path: Path, count: int = 16) -> Path:
    """A calibration set of noise."""
    np.savez(path, **random_inputs(create_model("dah-fas", **CONFIG).input_spec, count, 8))
    return path
