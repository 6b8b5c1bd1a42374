"""What precision costs: FP32, FP16 and INT8 of DAH-FAS, DAH-FAS-lite and the single branches, in one table.

    python -m edgefas.benchmarks.accuracy runs/demo-model/final/best.safetensors runs/dah-fas-sim/best.safetensors

Decisions are those on the recipe's validation split (simulated subjects the training never saw), at the threshold
where the float network's errors are equal. A row of TensorRT's is its copy run as written on this CPU ("reference"):
its placement and its roundings, but no time; nothing here ran on a GPU. The fused INT8 form is another placement, and
is what a CPU runs. The single branches are trained here, briefly, on the same samples: to have weights that decide.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from edgefas.benchmarks.latency import Subject, measure
from edgefas.benchmarks.subjects import random_inputs
from edgefas.calibration.compare import compare_scores
from edgefas.cli.console import errors
from edgefas.cli.guard import run_script
from edgefas.cli.train import report_to, training_progress
from edgefas.contracts import Label
from edgefas.engines.export import export_onnx
from edgefas.engines.precision import PRECISIONS, TENSORRT_FOLDER, file_name
from edgefas.engines.quantize import SCALES_FILE, quantize
from edgefas.engines.runtime import Engine, load_engine
from edgefas.environment import environment
from edgefas.evaluation.intervals import Share, wilson
from edgefas.evaluation.metrics import equal_error_threshold
from edgefas.files import write_atomically
from edgefas.models.weights import load_checkpoint
from edgefas.training.calibration_set import F32, score_with, write_calibration_set
from edgefas.training.loop import train
from edgefas.training.recipe import Recipe, load_recipe
from edgefas.training.run_folder import CHECKPOINT, METRICS
from edgefas.training.simulated import Samples, samples_for

RECIPE = "dah-fas-lite-sim"
BRANCHES: dict[str, dict[str, Any]] = {
    "mobilenetv2": {},
    "ghostnet": {},
    "resnet18": {},
    "efficientnet-b0": {"size_px": 112},
}
"""Single-branch networks and their options; EfficientNet at 112 pixels, to train on the same samples."""
EPOCHS = 2
FLOAT, FUSED, ASYMMETRIC = "fp32, this CPU", "int8 fused, this CPU", "int8 fused asymmetric, this CPU"


@dataclass(frozen=True)
class Row:
    """One form of one network."""

    model: str
    form: str
    bytes: int
    min_ms: float | None
    median_ms: float | None
    """Of one call at batch 1, one thread; None where this CPU does not run the form as it is meant."""
    bpcer: Share
    apcer: Share
    """Of the worst species."""
    flips: Share
    """Decisions other than the float network's."""
    max_abs_difference: float
    """Of the log-odds, to the float network."""
    sqnr_db: float | None


def branch_recipe(name: str) -> Recipe:
    """The lite network's recipe for another network, cut to `EPOCHS`."""
    changes = {"model": name, "model_options": BRANCHES[name], "epochs": EPOCHS}
    return load_recipe(RECIPE).model_copy(update=changes)


def forms(checkpoint: Path, calibration: Samples, work: Path) -> Iterator[tuple[str, Path, int, bool]]:
    """(form, file or folder, bytes, whether only its reference run means something)."""
    model = load_checkpoint(checkpoint)
    source = work / "model.onnx"
    export_onnx(model, model.input_spec, model.model_name, source)
    write_calibration_set(calibration, model.input_spec, work / "calibration.npz")
    report = quantize(source, work / "calibration.npz", None, work / "int8", PRECISIONS, ("stock",))
    yield FLOAT, source, source.stat().st_size, False
    for precision in PRECISIONS:
        name = file_name(precision, "stock")
        yield precision, work / "int8" / TENSORRT_FOLDER / name, report.tensorrt_bytes[name], True
    for form, folder, asymmetric in ((FUSED, work / "int8", False), (ASYMMETRIC, work / "asymmetric", True)):
        if asymmetric:
            report = quantize(source, work / "calibration.npz", None, folder, (), (), asymmetric=True)
        yield form, folder, report.bytes - (folder / SCALES_FILE).stat().st_size, False


def rows_of(checkpoint: Path, splits: dict[str, Samples], seconds: float) -> Iterator[Row]:
    """All forms of one network; the first is what the others are held against."""
    validation = splits["validation"]
    with tempfile.TemporaryDirectory() as work:
        found: list[tuple[str, int, F32]] = []
        subjects: dict[str, Subject] = {}
        for form, path, size, reference in forms(checkpoint, splits["train"], Path(work)):
            engine = load_engine(path, threads=1, reference=reference)
            found.append((form, size, score_with(engine, validation)))
            if not reference:
                subjects[form] = _subject(form, engine)
        latencies = dict(zip(subjects, measure(list(subjects.values()), seconds), strict=True))
    expected = found[0][2]
    threshold = float(np.float32(equal_error_threshold(expected, validation.species)[0]))
    name = load_checkpoint(checkpoint).model_name
    for form, size, scores in found:
        latency = latencies.get(form)
        difference = compare_scores(expected, scores, threshold)
        yield Row(
            name,
            form if form in subjects else f"TensorRT {form}, reference",
            size,
            None if latency is None else round(latency.min_ms, 3),
            None if latency is None else round(latency.median_ms, 3),
            *_errors(scores, validation, threshold),
            wilson(difference.flips, difference.frames),
            difference.max_abs,
            difference.sqnr_db,
        )


def _subject(form: str, engine: Engine) -> Subject:
    return Subject(form, engine.backend, partial(engine.score, random_inputs(engine.spec)), None, None)


def _errors(scores: F32, samples: Samples, threshold: float) -> tuple[Share, Share]:
    """(bona fide rejected, attacks of the worst species accepted)."""
    accepted = scores >= threshold
    alive = samples.species == Label.BONA_FIDE.value
    attacks = [samples.species == kind for kind in np.unique(samples.species[~alive])]
    worst = max((wilson(int(accepted[kind].sum()), int(kind.sum())) for kind in attacks), key=lambda s: s.share)
    return wilson(int((~accepted[alive]).sum()), int(alive.sum())), worst


def main(
    trained: Annotated[list[Path], typer.Argument(metavar="CHECKPOINT...", help="A trained dah-fas-lite, dah-fas.")],
    work: Annotated[Path, typer.Option(help="Where the branches are trained, or were.")] = Path("runs/accuracy"),
    cache: Annotated[Path, typer.Option(help="Rendered samples.")] = Path(".cache/data"),
    networks: Annotated[
        list[str] | None, typer.Option("--branch", help="Repeatable; default all, none: no branch.")
    ] = None,
    seconds: Annotated[float, typer.Option(min=0.5, help="Counted time per timed form.")] = 5.0,
    out: Annotated[Path, typer.Option("-o", "--out", help="A .md with the table is written beside it.")] = Path(
        "benchmarks/results/accuracy.json"
    ),
) -> None:
    """Measure what each precision costs."""
    unknown = sorted(set(networks or ()) - {*BRANCHES, "none"})
    if unknown:
        raise typer.BadParameter(f"{unknown[0]} is not one of: {', '.join(BRANCHES)}, none")
    names = [name for name in BRANCHES if networks is None or name in networks]
    branches = [work / name / CHECKPOINT for name in names]
    rows: list[Row] = []
    epochs: dict[str, int] = {}
    with training_progress() as progress:
        for name, path in zip(names, branches, strict=True):
            if not path.is_file():
                train(branch_recipe(name), path.parent, cache, report=report_to(progress, f"{name}: "))
            epochs[name] = len((path.parent / METRICS).read_text().splitlines())
        data = load_recipe(RECIPE).simulated
        for path in (*trained, *branches):
            spec = load_checkpoint(path).input_spec
            splits = {
                split: samples_for(data, part, spec, cache, partial(report_to(progress), f"rendering {split}"))
                for split, part in (("train", data.train), ("validation", data.validation))
            }
            rows += rows_of(path, splits, seconds)
            errors.print(f"{rows[-1].model} done", highlight=False)
    frames = len(splits["validation"])
    document: dict[str, Any] = {
        "command": "python -m edgefas.benchmarks.accuracy " + " ".join(sys.argv[1:]),
        **environment(),
        "what": f"{frames} simulated validation samples; threshold: where each float network's errors are equal",
        "branches": f"trained on the samples of {RECIPE}, epochs {epochs}; efficientnet-b0 at 112 pixels"
        if epochs
        else "none",
        "rows": [asdict(row) for row in rows],
    }
    text = _markdown(document, rows)
    write_atomically(out, json.dumps(document, indent=1).encode() + b"\n")
    write_atomically(out.with_suffix(".md"), text.encode())
    sys.stdout.write(text)


def _markdown(document: dict[str, Any], rows: list[Row]) -> str:
    lines = [
        f"Error rates on {document['what']}. Single branches: {document['branches']}.",
        "",
        "`reference`: TensorRT's copy run as written by ONNX Runtime without optimisations, half rounded after every "
        "operator. It shows placement, rounding and overflow; its time would mean nothing. Not run on a GPU. "
        "Intervals: Wilson, 95 %.",
        "",
        f"`{document['command']}` on {document['cpu']}.",
        "",
        "| model | form | MB | ms, min / median | BPCER | APCER, worst species | decisions changed | max \\|Δ\\| "
        "| centred SQNR dB |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        shares = " | ".join(f"{s.share:.1%} [{s.low:.1%}, {s.high:.1%}]" for s in (row.bpcer, row.apcer, row.flips))
        time_ms = "-" if row.median_ms is None else f"{row.min_ms:.2f} / {row.median_ms:.2f}"
        sqnr = "-" if row.sqnr_db is None else f"{row.sqnr_db:.1f}"
        lines.append(
            f"| {row.model} | {row.form} | {row.bytes / 1e6:.2f} | {time_ms} | {shares} "
            f"| {row.max_abs_difference:.3g} | {sqnr} |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    run_script(main)
