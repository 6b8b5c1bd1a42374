"""Random changes of a batch, on the normalised inputs that `preprocess` made."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from edgefas.contracts import InputSpec
from edgefas.training.recipe import Augmentation

Batch = dict[str, Tensor]


def augment(batch: Batch, spec: InputSpec, how: Augmentation, generator: torch.Generator) -> Batch:
    """One random geometry for all modalities of a sample, then light and noise per modality.

    Args:
        batch: modality -> (N, C, H, W) float32.
    """
    n = len(next(iter(batch.values())))
    theta = _geometry(n, how, generator)
    moved = {name: _warp(value, theta, _border(name, spec)) for name, value in batch.items()}
    if "rgb" in moved and spec.rgb is not None:
        mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (spec.rgb.mean, spec.rgb.std))
        moved["rgb"] = _light(moved["rgb"], mean, std, how.rgb_gain, how, generator)
    if "ir" in moved and spec.ir is not None:
        mean, std = (torch.tensor(v).view(1, 1, 1, 1) for v in (spec.ir.mean, spec.ir.std))
        moved["ir"] = _light(moved["ir"], mean, std, how.ir_gain, how, generator)
    if "depth" in moved and spec.depth is not None:
        hole = moved["depth"] == spec.depth.no_return
        noise = how.depth_noise * torch.rand(n, 1, 1, 1, generator=generator) * _normal(moved["depth"], generator)
        moved["depth"] = torch.where(hole, moved["depth"], (moved["depth"] + noise).clamp(-1, 1))
    return moved


def _geometry(n: int, how: Augmentation, generator: torch.Generator) -> Tensor:
    """(N, 2, 3) affine maps: mirror, rotation, scale and shift."""

    def uniform() -> Tensor:
        return 2 * torch.rand(n, generator=generator) - 1

    angle = uniform() * math.radians(how.rotate_deg)
    scale = torch.exp(uniform() * how.scale_share)
    flip = torch.where(uniform() > 0, -1.0, 1.0) if how.flip else torch.ones(n)
    cos, sin = torch.cos(angle) * scale, torch.sin(angle) * scale
    shift_x, shift_y = (2 * how.shift_share * uniform() for _ in range(2))  # the grid spans 2
    return torch.stack([torch.stack([cos * flip, -sin, shift_x], -1), torch.stack([sin * flip, cos, shift_y], -1)], 1)


def _warp(value: Tensor, theta: Tensor, outside: float) -> Tensor:
    """Depth is sampled at the nearest pixel: between a face and a hole lies no surface."""
    mode = "nearest" if outside != 0 else "bilinear"
    grid = F.affine_grid(theta, list(value.shape), align_corners=False)
    return F.grid_sample(value - outside, grid, mode=mode, padding_mode="zeros", align_corners=False) + outside


def _border(name: str, spec: InputSpec) -> float:
    """What lies outside the crop: nothing returned, or the mean picture."""
    return spec.depth.no_return if name == "depth" and spec.depth is not None else 0.0


def _light(
    value: Tensor, mean: Tensor, std: Tensor, gain: float, how: Augmentation, generator: torch.Generator
) -> Tensor:
    """Gain per channel, contrast about the sample's mean, noise; clipped to what a camera can give."""
    n, channels = value.shape[:2]
    picture = value * std + mean
    factor = torch.exp(gain * (2 * torch.rand(n, 1, 1, 1, generator=generator) - 1))
    tint = torch.exp(0.5 * gain * (2 * torch.rand(n, channels, 1, 1, generator=generator) - 1)) if channels > 1 else 1.0
    contrast = 1 + how.contrast * (2 * torch.rand(n, 1, 1, 1, generator=generator) - 1)
    centre = picture.mean((2, 3), keepdim=True)
    picture = ((picture - centre) * contrast + centre) * factor * tint
    noise = how.noise * torch.rand(n, 1, 1, 1, generator=generator) * _normal(picture, generator) * std
    return ((picture + noise).clamp(0, 1) - mean) / std


def _normal(like: Tensor, generator: torch.Generator) -> Tensor:
    return torch.randn(like.shape, generator=generator)
