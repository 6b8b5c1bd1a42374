"""`edgefas benchmark`: latency, FPS, MACs, FLOPs and parameters, several networks in one run."""

from __future__ import annotations

import json as json_text
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import Progress
from rich.table import Table

from edgefas.cli.console import errors, print_json, results
from edgefas.files import write_atomically

if TYPE_CHECKING:
    from edgefas.benchmarks.latency import Latency, Subject


def command(
    models: Annotated[list[str], typer.Argument(help="Networks by name (untrained), files, folders or bundles.")],
    threads: Annotated[int, typer.Option(min=0, max=256, help="Of one call; 0 leaves it to the backend.")] = 1,
    seconds: Annotated[float, typer.Option(min=0.1, max=600, help="Counted time per network.")] = 5,
    out: Annotated[Path | None, typer.Option("-o", "--out", help="Write the JSON here, too.")] = None,
    json: Annotated[bool, typer.Option("--json", help="JSON instead of a table.")] = False,
) -> None:
    """Measure latency, FPS, MACs, FLOPs and parameters."""
    from edgefas.benchmarks.environment import environment
    from edgefas.benchmarks.latency import measure
    from edgefas.benchmarks.subjects import SEED, open_subject

    subjects = [open_subject(name, threads) for name in models]
    with Progress(console=errors, transient=True) as progress:
        task = progress.add_task("measuring", total=1.0)
        latencies = measure(subjects, seconds, lambda share: progress.update(task, completed=share))
    rows = [_row(s, latency, latencies[0]) for s, latency in zip(subjects, latencies, strict=True)]
    document = {"schema": 1, **environment(), "threads": threads, "batch": 1, "seed": SEED, "results": rows}
    if out is not None:
        write_atomically(out, json_text.dumps(document, indent=1, allow_nan=False).encode() + b"\n")
    if json:
        print_json(document)
    else:
        _print_tables(document)


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
