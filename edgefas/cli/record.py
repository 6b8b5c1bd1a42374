"""`edgefas record`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from edgefas.cli.console import errors, print_json, results
from edgefas.errors import UsageError
from edgefas.signals import stop_signals


def command(
    output: Annotated[Path, typer.Argument(metavar="OUT.db3", help="The recording to make.", show_default=False)],
    camera: Annotated[
        str, typer.Option(help="realsense[:SERIAL] or simulated[:OPTIONS].", metavar="SOURCE")
    ] = "realsense",
    label: Annotated[str | None, typer.Option(help="What is shown: bona_fide or attack.")] = None,
    species: Annotated[str | None, typer.Option(help="Kind of attack, e.g. flat_print.")] = None,
    subject: Annotated[str | None, typer.Option(help="A code for who is shown; not a name.")] = None,
    note: Annotated[str, typer.Option(help="Anything else.")] = "",
    profile: Annotated[
        str | None,
        typer.Option(help="Set-up of a RealSense camera: a name or .yaml file; default: by its model."),
    ] = None,
    seconds: Annotated[float | None, typer.Option(help="How long, in the camera's own time.")] = None,
    frames: Annotated[int | None, typer.Option(help="How many frames.")] = None,
    max_size: Annotated[str | None, typer.Option(help="End at this size: 500M, 4G (of 1024).")] = None,
    zstd: Annotated[bool, typer.Option("--zstd/--raw", help="Compress without loss, or spare the CPU.")] = True,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing recording.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Record a camera to OUT.db3 and what it shows to OUT.json; Ctrl-C ends the recording and keeps it."""
    from rich.progress import BarColumn, Progress, TextColumn

    from edgefas.sensors.notes import make_shown
    from edgefas.sensors.recording import Limits, record
    from edgefas.sensors.source import CameraError

    shown = make_shown(label, species, subject, note)
    limits = Limits(seconds, frames, None if max_size is None else parse_size(max_size))
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
            limits=limits,
            shown=shown,
            compress=zstd,
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
                "trouble": made.trouble,
                "notes": made.notes.model_dump(mode="json"),
            }
        )
    else:
        what = made.notes.shown.label.value if made.notes.shown.label else "not labelled"
        results.print(
            f"{made.path}: {made.framesets} framesets, {made.seconds:.1f} s, {made.size_bytes / 1e6:.1f} MB, {what}",
            highlight=False,
            markup=False,
            soft_wrap=True,
        )
    if made.trouble is not None:
        raise CameraError(f"{made.trouble}; what was recorded until then is kept in {made.path}")


def parse_size(text: str) -> int:
    """Bytes of "500M" or "4G", in powers of 1024.

    Raises:
        UsageError: no positive number with a unit.
    """
    match = re.fullmatch(r"([0-9]{1,9})(K|M|G|T)?i?B?", text)
    if match is None or int(match[1]) == 0:
        raise UsageError(f"max size {text!r}: write a whole number with K, M, G or T, such as 4G")
    return int(match[1]) << {None: 0, "K": 10, "M": 20, "G": 30, "T": 40}[match[2]]
