"""Whether `edgefas evaluate` waits for its engine or for its pictures.

    python -m edgefas.benchmarks.evaluation_speed MODEL ROOT --dataset NAME [--workers 2] [-o results.json]

The same samples are scored twice, in blocks that take turns: through the whole path (files, decoding, preprocessing,
engine), and by the engine alone on inputs prepared before. What is judged is the ratio of the two.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from edgefas.benchmarks.output import finish
from edgefas.cli.guard import run_script
from edgefas.data import open_dataset
from edgefas.data.inputs import encoder
from edgefas.environment import environment
from edgefas.evaluation.network import JUDGED_SPLITS, open_engine
from edgefas.evaluation.run import MOST_INPUTS, rows_of, score_samples

BLOCKS = 5


def measure(model: Path, root: Path, dataset: str, workers: int, samples: int, threads: int) -> dict[str, float]:
    """Samples a second of the whole path and of the engine alone, medians over blocks; their ratio, and ms to read and
    prepare a sample in one thread."""
    table = open_dataset(dataset, root)
    rows = rows_of(table, JUDGED_SPLITS)[:samples]
    with open_engine(model, threads) as engine:
        encode = encoder(table, engine.spec, 1)
        begin = time.perf_counter()
        prepared = [found for row in rows.tolist() for found in encode(table[row]) if found is not None]
        prepare_s = time.perf_counter() - begin
        names = prepared[0]
        batches = [
            {name: np.concatenate([one[name] for one in prepared[k : k + MOST_INPUTS]]) for name in names}
            for k in range(0, len(prepared), MOST_INPUTS)
        ]
        engine.score(batches[0])
        whole_s, engine_s = [], []
        for _ in range(BLOCKS):
            begin = time.perf_counter()
            for batch in batches:
                engine.score(batch)
            engine_s.append(time.perf_counter() - begin)
            begin = time.perf_counter()
            score_samples(engine, table, rows, encode, workers, lambda done: None)
            whole_s.append(time.perf_counter() - begin)
    per_s = {
        "engine_per_s": len(prepared) / float(np.median(engine_s)),
        "whole_per_s": len(rows) / float(np.median(whole_s)),
    }
    per_s["prepare_ms"] = 1e3 * prepare_s / len(rows)
    return {**per_s, "whole_of_engine": per_s["whole_per_s"] / per_s["engine_per_s"]}


def main(
    model: Annotated[Path, typer.Argument(help="As for `edgefas evaluate`.")],
    root: Annotated[Path, typer.Argument(help="The folder of the data set.")],
    dataset: Annotated[str, typer.Option(help="See: edgefas data list.")],
    workers: Annotated[int, typer.Option(min=1)] = 2,
    samples: Annotated[int, typer.Option(min=32)] = 2000,
    threads: Annotated[int, typer.Option(min=0, help="Of the engine; 0: all cores.")] = 0,
    out: Annotated[Path | None, typer.Option("-o", "--out", help="Write the JSON here, too.")] = None,
) -> None:
    """Measure; prints JSON."""
    figures = measure(model, root, dataset, workers, samples, threads)
    document = {
        "command": "python -m edgefas.benchmarks.evaluation_speed " + " ".join(sys.argv[1:]),
        **environment(),
        **{name: round(value, 3) for name, value in figures.items()},
    }
    finish(document, out)


if __name__ == "__main__":
    run_script(main)
