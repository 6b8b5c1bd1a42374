"""A real DAH-FAS, narrow and for 64 pixels, untrained but with tensors in a trained network's ranges."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from edgefas.contracts import InputSpec
from edgefas.models import create_model, save_checkpoint
from edgefas.models.dah_fas import DeformableConv

CONFIG: dict[str, Any] = {
    "rgb_width": 0.2, "ir_width": 0.25, "depth_base": 8, "va_msrb_blocks": (1, 2), "hidden": 16, "size_px": 64
}  # fmt: skip
OFFSET_PX = 1.5
SCORE_SPREAD = 0.4
"""Random layers magnify rounding more than trained ones: at this spread half costs some 0.05, as in a trained network,
and a plugin that computes something else 1 and more."""


def pictures(spec: InputSpec, count: int, seed: int) -> dict[str, np.ndarray]:
    """Sixteen patches of different brightness under noise: where a sample is taken matters, and scores differ."""
    rng = np.random.default_rng(seed)
    made = {}
    for modality in spec.modalities:
        channels, height, width = spec.shape(modality)
        patches = np.kron(rng.standard_normal((count, channels, 4, 4)), np.ones((1, 1, height // 4, width // 4)))
        noisy = patches + 0.5 * rng.standard_normal(patches.shape)
        made[modality.value] = (noisy * rng.uniform(0.5, 1.5, (count, 1, 1, 1))).astype(np.float32)
    return made


def small_dah_fas() -> nn.Module:
    """Batch norms that saw pictures; offsets of pixels, and masks that differ: untrained ones are zero and one half."""
    torch.manual_seed(0)
    model = create_model("dah-fas", **CONFIG)
    for module in model.modules():
        if isinstance(module, DeformableConv):
            reads = module.offset_and_mask.weight[0].numel()
            nn.init.normal_(module.offset_and_mask.weight, std=OFFSET_PX / reads**0.5)
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.momentum = None  # the mean of what is seen
    frames = {name: torch.from_numpy(array) for name, array in pictures(model.input_spec, 16, 7).items()}
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


def write_frames(path: Path, count: int = 8) -> Path:
    """A calibration set."""
    np.savez(path, **pictures(create_model("dah-fas", **CONFIG).input_spec, count, 8))
    return path
