"""What a recording costs, compressed and raw: bytes and CPU time per frameset of the simulated camera.

    python -m edgefas.benchmarks.recording [--frames 150] [-o results.json]

One process pushes rendered frames into a software camera at 30 a second and reads them back, three times: without a
recording, with a compressed one and with a raw one. CPU time is the process's, of all its threads, less that of the
run without a recording.
"""

from __future__ import annotations

import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer

from edgefas.benchmarks.output import finish
from edgefas.cli.guard import run_script
from edgefas.environment import environment
from edgefas.sensors.frame import Frame
from edgefas.sensors.realsense.camera import RecordTo, Uncompressed, open_camera
from edgefas.sensors.realsense.software import SoftwareBus, SoftwareD435
from edgefas.sensors.recording import count_framesets
from edgefas.sensors.simulator.episode import parse_options
from edgefas.sensors.simulator.render import render

RENDERED = 15
FPS = 30
FLUSH_S = 30.0


@dataclass(frozen=True)
class Cost:
    """Of one way to record."""

    framesets: int
    """In the file; none was lost where it equals what was pushed."""
    bytes_per_frameset: float
    cpu_ms_per_frameset: float
    """More than without a recording."""


def measure(frames: list[Frame], count: int) -> dict[str, Cost]:
    """Both ways to record."""
    bare_s, _ = _run(frames, count, None, None)
    costs = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in ("zstd", "raw"):
            path = Path(folder) / f"{name}.db3"
            used_s, held = _run(frames, count, path if name == "zstd" else Uncompressed(path), path)
            costs[name] = Cost(held, path.stat().st_size / max(held, 1), (used_s - bare_s) / count * 1e3)
    return costs


def _run(frames: list[Frame], count: int, record_to: RecordTo | None, path: Path | None) -> tuple[float, int]:
    """CPU seconds used, and framesets held by the file."""
    bus, grid = SoftwareBus(), frames[0].calibration.depth
    camera = SoftwareD435(bus, frames[0].calibration, serial="BENCH", depth_scale_m=frames[0].depth_scale_m)
    size = (grid.width_px, grid.height_px)
    with open_camera(size_px=size, color_size_px=size, context=bus.context, record_to=record_to):
        begin_s, cpu_s = time.monotonic(), time.process_time()
        for number in range(1, count + 1):
            frame = frames[number % len(frames)]
            camera.push(
                number, number * 1_000_000_000 // FPS, depth=frame.depth, ir=frame.ir_lit, color=frame.color, lit=True
            )
            time.sleep(max(0.0, begin_s + number / FPS - time.monotonic()))
    deadline = time.monotonic() + FLUSH_S
    held = 0
    while path is not None and (held := count_framesets(path) or 0) < count and time.monotonic() < deadline:
        time.sleep(0.2)
    return time.process_time() - cpu_s, held


def main(
    frames: Annotated[int, typer.Option(min=30, help="Framesets of each run.")] = 150,
    out: Annotated[Path | None, typer.Option("-o", "--out", help="Write the JSON here, too.")] = None,
) -> None:
    """Measure what a recording costs; prints JSON."""
    rendered = [render(parse_options("subject=300,seed=3"), index) for index in range(RENDERED)]
    costs = {name: asdict(cost) for name, cost in measure(rendered, frames).items()}
    document = {
        "command": "python -m edgefas.benchmarks.recording " + " ".join(sys.argv[1:]),
        **environment(),
        "size_px": [rendered[0].calibration.depth.width_px, rendered[0].calibration.depth.height_px],
        "framesets": frames,
        **{
            name: {key: round(value, 2) if isinstance(value, float) else value for key, value in cost.items()}
            for name, cost in costs.items()
        },
    }
    finish(document, out)


if __name__ == "__main__":
    run_script(main)
