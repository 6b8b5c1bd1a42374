"""`edgefas record`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgefas.cli.console import errors, print_json, results
from edgefas.cli.signals import stop_signals


def command(
    output: Annotated[Path, typer.Argument(metavar="OUT.db3", help="The recording to make.", show_default=False)],
    camera: Annotated[
        str, typer.Option(help="realsense[:SERIAL] or simulated[:OPTIONS].", metavar="SOURCE")
    ] = "realsense",
    profile: Annotated[
        str | None,
        typer.Option(help="Set-up of a RealSense camera: a name or .yaml file; default: by its model."),
    ] = None,
    seconds: Annotated[float | None, typer.Option(help="How long, in the camera's own time.")] = None,
    frames: Annotated[int | None, typer.Option(help="How many frames.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Record a camera to a .db3 file; Ctrl-C ends the recording and keeps it."""
    from rich.progress import BarColumn, Progress, TextColumn

    from edgefas.sensors.recording import record

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[note]}"))
    with Progress(*columns, console=errors, transient=True) as bars, stop_signals() as stopped:
        rendering = bars.add_task("rendering", visible=False, note="")
        recording = bars.add_task("recording", visible=False, total=seconds or frames, note="")

        def show_rendering(done: int, total: int) -> None:
            bars.update(rendering, completed=done, total=total, visible=done < total, note=f"{done}/{total} frames")

        def show_recording(length_s: float, count: int) -> None:
            done = length_s if seconds else count
            bars.update(recording, completed=done, visible=True, note=f"{length_s:.1f} s, {count} frames")

        made = record(
            camera,
            output,
            seconds=seconds,
            frames=frames,
            force=force,
            profile=profile,
            stopped=stopped,
            progress=show_recording,
            rendering=show_rendering,
        )
    if as_json:
        print_json(
            {
                "path": str(made.path),
                "framesets": made.framesets,
                "seconds": made.seconds,
                "size_bytes": made.size_bytes,
            }
        )
        return
    results.print(
        f"{made.path}: {made.framesets} framesets, {made.seconds:.1f} s, {made.size_bytes / 1e6:.1f} MB",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )
