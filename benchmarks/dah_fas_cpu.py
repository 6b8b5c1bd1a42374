"""DAH-FAS on a CPU: torch eager, ONNX Runtime FP32 and INT8 at batch 1, in one run, and whether they decide alike.

    edgefas train dah-fas-sim
    python -m edgefas.benchmarks.dah_fas_cpu runs/dah-fas-sim/best.safetensors

Decisions are those on the recipe's validation split (simulated) at the threshold where torch's errors are equal.
"""

from __future__ import annotations

import json
import sys
import tempfile
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from edgefas.benchmarks.latency import Latency, Subject, measure
from edgefas.benchmarks.subjects import random_inputs
from edgefas.cli.guard import run_script
from edgefas.cli.train import report_to, training_progress
from edgefas.engines.export import export_onnx
from edgefas.engines.quantize import quantize
from edgefas.engines.runtime import Engine, load_engine
from edgefas.environment import environment
from edgefas.evaluation.metrics import equal_error_threshold, error_rates
from edgefas.files import write_atomically
from edgefas.models.weights import load_checkpoint
from edgefas.training.calibration_set import score_with, write_calibration_set
from edgefas.training.recipe import load_recipe
from edgefas.training.simulated import Samples, samples_for

MODEL, RECIPE = "dah-fas", "dah-fas-sim"
MAX_FLIP_SHARE = 0.01
"""An engine keeps the decisions if at most this share of them differs from torch's."""


@dataclass(frozen=True)
class Row:
    """One engine."""

    engine: str
    latency: Latency
    times_torch: float
    """Torch's median latency over this one's."""
    max_abs_difference: float
    """Of the log-odds, to torch."""
    flips: int
    bpcer: float
    max_apcer: float


def open_engines(checkpoint: Path, calibration: Samples, work: Path) -> dict[str, Engine]:
    """The three forms of one network, one thread each."""
    import torch

    torch.set_num_threads(1)
    model = load_checkpoint(checkpoint)
    spec = model.input_spec
    export_onnx(model, spec, MODEL, work / "model.onnx")
    write_calibration_set(calibration, spec, work / "calibration.npz")
    quantize(work / "model.onnx", work / "calibration.npz", None, work / "int8")
    return {
        "torch eager": load_engine(checkpoint, threads=1),
        "ONNX Runtime FP32": load_engine(work / "model.onnx", threads=1),
        "ONNX Runtime INT8": load_engine(work / "int8", threads=1),
    }


def compare(engines: dict[str, Engine], validation: Samples, seconds: float) -> tuple[float, list[Row]]:
    """(threshold, one row per engine); the first engine is what the others are held against."""
    scores = {name: score_with(engine, validation) for name, engine in engines.items()}
    expected = next(iter(scores.values()))
    threshold = float(np.float32(equal_error_threshold(expected, validation.species)[0]))
    inputs = random_inputs(next(iter(engines.values())).spec)
    subjects = [Subject(name, e.backend, partial(e.score, inputs), None, None) for name, e in engines.items()]
    latencies = measure(subjects, seconds)
    rows = []
    for (name, found), latency in zip(scores.items(), latencies, strict=True):
        rates = error_rates(found, validation.species, threshold)
        flips = int(((found >= threshold) != (expected >= threshold)).sum())
        difference = float(np.abs(found - expected).max())
        ratio = latencies[0].median_ms / latency.median_ms
        rows.append(Row(name, latency, ratio, difference, flips, rates.bpcer, rates.max_apcer))
    return threshold, rows


def main(
    checkpoint: Annotated[Path, typer.Argument(help="Of `edgefas train dah-fas-sim`.")],
    cache: Annotated[Path, typer.Option(help="Rendered samples.")] = Path(".cache/data"),
    seconds: Annotated[float, typer.Option(min=1, help="Counted time per engine.")] = 20.0,
    out: Annotated[Path, typer.Option("-o", "--out", help="A .md with the table is written beside it.")] = Path(
        "benchmarks/results/dah_fas_cpu.json"
    ),
) -> None:
    """Measure DAH-FAS on this CPU."""
    recipe, spec = load_recipe(RECIPE), load_checkpoint(checkpoint).input_spec
    with training_progress() as progress:
        splits = [
            samples_for(recipe.simulated, split, spec, cache, partial(report_to(progress), f"rendering {name}"))
            for name, split in (("train", recipe.simulated.train), ("validation", recipe.simulated.validation))
        ]
    with tempfile.TemporaryDirectory() as work:
        engines = open_engines(checkpoint, splits[0], Path(work))
        threshold, rows = compare(engines, splits[1], seconds)
    keeping = [row for row in rows if row.flips <= MAX_FLIP_SHARE * len(splits[1])]
    fastest = min(keeping, key=lambda row: row.latency.median_ms).engine
    document: dict[str, Any] = {
        "command": "python -m edgefas.benchmarks.dah_fas_cpu " + " ".join(sys.argv[1:]),
        **environment(),
        "what": f"DAH-FAS, batch 1, one thread; decisions on {len(splits[1])} simulated validation samples",
        "seed": recipe.seed,
        "threshold": threshold,
        "fastest_that_keeps_the_decisions": fastest,
        "engines": [asdict(row) for row in rows],
    }
    write_atomically(out, json.dumps(document, indent=1).encode() + b"\n")
    text = _markdown(document, rows)
    write_atomically(out.with_suffix(".md"), text.encode())
    sys.stdout.write(text)


def _markdown(document: dict[str, Any], rows: list[Row]) -> str:
    lines = [f"{document['what']}.", "", f"`{document['command']}` on {document['cpu']}.", ""]
    lines += ["| engine | median ms | p95 ms | times torch | decisions changed | largest score difference |"]
    lines += ["|---|---|---|---|---|---|"]
    lines += [
        f"| {r.engine} | {r.latency.median_ms:.1f} | {r.latency.p95_ms:.1f} | {r.times_torch:.2f} "
        f"| {r.flips} | {r.max_abs_difference:.3g} |"
        for r in rows
    ]
    lines += ["", f"Fastest that keeps the decisions: {document['fastest_that_keeps_the_decisions']}."]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    run_script(main)
