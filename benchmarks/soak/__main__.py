"""Faults at a door, for an hour.

    python -m edgefas.benchmarks.soak [--minutes 60] [--seed 1] [-o benchmarks/results/soak.json]

A software camera behind the real librealsense, interleaved at 60 framesets a second, goes through `open_camera` and
`decide_stream`, as `edgefas live` does, while a script pulls its cable, freezes its pictures, breaks its engine and so
on, in an order drawn from the seed. Ends with 3 when an event did not go as the table of faults says.
"""

from __future__ import annotations

import logging
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from array import array
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Annotated

import typer
from rich.progress import Progress

from edgefas.benchmarks.soak.faults import FAULTS, RECOVERED_WITHIN_S, Fault
from edgefas.benchmarks.soak.report import Size, Soak, write_report
from edgefas.benchmarks.soak.script import Stage, begin
from edgefas.benchmarks.soak.surroundings import Surroundings
from edgefas.benchmarks.soak.verdicts import Event, parse
from edgefas.benchmarks.soak.world import SERIAL, FaultyEngine, StagedCamera, World
from edgefas.cli.console import errors
from edgefas.cli.guard import run_script
from edgefas.contracts import Verdict
from edgefas.live.loop import decide_stream
from edgefas.live.model import open_model
from edgefas.sensors.realsense.camera import open_camera
from edgefas.sensors.realsense.software import SoftwareBus
from edgefas.sensors.simulator.episode import Presentation, sample_episode
from edgefas.sensors.simulator.render import render

CLIP_FRAMES = 30
HEALTHY_WITHIN_S = 20.0
"""Before each fault the door must be open; longer than this, and something has not recovered."""
SIZE_EVERY_S = 2.0


@dataclass
class Watch:
    """What was seen; appended to by one thread each, read at the end."""

    healthy: bool = False
    """Whether the door is open now."""
    events: list[Event] = field(default_factory=list)
    sizes: list[Size] = field(default_factory=list)
    captured_ms: array[float] = field(default_factory=lambda: array("f"))
    """From a frameset's arrival in librealsense to its Frame: what the capture thread waits for Python's lock."""
    unhealthy: list[str] = field(default_factory=list)
    """Faults that could not be begun, since the door did not open before them."""


def schedule(seed: int) -> Iterator[Fault]:
    """All faults in a drawn order, again and again."""
    rng = random.Random(seed)  # noqa: S311 - an order, not a secret
    while True:
        yield from rng.sample(FAULTS, len(FAULTS))


def play(stage: Stage, watch: Watch, faults: Iterator[Fault], until_s: float, progress: Progress) -> None:
    """Wait for an open door, break something, mend it, wait; until the time is over."""
    task = progress.add_task("soak", total=until_s - time.monotonic())
    begin_s, rng = time.monotonic(), random.Random(0)  # noqa: S311
    for fault in faults:
        if not _wait_until_healthy(watch):
            watch.unhealthy.append(fault.name)
        time.sleep(rng.uniform(0.5, 2.0))  # a fault finds the pipeline at any point of its work
        if time.monotonic() > until_s:
            return
        progress.update(task, description=f"soak: {fault.name}", completed=time.monotonic() - begin_s)
        start_s = time.monotonic()
        with begin(stage, fault.name, fault.seconds):
            time.sleep(fault.seconds)
        watch.events.append(Event(fault, start_s, time.monotonic()))
        time.sleep(RECOVERED_WITHIN_S)


def _wait_until_healthy(watch: Watch) -> bool:
    deadline_s = time.monotonic() + HEALTHY_WITHIN_S
    while not watch.healthy:
        if time.monotonic() > deadline_s:
            return False
        time.sleep(0.05)
    return True


@contextmanager
def kept_elsewhere(path: Path) -> Iterator[IO[bytes]]:
    """A stream into a file that another process writes.

    In this one's memory the lines would look like a leak, and this one's disk is full now and then.
    """
    with path.open("wb") as file, subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=file) as cat:  # noqa: S607
        assert cat.stdin is not None
        yield cat.stdin


def main(
    minutes: Annotated[float, typer.Option(min=0.5, help="How long.")] = 60.0,
    seed: Annotated[int, typer.Option(min=0, help="Draws the order of the faults.")] = 1,
    only: Annotated[list[str] | None, typer.Option("--fault", help="Repeatable; default: all.")] = None,
    model: Annotated[Path | None, typer.Option(help="A bundle; default: the shipped demo.")] = None,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="JSON; a .md with the table is put beside it.")
    ] = None,
) -> None:
    """Break everything that can break at a door, and see what comes of it."""
    names = [fault.name for fault in FAULTS]
    unknown = sorted(set(only or ()) - set(names))
    if unknown:
        raise typer.BadParameter(f"{unknown[0]!r} is not one of: {', '.join(names)}")
    faults = (fault for fault in schedule(seed) if only is None or fault.name in only)
    world, watch, bus = World(), Watch(), SoftwareBus()
    logging.getLogger("edgefas").setLevel(logging.ERROR)  # every fault is logged: a terminal full of it helps nobody
    episode = sample_episode(Presentation.BONA_FIDE, 300, 1, 1)
    with errors.status("rendering"):
        clip = [render(episode, index) for index in range(CLIP_FRAMES)]
    live = open_model(model)
    camera = StagedCamera(clip, world, bus)
    with ExitStack() as stack:
        engine = stack.enter_context(FaultyEngine(stack.enter_context(live.engine), world))
        camera.plug(SERIAL)
        camera.start()
        stack.callback(camera.close)
        grid, color = camera.calibration.depth, camera.calibration.color
        source = stack.enter_context(
            open_camera(
                SERIAL,
                emitter="alternate",
                size_px=(grid.width_px, grid.height_px),
                color_size_px=(color.width_px, color.height_px),
                context=bus.context,
            )
        )
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        log = stack.enter_context(kept_elsewhere(folder / "heard"))
        surroundings = stack.enter_context(Surroundings(folder, live, source.stats))
        stage = Stage(world, camera, surroundings, os.getpid())
        progress = stack.enter_context(Progress(console=errors))
        until_s = time.monotonic() + 60 * minutes
        script = threading.Thread(target=play, args=(stage, watch, faults, until_s, progress), daemon=True)
        script.start()
        with closing(decide_stream(source, engine, live.policy, live.trust)) as stream:
            for frame, line in stream:
                watch.healthy = line.state.decision is Verdict.BONA_FIDE
                log.write(f"{time.monotonic()} {line.to_json()}\n".encode())
                if frame is not None and (pushed_ns := camera.pushed_ns(frame.number)) is not None:
                    watch.captured_ms.append((frame.host_ns - pushed_ns) / 1e6)
                surroundings.see(frame, line)
                if not watch.sizes or time.monotonic() - watch.sizes[-1].at_s > SIZE_EVERY_S:
                    watch.sizes.append(Size.now())
                if not script.is_alive():
                    break
        stats = source.stats()
        log.close()
        heard = [parse(text) for text in (folder / "heard").read_text().splitlines()]
    command = "python -m edgefas.benchmarks.soak " + " ".join(sys.argv[1:])
    soak = Soak(
        command,
        seed,
        watch.events,
        heard,
        watch.sizes,
        watch.unhealthy,
        watch.captured_ms,
        camera,
        stats,
        surroundings.counts(),
    )
    ok = write_report(soak, out)
    raise typer.Exit(0 if ok else 3)


if __name__ == "__main__":
    run_script(main)
