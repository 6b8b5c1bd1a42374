"""Checkpoints: one safetensors file that says itself which network it is and what it expects as input."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from edgefas.contracts import ContractError, InputSpec
from edgefas.errors import EdgefasError, UsageError
from edgefas.files import write_atomically
from edgefas.models.registry import create_model


class CheckpointError(EdgefasError):
    """The file is not a checkpoint of this edgefas, or does not fit its network."""


def save_checkpoint(
    path: Path,
    model_name: str,
    config: Mapping[str, Any],
    state: Mapping[str, Tensor],
    input_spec: InputSpec | None = None,
) -> None:
    """Write `state` with everything needed to build the network again; an existing file is replaced in one step.

    Args:
        path: conventionally `*.safetensors`.
        model_name, config, input_spec: as for `create_model`; without `input_spec` it is the configuration's own.
        state: the network's state dict.

    Raises:
        CheckpointError: `state` does not fit the network of that name and configuration.
        FileWriteError: the file cannot be written.
    """
    with torch.device("meta"):  # names and shapes are all that is asked of it
        model = create_model(model_name, input_spec=input_spec, **config)
    _check_fit(path, model, state)
    metadata = {
        "edgefas.model": model_name,
        "edgefas.config": model.config.to_json(),
        "edgefas.input_spec": model.input_spec.to_json(),
    }
    data = safetensors.torch.save({k: v.detach().cpu().contiguous() for k, v in state.items()}, metadata)
    write_atomically(path, data)


def load_checkpoint(path: Path) -> nn.Module:
    """Build the network a checkpoint names and fill it, in evaluation mode.

    Raises:
        CheckpointError: no such file, not safetensors, metadata missing or wrong, or keys that do not fit; they are
            listed.
    """
    metadata, state = _read(path)
    try:
        spec, config = InputSpec.from_json(metadata["edgefas.input_spec"]), json.loads(metadata["edgefas.config"])
        model = create_model(metadata["edgefas.model"], input_spec=spec, **config)
    except (ContractError, UsageError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path} has a header that this edgefas cannot use: {error}") from None
    _check_fit(path, model, state)
    model.load_state_dict(state)
    return model.eval()


def fill(model: nn.Module, path: Path) -> None:
    """Give a network the weights of a checkpoint of its kind.

    Raises:
        CheckpointError: as `load_checkpoint`, or the checkpoint is of another network.
    """
    metadata, state = _read(path)
    if metadata["edgefas.model"] != model.model_name:
        raise CheckpointError(f"{path} is of {metadata['edgefas.model']}, the network is {model.model_name}")
    _check_fit(path, model, state)
    model.load_state_dict(state)


def _read(path: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    """Header and tensors."""
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118  (not a dict)
    except (OSError, safetensors.SafetensorError) as error:
        raise CheckpointError(f"{path} cannot be read as a checkpoint: {error}") from None
    missing = [name for name in ("edgefas.model", "edgefas.config", "edgefas.input_spec") if name not in metadata]
    if missing:
        raise CheckpointError(f"{path} has no {missing[0]!r} in its header; `edgefas train` writes checkpoints with it")
    return metadata, state


def _check_fit(path: Path, model: nn.Module, state: Mapping[str, Tensor]) -> None:
    problems = misfits(model.state_dict(), state)
    if problems:
        raise CheckpointError(f"{path} does not fit {model.model_name}: {problems}")


def misfits(expected: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> str:
    """Every key and shape that differs, the first few of each kind by name; empty where all fit."""
    shared = expected.keys() & state.keys()
    problems = {
        "missing": sorted(expected.keys() - state.keys()),
        "unexpected": sorted(state.keys() - expected.keys()),
        "other shape": sorted(
            f"{k} {tuple(state[k].shape)}, expected {tuple(expected[k].shape)}"
            for k in shared
            if state[k].shape != expected[k].shape
        ),
    }
    return "; ".join(
        f"{what}: {', '.join(keys[:8])}" + (f" and {len(keys) - 8} more" if len(keys) > 8 else "")
        for what, keys in problems.items()
        if keys
    )
