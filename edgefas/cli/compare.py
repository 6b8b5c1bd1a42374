"""`edgefas compare`: two forms of one network, score by score and layer by layer."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgefas.cli.console import errors, print_json, results
from edgefas.errors import CheckFailed, EdgefasError, require

if TYPE_CHECKING:
    from edgefas.engines.compare import FirstDifference
    from edgefas.engines.runtime import Engine

KINDS = "a .safetensors checkpoint, .onnx, folder of `edgefas quantize` or `edgefas build`, or bundle"


def command(
    a: Annotated[Path, typer.Argument(help=f"What is right: {KINDS}.", show_default=False)],
    b: Annotated[Path, typer.Argument(help="What is held against it.", show_default=False)],
    inputs: Annotated[Path | None, typer.Option(help=".npz as for `edgefas quantize`; default: random.")] = None,
    count: Annotated[int, typer.Option(min=1, max=4096, help="Random inputs.")] = 32,
    seed: Annotated[int, typer.Option(min=0, help="Of the random inputs.")] = 0,
    threshold: Annotated[float, typer.Option(help="Where a score becomes a decision.")] = 0.0,
    atol: Annotated[float | None, typer.Option(min=0, help="Exit 3 if a score differs by more.")] = None,
    flips: Annotated[int | None, typer.Option(min=0, help="Exit 3 if more decisions differ.")] = None,
    layers: Annotated[bool, typer.Option(help="Look for the first differing layer (a checkpoint is exported).")] = True,
    layer_tolerance: Annotated[float, typer.Option(min=0, help="Relative; INT8 against float needs about 0.1.")] = 1e-3,
    reference: Annotated[bool, typer.Option("--reference", help="Run both as written, without fusions.")] = False,
    json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
) -> None:
    """Compare two forms of one network: scores, decisions, first differing layer."""
    require("onnx", "export")
    from edgefas.calibration.frames import load_frames
    from edgefas.engines.compare import compare_engines, first_difference, graph_file
    from edgefas.engines.export import random_inputs

    with _opened(a, reference) as first, _opened(b, reference) as second:
        spec = first.spec
        frames = random_inputs(spec, count, seed) if inputs is None else load_frames(inputs, spec)
        scores = compare_engines(first, second, frames, threshold)
        same_spec = spec == second.spec
        backends = (first.backend, second.backend)
    found: FirstDifference | None = None
    note = None
    if layers and scores.max_abs > 0 and "tensorrt" in backends:
        note = "layers were not compared: the inside of an engine of tensorrt cannot be read out"
    elif layers and scores.max_abs > 0:
        with errors.status("bisecting"), graph_file(a) as file_a, graph_file(b) as file_b:
            if file_a is None or file_b is None:
                note = "layers were not compared: not both hold an ONNX graph"
            else:
                try:
                    found = first_difference(file_a, file_b, frames, layer_tolerance)
                except EdgefasError as error:
                    note = f"layers were not compared: {error}"
    source = f"random, seed {seed}" if inputs is None else str(inputs)
    if json:
        print_json(
            {
                "a": str(a),
                "b": str(b),
                "backends": backends,
                "inputs": source,
                "threshold": threshold,
                "same_input_spec": same_spec,
                **asdict(scores),
                "layer_tolerance": layer_tolerance,
                "first_difference": None if found is None else _finite(found),
                "note": note,
            }
        )
    else:
        _print(a, b, backends, source, threshold, asdict(scores), layer_tolerance, found, note)
    if not same_spec:
        errors.print("the two InputSpecs differ: camera pictures would be prepared differently", markup=False)
    if (atol is not None and scores.max_abs > atol) or (flips is not None and scores.flips > flips):
        limits = ", ".join(f"{n} {v:g}" for n, v in (("--atol", atol), ("--flips", flips)) if v is not None)
        raise CheckFailed(f"{b} differs from {a}: {scores.max_abs:.3g} and {scores.flips} flips, allowed are {limits}")


def _opened(path: Path, reference: bool) -> Engine:
    """Any kind of file as an engine, one thread: the same sums every time."""
    from edgefas.engines.runtime import load_engine
    from edgefas.live.model import open_model

    if path.suffix == ".efas":
        return open_model(path, allow_unsigned=True, threads=1).engine
    return load_engine(path, threads=1, reference=reference)


def _finite(found: FirstDifference) -> dict[str, object]:
    """JSON has no infinity: a tensor of another shape, or with NaN, has the difference null."""
    document = asdict(found)
    for key in ("before", "at"):
        if document[key] and document[key]["difference"] == float("inf"):
            document[key]["difference"] = None
    return document


def _print(
    a: Path,
    b: Path,
    backends: tuple[str, str],
    source: str,
    threshold: float,
    scores: dict[str, float | None],
    tolerance: float,
    found: FirstDifference | None,
    note: str | None,
) -> None:
    from rich.table import Table

    table = Table("scores (log-odds)", title=f"{b} against {a}")
    table.add_column("", justify="right")
    table.add_row("run by", " and ".join(dict.fromkeys(backends)))
    table.add_row("inputs", f"{scores['frames']} ({source})")
    for label, key in (("max |Δ|", "max_abs"), ("mean |Δ|", "mean_abs"), ("p99 |Δ|", "p99_abs")):
        table.add_row(label, f"{scores[key]:.3g}")
    table.add_row("centred SQNR", "undefined" if scores["sqnr_db"] is None else f"{scores['sqnr_db']:.1f} dB")
    table.add_row(f"decisions flipped at {threshold:g}", str(scores["flips"]))
    results.print(table)
    if note is not None:
        results.print(note, markup=False, highlight=False)
    elif found is not None:
        before = "already the first" if found.before is None else f"{found.before.layer} {found.before.difference:.2g}"
        results.print(
            f"first layer that differs by more than {tolerance:g} (relative): {found.at.layer} "
            f"{found.at.difference:.2g}; before it: {before} ({found.matched} tensors matched, {found.runs} runs)",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )
    else:
        results.print(f"no layer differs by more than {tolerance:g} (relative)", highlight=False)
