"""How fast the simulated camera makes a data set: samples of bench-v1 a second and core, rendered, cut out and written.

    python -m edgefas.benchmarks.simulator_speed [--people 4] [-o results.json]

CPU time of one process, so that other programs take little from it; work is dealt out as `edgefas data synth` does.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Annotated

import cv2
import typer

from edgefas.benchmarks.output import finish
from edgefas.cli.guard import run_script
from edgefas.data.sample import Split
from edgefas.data.synth import bench
from edgefas.data.synth.plan import Clip
from edgefas.data.synth.pool import jobs
from edgefas.environment import environment
from edgefas.sensors.simulator import SIMULATOR_VERSION


def clips_of(people: int) -> list[Clip]:
    """Every test clip of the first people, in the order a worker makes them."""
    tested = tuple(clip for clip in bench.plan(bench.LAYOUT.default).clips if clip.split is Split.TEST)
    shown = sorted({clip.episode.subject for clip in tested})[: people + 1]
    return [clip for job in jobs(tuple(c for c in tested if c.episode.subject in shown)) for clip in job]


def measure(clips: list[Clip]) -> dict[str, list[float]]:
    """Seconds of CPU per sample of each clip, by species; the first person warms up and does not count."""
    cv2.setNumThreads(1)
    took: dict[str, list[float]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as folder:
        for clip in clips:
            begin_s = time.process_time()
            bench.write(Path(folder), clip)
            if clip.episode.subject != clips[0].episode.subject:
                took[clip.pai].append((time.process_time() - begin_s) / len(clip.frames))
    return took


def main(
    people: Annotated[int, typer.Option(min=1, help="Whose clips are timed.")] = 4,
    out: Annotated[Path | None, typer.Option("-o", "--out", help="Write the JSON here, too.")] = None,
) -> None:
    """Time samples of bench-v1; prints JSON."""
    took = measure(clips_of(people))
    every = [seconds for its in took.values() for seconds in its]
    document = {
        "command": "python -m edgefas.benchmarks.simulator_speed " + " ".join(sys.argv[1:]),
        **environment(),
        "simulator_version": SIMULATOR_VERSION,
        "clips": len(every),
        "frames_per_clip": bench.bench().frames,
        "samples_per_s_and_core": round(len(every) / sum(every), 2),
        "ms_per_sample": {pai: round(1e3 * sum(its) / len(its), 1) for pai, its in sorted(took.items())},
    }
    finish(document, out)


if __name__ == "__main__":
    run_script(main)
