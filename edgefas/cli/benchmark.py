"""`edgefas benchmark`: latency, FPS, MACs, FLOPs and parameters, several networks in one run or all forms of each."""

from __future__ import annotations

import json as json_text
import shlex
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import Progress
from rich.table import Table

from edgefas.cli.console import errors, print_json, results
from edgefas.errors import UsageError, require
from edgefas.files import write_atomically

if TYPE_CHECKING:
    from edgefas.benchmarks.latency import Latency, Subject


def command(
    models: Annotated[
        list[str] | None, typer.Argument(help="Networks by name (untrained), files, folders or bundles.")
    ] = None,
    every: Annotated[
        bool, typer.Option("--all", help="Every form of each network: torch, float, INT8 and what else is installed.")
    ] = False,
    threads: Annotated[
        list[int] | None, typer.Option(min=0, max=256, help="Of one call; 0 leaves it to the backend. [default: 1]")
    ] = None,
    seconds: Annotated[float, typer.Option(min=0.1, max=600, help="Counted time per row.")] = 5,
    calibration: Annotated[Path | None, typer.Option(help="--all: the set for INT8 ranges; default: noise.")] = None,
    camera: Annotated[str | None, typer.Option(help="--all: also run `edgefas live` on it, each form.")] = None,
    out: Annotated[Path | None, typer.Option("-o", "--out", help="Write the JSON here; --all: and a .md.")] = None,
    csv: Annotated[Path | None, typer.Option(help="--all: write a .csv, too.")] = None,
    plot: Annotated[Path | None, typer.Option(help="--all: write a page with bars (.html), too.")] = None,
    json: Annotated[bool, typer.Option("--json", help="JSON instead of a table.")] = False,
) -> None:
    """Measure latency, FPS, MACs, FLOPs, parameters and memory."""
    counts = threads or [1]
    if every:
        document = _all(models, counts, seconds, calibration, camera)
        _write_all(document, out, csv, plot)
        if json:
            print_json(document)
        else:
            _print_all(document)
        return
    if not models:
        raise UsageError("Missing argument 'MODELS...': name networks or files, or give --all for every network")
    if len(counts) > 1 or calibration or camera or csv or plot:
        raise UsageError("several --threads, --calibration, --camera, --csv and --plot need --all")
    document = _some(models, counts[0], seconds)
    if out is not None:
        write_atomically(out, json_text.dumps(document, indent=1, allow_nan=False).encode() + b"\n")
    if json:
        print_json(document)
    else:
        _print_tables(document)


def _some(models: list[str], threads: int, seconds: float) -> dict[str, Any]:
    from edgefas.benchmarks.latency import measure
    from edgefas.benchmarks.subjects import SEED, open_subject
    from edgefas.environment import environment

    subjects = [open_subject(name, threads) for name in models]
    with Progress(console=errors, transient=True) as progress:
        task = progress.add_task("measuring", total=1.0)
        latencies = measure(subjects, seconds, lambda share: progress.update(task, completed=share))
    rows = [_row(s, latency, latencies[0]) for s, latency in zip(subjects, latencies, strict=True)]
    return {"schema": 1, **environment(), "threads": threads, "batch": 1, "seed": SEED, "results": rows}


def _all(
    models: list[str] | None, threads: list[int], seconds: float, calibration: Path | None, camera: str | None
) -> dict[str, Any]:
    require("onnx", "export")
    from edgefas.benchmarks import jetson
    from edgefas.benchmarks.all_models import benchmark_all, trtexec_lines
    from edgefas.benchmarks.subjects import SEED
    from edgefas.environment import environment

    if models is None:
        require("torch", "train")
        from edgefas.models import list_models

        models = [entry.name for entry in list_models()]
    untrained = [name for name in models if not Path(name).exists()]
    before = jetson.state()
    with errors.status("starting") as status, tempfile.TemporaryDirectory(prefix="edgefas-") as work:
        rows = benchmark_all(
            models, threads, seconds, Path(work), calibration=calibration, camera=camera, report=status.update
        )
    return {
        "schema": 1,
        "command": f"edgefas {shlex.join(sys.argv[1:])}",
        **environment(),
        "what": "Latency of one face, forms of one network in turns"
        + (f"; untrained weights, which do not change the time: {', '.join(untrained)}" if untrained else ""),
        "batch": 1,
        "seed": SEED,
        "jetson_before": before,
        "jetson_after": jetson.state(),
        "trtexec": trtexec_lines(models),
        "results": rows,
    }


def _write_all(document: dict[str, Any], out: Path | None, csv: Path | None, plot: Path | None) -> None:
    from edgefas.benchmarks.report import to_csv, to_html, to_markdown

    if out is not None:
        write_atomically(out, json_text.dumps(document, indent=1, allow_nan=False).encode() + b"\n")
        write_atomically(out.with_suffix(".md"), to_markdown(document).encode())
    if csv is not None:
        write_atomically(csv, to_csv(document["results"]).encode())
    if plot is not None:
        write_atomically(plot, to_html(document).encode())


def _print_all(document: dict[str, Any]) -> None:
    from edgefas.benchmarks.report import fastest

    rows, best = document["results"], fastest(document["results"])
    for model in dict.fromkeys(row["model"] for row in rows):
        own = [row for row in rows if row["model"] == model]
        size = f"{_scaled(own[0]['params'], 1e6)} M parameters, {_scaled(own[0]['macs'], 1e9)} GMACs"
        results.print(_table_of(own, best, f"{model}: {size}; ms, batch 1"))
    for row in rows:
        if row["error"] or row["note"]:
            text = f"{row['model']}, {row['backend']} {row['precision']}: {row['error'] or row['note']}"
            errors.print(text, markup=False, highlight=False)
    if document["jetson_after"] is not None:
        results.print_json(data=document["jetson_after"])
    for line in document["trtexec"]:
        results.print(line, markup=False, highlight=False, soft_wrap=True)


def _table_of(rows: list[dict[str, Any]], best: list[dict[str, Any]], title: str) -> Table:
    """One network; 80 columns show it whole. The fastest form for each number of threads is bold."""
    live = any(row["camera_to_decision_fps"] is not None for row in rows)
    table = Table("form", title=title)
    for head in ("thr", "median", "p95", "FPS", *(["live FPS"] if live else []), "MB", "peak MB"):
        table.add_column(head, justify="right", no_wrap=True)
    for row in rows:
        form = f"{row['backend']} {row['precision']}"
        if row["error"] is not None:
            table.add_row(form, str(row["threads"]), "failed")
            continue
        cells = [f"{row['median_ms']:.2f}", f"{row['p95_ms']:.2f}", f"{row['fps']:.1f}"]
        if live:
            fps = row["camera_to_decision_fps"]
            cells.append("-" if fps is None else f"{fps:.1f}")
        cells.append("-" if row["bytes"] is None else f"{row['bytes'] / 1e6:.2f}")
        cells.append("-" if row["peak_rss_mb"] is None else f"{row['peak_rss_mb']:.0f}")
        style = "bold" if any(row is other for other in best) else None
        table.add_row(form, str(row["threads"]), *cells, style=style)
    return table


def _row(subject: Subject, latency: Latency, first: Latency) -> dict[str, Any]:
    return {
        "model": subject.name,
        "backend": subject.backend,
        "params": subject.params,
        "macs": subject.macs,
        "flops": None if subject.macs is None else 2 * subject.macs,
        **{key: round(value, 3) for key, value in asdict(latency).items()},
        "fps": round(latency.fps, 1),
        "times_the_first": round(latency.median_ms / first.median_ms, 3),
    }


def _print_tables(document: dict[str, Any]) -> None:
    """Two narrow tables: a terminal of 80 columns shows them whole."""
    rows = document["results"]
    sizes = Table("model", title="size (FLOPs = 2 x MACs; - is not known)")
    times = Table("model", title=f"latency in ms, batch 1, {document['threads']} thread(s)")
    for head in ("params M", "GMACs", "GFLOPs"):
        sizes.add_column(head, justify="right")
    for head in ("min", "median", "p90", "p95", "p99", "FPS", "x first"):
        times.add_column(head, justify="right", no_wrap=True)
    for row in rows:
        name = f"{row['model']} ({row['backend']})"
        scaled = (_scaled(row["params"], 1e6), _scaled(row["macs"], 1e9), _scaled(row["flops"], 1e9))
        sizes.add_row(name, *scaled)
        millis = (f"{row[f'{key}_ms']:.2f}" for key in ("min", "median", "p90", "p95", "p99"))
        times.add_row(name, *millis, f"{row['fps']:.1f}", f"{row['times_the_first']:.2f}")
    instructions = ", ".join(document["int8_instructions"]) or "none: INT8 gains little or loses"
    results.print(sizes, times, f"{document['cpu']}; INT8 instructions: {instructions}")


def _scaled(value: int | None, unit: float) -> str:
    return "-" if value is None else f"{value / unit:.3f}"
