"""What metrics cost: figures of ten million scores, a thousand resamples of ten thousand subjects, reading a file.

    python -m edgefas.benchmarks.metrics [--scores 10000000] [--subjects 10000] [--rows 1000000] [-o results.json]

Scores are drawn: normal, a fifth bona fide, eight PAI species, subjects alike. `figures` is everything but intervals:
sorting, the errors at the threshold of equal errors, and all figures of the curve. `resamples` is `subject_intervals`
on a tenth as many scores and on all of them. `read` and `write` are files of `--rows` rows. Wall and CPU seconds of one
thread: set OMP_NUM_THREADS=1.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from edgefas.benchmarks.output import finish
from edgefas.cli.guard import run_script
from edgefas.environment import environment
from edgefas.evaluation.bootstrap import RESAMPLES, Rows, SubjectIntervals, subject_intervals
from edgefas.evaluation.evaluate import curve_figures
from edgefas.evaluation.metrics import count_errors
from edgefas.evaluation.presentations import Presentations
from edgefas.evaluation.score_files import read_scores, write_scores
from edgefas.evaluation.scores import Scores, Words
from edgefas.evaluation.thresholds import eer_threshold

SPECIES = tuple(f"species{number}" for number in range(8))
BONA_FIDE_SHARE = 0.2


def drawn(count: int, subjects: int) -> Rows:
    """Overlapping classes: about 7 % equal errors."""
    rng = np.random.default_rng(0)
    species = rng.integers(0, len(SPECIES), count)
    species[rng.random(count) < BONA_FIDE_SHARE] = -1
    scores = rng.normal(size=count) + np.where(species < 0, 1.5, -1.5)
    return Rows(scores, species, SPECIES, rng.integers(0, subjects, count))


def presented(rows: Rows) -> Presentations:
    """Sorted; a part of what is timed."""
    attacks = {name: np.sort(rows.scores[rows.species == code]) for code, name in enumerate(SPECIES)}
    return Presentations(np.sort(rows.scores[rows.species < 0]), attacks)


def figures(rows: Rows) -> Any:
    """Every figure of a report but the intervals."""
    scores = presented(rows)
    return curve_figures(scores, SubjectIntervals()), count_errors(scores, eer_threshold(scores)[0])


def table(count: int, subjects: int) -> Scores:
    """The same as a table with ids as long as those of real data."""
    rows = drawn(count, subjects)
    return Scores(
        np.array([f"clip{number // 30:07d}/{number % 30:04d}.jpg" for number in range(count)], dtype=object),
        Words(rows.subjects.astype(np.int32), tuple(f"subject{number:05d}" for number in range(subjects))),
        rows.species < 0,
        Words((rows.species + 1).astype(np.int32), ("", *SPECIES)),
        Words(np.arange(count, dtype=np.int32) % 2, ("dev", "test")),
        rows.scores.astype(np.float64),
    )


def timed(call: Callable[[], object]) -> dict[str, float]:
    """Seconds of one call."""
    wall_s, cpu_s = time.perf_counter(), time.process_time()
    call()
    return {"wall_s": round(time.perf_counter() - wall_s, 2), "cpu_s": round(time.process_time() - cpu_s, 2)}


def main(
    scores: Annotated[int, typer.Option(min=1000, help="How many the figures are of.")] = 10_000_000,
    subjects: Annotated[int, typer.Option(min=2, help="Drawn in each resample.")] = 10_000,
    rows: Annotated[int, typer.Option(min=1000, help="Of the file that is written and read.")] = 1_000_000,
    out: Annotated[Path | None, typer.Option("-o", "--out", help="Write the JSON here, too.")] = None,
) -> None:
    """Measure; prints JSON."""
    all_rows, some_rows = drawn(scores, subjects), drawn(scores // 10, subjects)
    some, every = presented(some_rows), presented(all_rows)
    with tempfile.TemporaryDirectory() as folder:
        path, held = Path(folder) / "scores.csv", table(rows, subjects)
        write, read = timed(lambda: write_scores(path, held)), timed(lambda: read_scores(path))
    document = {
        "command": "python -m edgefas.benchmarks.metrics " + " ".join(sys.argv[1:]),
        **environment(),
        "scores": scores,
        "subjects": subjects,
        "resamples": RESAMPLES,
        "figures": timed(lambda: figures(all_rows)),
        "resamples_of_a_tenth": timed(lambda: subject_intervals(some_rows, some, 0.0)),
        "resamples_of_all": timed(lambda: subject_intervals(all_rows, every, 0.0)),
        "file_rows": rows,
        "write": write,
        "read": read,
        "peak_rss_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }
    finish(document, out)


if __name__ == "__main__":
    run_script(main)
