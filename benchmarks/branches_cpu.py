"""Whether branches side by side pay on a CPU: the whole with one and two threads, its parts in turn and at once.

    python -m edgefas.benchmarks.branches_cpu lite.onnx

Float, ONNX Runtime, batch 1. Two threads inside each layer and two layers at once compete for the same cores.
"""

from __future__ import annotations

import json
import sys
import tempfile
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from edgefas.benchmarks.latency import Subject, measure
from edgefas.benchmarks.subjects import random_inputs
from edgefas.cli.guard import run_script
from edgefas.engines.lowering.branches import cut_branch
from edgefas.engines.lowering.check import load_graph
from edgefas.engines.runtime import Engine, load_engine
from edgefas.engines.runtime.branches import FUSION, load_branches
from edgefas.environment import environment
from edgefas.files import write_atomically


def open_engines(source: Path, parts: Path) -> dict[str, Engine]:
    """Four ways to run one network; the parts are written into `parts`."""
    model = load_graph(source)
    whole = load_engine(source, threads=1)
    for name in (*(m.value for m in whole.spec.modalities), FUSION):
        (parts / f"{name}.onnx").write_bytes(cut_branch(model, name).SerializeToString())  # type: ignore[arg-type]
    return {
        "whole, 1 thread": whole,
        "whole, 2 threads": load_engine(source, threads=2),
        "parts in turn, 1 thread": load_branches(parts, overlap=False),
        "parts at once, 1 thread each": load_branches(parts),
    }


def main(
    source: Annotated[Path, typer.Argument(help="A float .onnx of a network with branches.")],
    seconds: Annotated[float, typer.Option(min=0.5, help="Counted time per way.")] = 10.0,
    out: Annotated[Path, typer.Option("-o", "--out", help="A .md with the table is written beside it.")] = Path(
        "benchmarks/results/branches_cpu.json"
    ),
) -> None:
    """Time the four ways in one run."""
    with tempfile.TemporaryDirectory() as parts:
        engines = open_engines(source, Path(parts))
        inputs = random_inputs(engines["whole, 1 thread"].spec)
        scores = [float(engine.score(inputs)[0]) for engine in engines.values()]
        subjects = [Subject(name, e.backend, partial(e.score, inputs), None, None) for name, e in engines.items()]
        latencies = measure(subjects, seconds)
    document: dict[str, Any] = {
        "command": "python -m edgefas.benchmarks.branches_cpu " + " ".join(sys.argv[1:]),
        **environment(),
        "what": f"{source.name}, float, batch 1; scores of all ways within {np.ptp(scores):.1e}",
        "ways": {name: asdict(latency) for name, latency in zip(engines, latencies, strict=True)},
    }
    lines = [
        f"{document['what']}.",
        "",
        f"`{document['command']}` on {document['cpu']}, {document['cores']} cores.",
        "",
    ]
    lines += ["| way | min ms | median ms | p95 ms |", "|---|---|---|---|"]
    lines += [
        f"| {name} | {found.min_ms:.2f} | {found.median_ms:.2f} | {found.p95_ms:.2f} |"
        for name, found in zip(engines, latencies, strict=True)
    ]
    text = "\n".join(lines) + "\n"
    write_atomically(out, json.dumps(document, indent=1).encode() + b"\n")
    write_atomically(out.with_suffix(".md"), text.encode())
    sys.stdout.write(text)


if __name__ == "__main__":
    run_script(main)
