"""The folder of a run: the recipe and what ran it, checkpoints, metrics, and what resuming needs.

    recipe.json          the recipe with its changes
    run.json             versions, commit, machine and date
    metrics.jsonl        a line per epoch
    best.safetensors     the lowest validation loss
    last.safetensors     the last epoch
    resume.safetensors   model, optimiser, random numbers and place; no pickle
    curves.svg           loss and error over epochs, where matplotlib is installed
    events.*             the same for TensorBoard; written anew from the metrics by every start
    bad_batch.safetensors  what a loss that is no number was computed from

Every other file is written whole or not at all, so a kill at any moment leaves the state of the last save.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from edgefas.contracts import ContractError
from edgefas.environment import environment
from edgefas.errors import UsageError
from edgefas.files import FileWriteError, write_atomically
from edgefas.training.recipe import Recipe

RECIPE, RUN, METRICS, CURVES = "recipe.json", "run.json", "metrics.jsonl", "curves.svg"
CHECKPOINT, LAST, RESUME = "best.safetensors", "last.safetensors", "resume.safetensors"
EVENTS = "events.*"


@dataclass
class Place:
    """Where a run is: the next step, and what it has summed up of its epoch."""

    epoch: int = 0
    step: int = 0
    totals: dict[str, float] | None = None
    """Of the loss's terms over the steps of this epoch."""
    generators: dict[str, Tensor] | None = None
    """States of random number generators in the middle of an epoch, (processes, n) each."""
    scaler: dict[str, float] = field(default_factory=dict)
    """How losses are scaled, where the precision is 16-mixed."""


def holds_run(out: Path) -> bool:
    """Whether something was trained there; what ended before its first save, as for want of data, is no run yet."""
    return any((out / name).exists() for name in (RESUME, METRICS, CHECKPOINT, LAST))


@contextmanager
def claimed(out: Path, resume: bool) -> Iterator[None]:
    """The folder is there, and no other training writes into it.

    Raises:
        UsageError: it holds a run already, nothing to resume, or another training writes into it.
        FileWriteError: it cannot be made.
    """
    if resume and not (out / RESUME).is_file():
        raise UsageError(f"there is nothing to resume in {out}; start without --resume")
    if not resume and (out / RESUME).is_file():
        raise UsageError(f"{out} holds a run already; add --resume to go on, or choose another --out")
    if not resume and holds_run(out):
        raise UsageError(
            f"{out} holds checkpoints of a run that cannot go on without {RESUME}; choose another --out, or remove it"
        )
    try:
        out.mkdir(parents=True, exist_ok=True)
        handle = os.open(out, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise FileWriteError(f"cannot write {out}: {error.strerror}; choose another --out") from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)  # a killed process holds nothing
        yield
    except BlockingIOError:
        raise UsageError(f"another training writes into {out}; wait for it, or choose another --out") from None
    finally:
        os.close(handle)


def begin(out: Path, recipe: Recipe) -> None:
    """Say what is run.

    Raises:
        FileWriteError: the folder cannot be written.
    """
    write_atomically(out / RUN, json.dumps({**environment(), "accelerator": accelerator()}, indent=1).encode() + b"\n")
    write_atomically(out / RECIPE, recipe.to_json(indent=1).encode())


def go_on(out: Path, recipe: Recipe, model: nn.Module, optimiser: torch.optim.Optimizer, ranks: int) -> Place:
    """Fill model and optimiser with what was saved; gives the place to go on from.

    Raises:
        UsageError: another recipe, nothing left to do, a damaged file, or another number of processes.
    """
    require_same(out, recipe)
    place = _load(out / RESUME, model, optimiser)
    if place.epoch >= recipe.epochs:
        raise UsageError(f"the run in {out} has all its {recipe.epochs} epochs; nothing is left to train")
    if place.generators is not None and len(place.generators["global"]) != ranks:
        raise UsageError(
            f"{out} was stopped within an epoch on {len(place.generators['global'])} processes; resume it on as many"
        )
    return place


def require_same(out: Path, recipe: Recipe) -> None:
    """Refuse to go on with a run of another recipe.

    Raises:
        UsageError: says which keys differ.
    """
    try:
        before = Recipe.from_json((out / RECIPE).read_bytes())
    except (OSError, ContractError) as error:
        raise UsageError(f"{out / RECIPE} cannot be read ({error}); choose another --out") from None
    was, now = (one.model_dump(mode="json") for one in (before, recipe))
    other = [f"{key} was {json.dumps(was[key])}, is {json.dumps(now[key])}" for key in now if was[key] != now[key]]
    if other:
        raise UsageError(f"{out} holds a run of another recipe: {'; '.join(other)}. Give the same, or another --out")


def save_resume(out: Path, place: Place, model: nn.Module, optimiser: torch.optim.Optimizer) -> None:
    """Everything that decides what comes next, as plain tensors."""
    tensors = {f"model.{name}": value.detach().cpu() for name, value in model.state_dict().items()}
    for index, state in optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser.{index}.{name}": torch.as_tensor(value).cpu() for name, value in state.items()}
    tensors |= {f"generator.{name}": state for name, state in (place.generators or {}).items()}
    tensors |= {"epoch": torch.tensor(place.epoch), "step": torch.tensor(place.step)}
    for kind, numbers in (("total", place.totals or {}), ("scaler", place.scaler)):
        tensors |= {f"{kind}.{name}": torch.from_numpy(np.array(value)) for name, value in numbers.items()}
    write_atomically(out / RESUME, save({name: value.contiguous() for name, value in tensors.items()}))


def _load(path: Path, model: nn.Module, optimiser: torch.optim.Optimizer) -> Place:
    try:
        tensors = load(path.read_bytes())
    except SafetensorError as error:
        raise UsageError(f"{path} is damaged ({error}); choose another --out and start anew") from None
    parts: dict[str, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        kind, _, rest = name.partition(".")
        parts.setdefault(kind, {})[rest] = value
    if set(parts.get("model", {})) != set(model.state_dict()):
        raise UsageError(f"{path} is of another version of edgefas or of its network; start a new run")
    model.load_state_dict(parts["model"])
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in parts.get("optimiser", {}).items():
        index, _, key = name.partition(".")
        state.setdefault(int(index), {})[key] = value
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})
    totals, scaler = (
        {name: value.item() for name, value in parts.get(kind, {}).items()} for kind in ("total", "scaler")
    )
    return Place(int(tensors["epoch"]), int(tensors["step"]), totals or None, parts.get("generator"), scaler)


def add_metrics(out: Path, row: dict[str, Any]) -> None:
    """One more line; an epoch that was done again after a crash has its line once."""
    rows = [line for line in read_metrics(out) if line["epoch"] < row["epoch"]]
    text = "".join(json.dumps(line) + "\n" for line in [*rows, row])
    write_atomically(out / METRICS, text.encode())


def read_metrics(out: Path) -> list[dict[str, Any]]:
    """Its lines; none where there is no file yet."""
    path = out / METRICS
    return [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []


def commit_of(out: Path) -> str | None:
    """Of the code that began the run; None where that is not known, as of an installed package."""
    try:
        commit = json.loads((out / RUN).read_bytes())["commit"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return commit if isinstance(commit, str) else None


def best_row(out: Path) -> dict[str, Any]:
    """The line of the best checkpoint: the first with the lowest validation loss."""
    return min(read_metrics(out), key=lambda row: float(row["validation_loss"]))


def accelerator() -> str:
    """What trains, in words."""
    return torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
