"""What looking for flaws costs per frame, in the capture thread.

    python -m edgefas.benchmarks.frame_sanity [-o results.json]

Frames are noise at 640x480, all four pictures. CPU time of the thread, so that other programs do not count.
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from edgefas.benchmarks.output import finish
from edgefas.cli.guard import run_script
from edgefas.environment import environment
from edgefas.sensors.frame import Calibration, Frame, Intrinsics
from edgefas.sensors.sanity import Last, inspect

ROUNDS = 400
_GRID = Intrinsics(640, 480, 382.0, 382.0, 320.0, 240.0)
_STEP_NS = 33_333_333


def noise(number: int) -> Frame:
    """All four pictures, no two alike."""
    rng = np.random.default_rng(number)
    ir = [rng.integers(0, 256, (480, 640), np.uint8) for _ in range(2)]
    return Frame(
        color=rng.integers(0, 256, (480, 640, 3), np.uint8),
        ir_lit=ir[0],
        ir_unlit=ir[1],
        depth=rng.integers(300, 2000, (480, 640), np.uint16),
        depth_scale_m=0.001,
        calibration=Calibration(_GRID, _GRID),
        number=number,
        device_ns=0,
        clock="hardware",
        host_ns=0,
        camera="NOISE",
    )


def median_ms(frames: list[Frame]) -> float:
    """Of looking at these frames in turn."""
    last, took_ns = Last(), []
    for index in range(ROUNDS):
        at_ns = (index + 1) * _STEP_NS
        frame = replace(frames[index % len(frames)], number=index, device_ns=at_ns, host_ns=at_ns)
        begin_ns = time.thread_time_ns()
        _, last = inspect(frame, last, now=True)
        took_ns.append(time.thread_time_ns() - begin_ns)
    return float(np.median(took_ns)) / 1e6


def main(
    out: Annotated[Path | None, typer.Option("-o", "--out", help="Write the JSON here, too.")] = None,
) -> None:
    """Sound, frozen and black frames."""
    frames = [noise(number) for number in range(8)]
    black = [replace(frame, color=np.zeros_like(frame.color), ir_lit=np.zeros_like(frame.ir_lit)) for frame in frames]
    document = {
        "command": "python -m edgefas.benchmarks.frame_sanity",
        **environment(),
        "sound_ms": round(median_ms(frames), 4),
        "frozen_ms": round(median_ms(frames[:1]), 4),
        "black_ms": round(median_ms(black), 4),
    }
    finish(document, out)


if __name__ == "__main__":
    run_script(main)
