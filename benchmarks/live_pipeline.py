"""The live pipeline as a whole: decisions a second, where the time goes, memory; of a real `edgefas live` process.

    python -m edgefas.benchmarks.live_pipeline CAMERA [--model FILE] [--seconds 60] [-o results.json]

CAMERA is what `edgefas live --camera` takes; a recording is played in real time (frames that come too late are lost,
as with a camera). The process is watched from outside, so what is measured is what a user runs.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from edgefas.benchmarks.output import finish
from edgefas.cli.guard import run_script
from edgefas.environment import environment
from edgefas.errors import EdgefasError

SETTLE_S = 10.0
"""Memory before this is start-up; growth is counted from here."""
SAMPLE_EVERY_S = 0.5
STAGES = ("detect_ms", "gates_ms", "preprocess_ms", "engine_ms", "total_ms")


@dataclass(frozen=True)
class LiveFigures:
    """What one run showed; times are medians over scored frames in the deciding thread."""

    frames: int
    scored: int
    seconds: float
    decisions_per_s: float
    detect_ms: float
    gates_ms: float
    preprocess_ms: float
    engine_ms: float
    total_ms: float
    all_but_engine_ms: float
    all_but_engine_p95_ms: float
    all_but_engine_p99_ms: float
    peak_rss_mb: float
    rss_growth_mb: float | None
    """Mean of the last tenth of the samples less that of the first tenth after settling; None for short runs."""


def measure_live(camera: str, model: Path | None, seconds: float, threads: int) -> LiveFigures:
    """Run `edgefas live` and read its lines.

    Raises:
        EdgefasError: it failed, or gave no decision.
    """
    command = [sys.executable, "-m", "edgefas", "live", "--camera", camera, "--realtime", "--json", "--headless"]
    command += ["--seconds", str(seconds), "--threads", str(threads)]
    if model is not None:
        command += ["--model", str(model), "--allow-unsigned"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        rows, arrivals_s, rss_mb = [], [], []
        last_sample_s = 0.0
        for line in process.stdout:
            now_s = time.monotonic()
            rows.append(json.loads(line))
            arrivals_s.append(now_s)
            if now_s - last_sample_s >= SAMPLE_EVERY_S:
                rss_mb.append((now_s - arrivals_s[0], _resident_mb(process.pid)))
                last_sample_s = now_s
        problem = process.stderr.read().strip()
    if process.returncode != 0:
        raise EdgefasError(f"edgefas live ended with {process.returncode}: {problem.splitlines()[-1:]}")
    return _figures(rows, arrivals_s, rss_mb)


def _figures(rows: list[dict[str, Any]], arrivals_s: list[float], rss_mb: list[tuple[float, float]]) -> LiveFigures:
    scored = [row["timing"] for row in rows if row["score"] is not None]
    if len(scored) < 2:
        raise EdgefasError(f"{len(rows)} frames and {len(scored)} scores came; is there a face before the camera?")
    passed_s = arrivals_s[-1] - arrivals_s[0]
    stage = {name: float(np.median([timing[name] for timing in scored])) for name in STAGES}
    rest = [timing["total_ms"] - timing["engine_ms"] for timing in scored]
    settled = [value for when_s, value in rss_mb if when_s >= SETTLE_S]
    tenth = len(settled) // 10
    growth = float(np.mean(settled[-tenth:]) - np.mean(settled[:tenth])) if tenth else None
    return LiveFigures(
        frames=len(rows),
        scored=len(scored),
        seconds=passed_s,
        decisions_per_s=(len(rows) - 1) / passed_s,
        **stage,
        all_but_engine_ms=float(np.median(rest)),
        all_but_engine_p95_ms=float(np.percentile(rest, 95)),
        all_but_engine_p99_ms=float(np.percentile(rest, 99)),
        peak_rss_mb=max(value for _, value in rss_mb),
        rss_growth_mb=growth,
    )


def _resident_mb(pid: int) -> float:
    """Resident memory; shared pages count, as the system counts them."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def main(
    camera: Annotated[str, typer.Argument(help="As `edgefas live --camera`.")],
    model: Annotated[Path | None, typer.Option(help="Default: the shipped demo.")] = None,
    seconds: Annotated[float, typer.Option(min=1)] = 60.0,
    threads: Annotated[int, typer.Option(min=0)] = 0,
    out: Annotated[Path | None, typer.Option("-o", "--out", help="Write the JSON here, too.")] = None,
) -> None:
    """Measure a live pipeline; prints JSON."""
    figures = measure_live(camera, model, seconds, threads)
    document = {
        "command": "python -m edgefas.benchmarks.live_pipeline " + " ".join(sys.argv[1:]),
        **environment(),
        **{name: round(value, 3) if isinstance(value, float) else value for name, value in asdict(figures).items()},
    }
    finish(document, out)


if __name__ == "__main__":
    run_script(main)
