"""`make demo-model`: render, train, quantise, pack, measure. Needs the extras train and export.

Everything is decided on validation subjects; the test split (other subjects, other site) is scored once, at the end.
"""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from edgefas.cli.console import results
from edgefas.cli.guard import run_script
from edgefas.cli.train import report_to, training_progress
from edgefas.contracts import InputSpec
from edgefas.demo.card import model_card
from edgefas.demo.pack import CARD, FIGURES, GOLDEN, HERE, INT8, RECIPE, WORK, pack
from edgefas.engines.export import export_onnx
from edgefas.engines.quantize import QuantizeReport, quantize
from edgefas.engines.runtime import Engine, load_engine
from edgefas.environment import environment
from edgefas.evaluation.metrics import ErrorRates, equal_error_threshold, error_rates
from edgefas.files import write_atomically
from edgefas.live.model import DEMO_BUNDLE
from edgefas.models.weights import load_checkpoint
from edgefas.training.calibration_set import inputs_of, score_with, spread, write_calibration_set
from edgefas.training.loop import train
from edgefas.training.recipe import Recipe, load_recipe
from edgefas.training.run_folder import CHECKPOINT
from edgefas.training.simulated import Samples, samples_for

GOLDEN_FRAMES = 3


@dataclass(frozen=True)
class Measured:
    """What the INT8 engine does at the threshold chosen on validation."""

    threshold: float
    validation: ErrorRates
    test: ErrorRates


def main(
    work: Annotated[Path, typer.Option(help="Runs and intermediate files.")] = WORK,
    cache: Annotated[Path, typer.Option(help="Rendered samples.")] = Path(".cache/data"),
) -> None:
    """Make the shipped demo bundle again."""
    make(work, cache)


def make(work: Path, cache: Path) -> None:
    """Leaves the bundle, its pin and its model card in edgefas/demo, and the measured tables in benchmarks/results."""
    begin = time.monotonic()
    FIGURES.parent.mkdir(exist_ok=True)  # whatever cannot be written should fail now, not after the training
    shutil.rmtree(work, ignore_errors=True)
    recipe = load_recipe(RECIPE)
    with training_progress() as progress:
        train(recipe, work / "final", cache, report=report_to(progress, f"{recipe.model}: "))

    model = load_checkpoint(work / "final" / CHECKPOINT)
    spec: InputSpec = model.input_spec
    export_onnx(model, spec, recipe.model, work / "model.onnx")
    splits = {
        name: samples_for(recipe.simulated, split, spec, cache, lambda done, total: None)
        for name, split in (("train", recipe.simulated.train), ("validation", recipe.simulated.validation))
    }
    write_calibration_set(splits["train"], spec, work / "calibration.npz")
    quantized = quantize(work / "model.onnx", work / "calibration.npz", None, work / INT8)
    assert recipe.simulated.test is not None
    with training_progress() as progress:
        splits["test"] = samples_for(
            recipe.simulated, recipe.simulated.test, spec, cache, partial(report_to(progress), "test split")
        )
    with load_engine(work / INT8) as engine:
        measured = _measure(engine, splits["validation"], splits["test"])
        np.savez_compressed(work / GOLDEN, allow_pickle=False, **_golden(engine, splits["validation"]))
    minutes = (time.monotonic() - begin) / 60
    _write_results(measured, splits["test"], quantized, recipe, minutes)
    write_atomically(CARD, model_card(recipe, measured, splits["test"], quantized, environment()).encode())
    pack(work)
    results.print(f"{HERE / DEMO_BUNDLE}: made in {minutes:.1f} minutes; next: make demo", highlight=False)


def _measure(engine: Engine, validation: Samples, test: Samples) -> Measured:
    """The threshold is where validation errors are equal: in the middle of the gap if there is one."""
    scores = score_with(engine, validation)
    threshold = float(np.float32(equal_error_threshold(scores, validation.species)[0]))
    return Measured(
        threshold,
        error_rates(scores, validation.species, threshold),
        error_rates(score_with(engine, test), test.species, threshold),
    )


def _golden(engine: Engine, samples: Samples) -> dict[str, np.ndarray]:
    """Inputs and the scores they must give, as near as the backend's tolerance allows."""
    rows = spread(np.arange(len(samples)), GOLDEN_FRAMES)
    inputs = inputs_of(samples, engine.spec, rows)
    return {**{name: value.astype(np.float16) for name, value in inputs.items()}, "score": engine.score(inputs)}


def _write_results(
    measured: Measured, test: Samples, quantized: QuantizeReport, recipe: Recipe, minutes: float
) -> None:
    document = {
        "what": "the shipped INT8 engine on simulated data; the threshold was chosen on validation",
        "minutes": round(minutes, 1),
        "measured": asdict(measured),
        "test_faces_detected_share": test.detected_share,
        "int8_against_float": asdict(quantized.difference),
        "command": "make demo-model",
        "seed": recipe.seed,
        "environment": environment(),
    }
    write_atomically(FIGURES, json.dumps(document, indent=1).encode() + b"\n")


if __name__ == "__main__":
    run_script(main)
