"""The tables in which papers take their systems apart: one training per row and seed, one judgement by split test.

An ablation is one YAML file (`ablations/`): a recipe, what each row changes in it, and what the paper says of the row.
A run that is complete is not done again, so a long table goes on where it was stopped.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import Field, model_validator
from torch import nn

from edgefas.contracts import Contract, ContractError, Label
from edgefas.data import open_dataset, require_sound
from edgefas.errors import UsageError
from edgefas.evaluation.evaluate import Report, evaluate
from edgefas.evaluation.network import judge
from edgefas.evaluation.run import Shard
from edgefas.evaluation.thresholds import parse_rule
from edgefas.files import write_atomically
from edgefas.models.registry import create_model
from edgefas.models.weights import load_checkpoint
from edgefas.training.encoded import allowed, dataset_splits
from edgefas.training.loop import train
from edgefas.training.progress import Report as Progress
from edgefas.training.recipe import DatasetData, Recipe, load_recipe
from edgefas.training.run_folder import CHECKPOINT, RESUME, commit_of, holds_run, read_metrics, require_same
from edgefas.training.shipped import read_mapping

SHIPPED = resources.files("edgefas.training").joinpath("ablations")
RESULT = "result.json"
CONVERGED = 1.05
"""A run has converged at the first epoch whose validation loss is at most this times the lowest."""
BALANCE_SAMPLES = 64


class Row(Contract):
    """One row of a table."""

    cells: tuple[str, ...] = Field(description="what stands in the table's own columns")
    recipe: str | None = Field(None, description="in place of the table's")
    changes: dict[str, Any] = Field(default_factory=dict, description="of the recipe, dots between levels")
    paper: tuple[float | None, ...] = Field((), description="the paper's figures, in the order of `figures`")


class Ablation(Contract):
    """A table to be made again."""

    title: str
    source: str = Field(description="paper, table, and the data its figures are of")
    recipe: str
    changes: dict[str, Any] = Field(default_factory=dict, description="of the recipe in every row")
    columns: tuple[str, ...]
    figures: dict[str, str] = Field(description="what is measured -> the column's heading", min_length=1)
    rows: tuple[Row, ...] = Field(min_length=1)
    notes: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _rectangular(self) -> Ablation:
        unknown = next((name for name in self.figures if name not in FIGURES), None)
        if unknown is not None:
            raise ValueError(f"figures: {unknown!r} is not known; known: {', '.join(FIGURES)}")
        for row in self.rows:
            if len(row.cells) != len(self.columns):
                raise ValueError(f"the row {row.cells} has {len(row.cells)} cells, the table {len(self.columns)}")
            if len(row.paper) not in (0, len(self.figures)):
                raise ValueError(f"the row {row.cells} has {len(row.paper)} figures, the table {len(self.figures)}")
        return self


class Result(Contract):
    """What one training of a row gave."""

    seed: int
    figures: dict[str, float | None]
    """Shares are in percent, parameters in millions."""
    best_epoch: int
    """From 1; the checkpoint that was judged."""
    epochs: int
    validation_loss: tuple[float, ...]
    minutes: float | None
    """Of training, on the machine of the table; not known where it was trained by an earlier command."""
    commit: str | None = None
    """Of the code it began with; None where that is not known, as of an installed package."""


@dataclass(frozen=True)
class Trained:
    """A run that is to be judged."""

    run: Path
    recipe: Recipe
    report: Report
    rows: list[dict[str, Any]]
    """Its metrics."""


def load_ablation(name: str) -> Ablation:
    """A shipped ablation by name, or one by path.

    Raises:
        UsageError: no such ablation, the file is no YAML mapping, or an unknown key or a value out of range, by name.
    """
    try:
        return Ablation.from_dict(read_mapping("ablation", name, SHIPPED))
    except ContractError as error:
        raise UsageError(str(error)) from None


def recipe_of(ablation: Ablation, row: Row, seed: int, changes: Sequence[str]) -> Recipe:
    """The recipe of a row: the table's changes, then the row's, then the caller's.

    Raises:
        UsageError, ContractError: as `load_recipe`, where it is not trained on a data set that has a split test, and
            where a change is of the seed.
    """
    if any(change.partition("=")[0] == "seed" for change in changes):
        raise UsageError("the runs of an ablation have the seeds 1, 2, …; say how many with --seeds")
    told = [f"{key}={json.dumps(value)}" for key, value in {**ablation.changes, **row.changes, "seed": seed}.items()]
    recipe = load_recipe(row.recipe or ablation.recipe, [*told, *changes])
    if not isinstance(recipe.data, DatasetData):
        raise UsageError("an ablation is judged by a data set's split test; its recipe needs data: {kind: dataset}")
    size_of(recipe)  # builds it: an option that does not fit should show before hours of other rows have gone by
    return recipe


def require_data(recipe: Recipe) -> None:
    """Refuse data that are not there, or lack a modality of the network, before hours of other rows have gone by.

    Raises:
        UsageError, DataError, CheckFailed: as `dataset_splits`.
    """
    assert isinstance(recipe.data, DatasetData)  # `recipe_of` saw to it
    dataset_splits(recipe.data, _weightless(recipe).input_spec)


def run_row(recipe: Recipe, figures: Sequence[str], out: Path, cache: Path, workers: int, report: Progress) -> Result:
    """Train and judge, or go on where it was stopped, or read what there is.

    Raises:
        UsageError: `out` holds the run of another recipe. Further errors are those of `train` and `judge`.
    """
    if holds_run(out):
        require_same(out, recipe)
    if (out / RESULT).is_file():
        done = Result.from_json((out / RESULT).read_bytes())
        if set(figures) <= set(done.figures):  # else the table has got another column since
            return done
    begin, before, minutes = time.monotonic(), len(read_metrics(out)), None
    if before < recipe.epochs:
        resume = (out / RESUME).is_file()
        train(recipe, out, cache, workers=workers, resume=resume, report=report)
        minutes = (time.monotonic() - begin) / 60 * recipe.epochs / (recipe.epochs - before)
    trained = Trained(out, recipe, _judged(recipe, out, workers, report), read_metrics(out))
    losses = [float(row["validation_loss"]) for row in trained.rows]
    result = Result(
        seed=recipe.seed,
        figures={name: FIGURES[name](trained) for name in figures},
        best_epoch=int(np.argmin(losses)) + 1,
        epochs=recipe.epochs,
        validation_loss=tuple(losses),
        minutes=minutes,
        commit=commit_of(out),
    )
    write_atomically(out / RESULT, result.to_json(indent=1).encode() + b"\n")
    return result


def _judged(recipe: Recipe, out: Path, workers: int, report: Progress) -> Report:
    data = recipe.data
    assert isinstance(data, DatasetData)
    table = open_dataset(data.dataset, Path(data.root), data.protocol)
    require_sound(table, allowed(data))
    judged = judge(
        out / CHECKPOINT,
        table,
        Shard(),
        data.moments,
        frozenset(),
        workers=max(1, workers),
        threads=0,
        progress=lambda done, total: report("judging", done, total),
    )
    judged.write(out / "judged")
    return evaluate(judged.scores, parse_rule("dev-eer"))


def _share(name: str) -> Callable[[Trained], float | None]:
    def read(trained: Trained) -> float | None:
        figures = {**trained.report.at_threshold, **trained.report.curve}
        value = figures[name].value
        return None if value is None else 100 * value

    return read


def _lowest_loss(trained: Trained) -> float:
    return min(float(row["validation_loss"]) for row in trained.rows)


def _epochs_to_converge(trained: Trained) -> float:
    limit = CONVERGED * _lowest_loss(trained)
    return 1.0 + next(row["epoch"] for row in trained.rows if row["validation_loss"] <= limit)


def size_of(recipe: Recipe) -> int:
    """Parameters of its network."""
    return sum(p.numel() for p in _weightless(recipe).parameters())


def _weightless(recipe: Recipe) -> nn.Module:
    """Its network without memory for weights."""
    with torch.device("meta"):
        return create_model(recipe.model, **recipe.model_options)


def _parameters(trained: Trained) -> float:
    return size_of(trained.recipe) / 1e6


def _gradient_balance(trained: Trained) -> float:
    """Of the checkpoint, on validation samples of both classes, drawn evenly."""
    model = load_checkpoint(trained.run / CHECKPOINT)
    assert isinstance(trained.recipe.data, DatasetData)
    samples = dataset_splits(trained.recipe.data, model.input_spec)["validation"]
    chosen = np.linspace(0, len(samples) - 1, min(BALANCE_SAMPLES, len(samples))).astype(int).tolist()
    found = samples.read(chosen, model.input_spec)
    inputs = {m: torch.from_numpy(np.stack([one[m] for _, one in found])) for m in found[0][1]}
    labels = torch.tensor([float(samples.species[row] == Label.BONA_FIDE.value) for row, _ in found])
    return float(model.gradient_balance(inputs, labels))


SHARES = (
    "APCER", "APCER_pooled", "BPCER", "ACER", "HTER", "EER", "AUC", "TPR@FPR=0.01", "TPR@FPR=0.001", "TPR@FPR=0.0001",
    "accuracy@BPCER=0.01",
)  # fmt: skip
FIGURES: dict[str, Callable[[Trained], float | None]] = {
    **{name: _share(name) for name in SHARES},
    "parameters": _parameters,
    "validation_loss": _lowest_loss,
    "epochs_to_converge": _epochs_to_converge,
    "gradient_balance": _gradient_balance,
}
"""What a table can have; shares are those of split test, at the threshold of equal errors on dev or of the curve."""
