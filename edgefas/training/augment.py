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
        relief = moved["depth"]
        if how.depth_gain or how.depth_shift:
            gain, shift = how.depth_gain * _uniform(n, generator), how.depth_shift * _uniform(n, generator)
            relief = relief * torch.exp(gain) + shift
        moved["depth"] = torch.where(hole, moved["depth"], (relief + noise).clamp(-1, 1))
    if how.cutout_share:
        moved = _cut_out(moved, spec, how.cutout_share, generator)
    return _drop(moved, spec, how.modality_dropout, generator) if how.modality_dropout else moved


def _cut_out(batch: Batch, spec: InputSpec, most: float, generator: torch.Generator) -> Batch:
    """A square at the same place of all modalities is shown as nothing."""
    n = len(next(iter(batch.values())))
    half = most / 2 * torch.rand(n, 1, 1, 1, generator=generator)
    x, y = torch.rand(2, n, 1, 1, 1, generator=generator)

    def masked(name: str, value: Tensor) -> Tensor:
        h, w = value.shape[2:]
        rows, cols = (torch.arange(h) + 0.5) / h, (torch.arange(w) + 0.5) / w
        gone = ((rows[None, None, :, None] - y).abs() < half) & ((cols[None, None, None, :] - x).abs() < half)
        return torch.where(gone, torch.tensor(_border(name, spec)), value)

    return {name: masked(name, value) for name, value in batch.items()}


def _drop(batch: Batch, spec: InputSpec, chance: float, generator: torch.Generator) -> Batch:
    """Modalities shown as nothing (the mean picture, depth without a return), never all of a sample."""
    names = list(batch)
    n = len(batch[names[0]])
    gone = torch.rand(n, len(names), generator=generator) < chance
    kept = torch.randint(len(names), (n,), generator=generator)
    gone[torch.arange(n), kept] &= ~gone.all(1)
    return {
        name: torch.where(gone[:, place].view(n, 1, 1, 1), torch.tensor(_border(name, spec)), batch[name])
        for place, name in enumerate(names)
    }


def _uniform(n: int, generator: torch.Generator, channels: int = 1) -> Tensor:
    """(N, channels, 1, 1) of -1 to 1."""
    return 2 * torch.rand(n, channels, 1, 1, generator=generator) - 1


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
    factor = torch.exp(gain * _uniform(n, generator))
    tint = torch.exp(0.5 * gain * _uniform(n, generator, channels)) if channels > 1 else 1.0
    contrast = 1 + how.contrast * _uniform(n, generator)
    centre = picture.mean((2, 3), keepdim=True)
    picture = ((picture - centre) * contrast + centre) * factor * tint
    noise = how.noise * torch.rand(n, 1, 1, 1, generator=generator) * _normal(picture, generator) * std
    return ((picture + noise).clamp(0, 1) - mean) / std


def _normal(like: Tensor, generator: torch.Generator) -> Tensor:
    return torch.randn(like.shape, generator=generator)
