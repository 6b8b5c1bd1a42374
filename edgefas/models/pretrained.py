"""Weights of timm or torchvision for a network's backbones, as safetensors.

What a file need not have, and may have too much, is the classifier (ImageNet's 1000 classes are not ours). A first
convolution of three channels serves a backbone of one: its filters are summed over the channels, which gives what the
picture shown three times would. Everything else must fit, name by name and shape by shape.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import safetensors
import safetensors.torch
from torch import Tensor, nn

from edgefas.contracts import Modality
from edgefas.errors import UsageError
from edgefas.models.weights import CheckpointError, misfits

CLASSIFIERS = ("fc.", "classifier.", "head.")
"""Where timm and torchvision keep what turns features into classes."""

OPTIONAL = "conv_head."
"""GhostNet's layer before the classifier, which a network that joins features leaves out; EfficientNet's last layer."""

TO_SAFETENSORS = (
    "python -c \"import torch, safetensors.torch as s; s.save_file(torch.load('FILE.pth', weights_only=True), "
    "'FILE.safetensors')\""
)


def load_pretrained(model: nn.Module, modality: Modality, path: Path) -> list[str]:
    """Fill the backbone that sees a modality; gives the names of what the file has nothing for.

    A module with the attribute `stands_for` replaced the origin's module of its own name, whose weights its part of
    that name takes; the rest of it stays fresh.

    Raises:
        UsageError: the network has no backbone of its own for the modality.
        CheckpointError: no safetensors file, or names or shapes that do not fit; they are listed.
    """
    backbones: dict[Modality, nn.Module] = model.pretrainable()
    if modality not in backbones:
        known = ", ".join(m.value for m in backbones)
        raise UsageError(
            f"pretrained: {model.model_name} has no backbone of its own for {modality.value}; it has for {known}"
        )
    backbone = backbones[modality]
    given, expected = _read(path), backbone.state_dict()
    renamed, fresh = _renaming(backbone)
    found = {renamed.get(name, name): value for name, value in given.items()}
    found = {name: _fitted(value, expected[name]) if name in expected else value for name, value in found.items()}
    found = {name: value for name, value in found.items() if not _left_out(name, expected)}
    fresh |= {name for name in expected if name.startswith(CLASSIFIERS) or name.endswith("num_batches_tracked")}
    problems = misfits({name: v for name, v in expected.items() if name in found or name not in fresh}, found)
    if problems:
        raise CheckpointError(f"{path} does not fit the {modality.value} backbone of {model.model_name}: {problems}")
    backbone.load_state_dict(found, strict=False)
    return sorted(expected.keys() - found.keys())


def _read(path: Path) -> dict[str, Tensor]:
    if path.suffix in (".pth", ".pt", ".bin", ".tar"):
        raise CheckpointError(f"{path} may hold a pickle, which is never opened here; make a copy: {TO_SAFETENSORS}")
    try:
        return safetensors.torch.load_file(path)
    except (OSError, safetensors.SafetensorError) as error:
        raise CheckpointError(f"{path} cannot be read as safetensors: {error}") from None


def _renaming(backbone: nn.Module) -> tuple[dict[str, str], set[str]]:
    """The origin's names of weights that have another place here, and the names of what the origin has not."""
    renamed: dict[str, str] = {}
    own: set[str] = set()
    for name, module in backbone.named_modules():
        part = getattr(module, "stands_for", None)
        if part is not None:
            names = {f"{name}.{key}" for key in module.state_dict()}
            renamed |= {key.replace(f"{name}.{part}", name): key for key in names if key.startswith(f"{name}.{part}.")}
            own |= names
    return renamed, own - set(renamed.values())


def _left_out(name: str, expected: Mapping[str, Tensor]) -> bool:
    return name.startswith(CLASSIFIERS) or (name.startswith(OPTIONAL) and name not in expected)


def _fitted(value: Tensor, like: Tensor) -> Tensor:
    """Filters of three channels summed where one is wanted."""
    if value.ndim == like.ndim == 4 and value.shape[1] == 3 and like.shape[1] == 1 and len(value) == len(like):
        return value.sum(1, keepdim=True)
    return value
