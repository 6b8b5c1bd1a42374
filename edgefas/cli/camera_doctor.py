"""`edgefas doctor --camera`: one JSON of what only the hardware can tell."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from edgefas.cli.console import errors, results
from edgefas.errors import CheckFailed, UsageError
from edgefas.signals import stop_signals

if TYPE_CHECKING:
    from edgefas.doctor.camera_report import CameraReport

MAX_S = 600.0


def examine_camera(
    camera: str, record: str, out: Path | None, recording: Path | None, profile: str | None, json: bool
) -> None:
    """Watch, write, and say what was found.

    Raises:
        CheckFailed: no usable frame came; the report is written all the same.
    """
    from rich.progress import BarColumn, Progress, TextColumn

    from edgefas.doctor.camera import examine_and_keep
    from edgefas.files import write_atomically

    seconds = parse_duration(record)
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[note]}"))
    with Progress(*columns, console=errors, transient=True) as bars, stop_signals() as stopped:
        task = bars.add_task("watching", total=seconds, note="")
        report = examine_and_keep(
            camera,
            seconds,
            recording,
            profile=profile,
            stopped=stopped,
            progress=lambda so_far, frames: bars.update(task, completed=so_far, note=f"{frames} frames"),
            rendering=lambda done, total: bars.update(task, note=f"rendering {done}/{total}"),
        )
    if out is not None:
        write_atomically(out, report.to_json(indent=1).encode())
    if json:
        print(report.to_json(), flush=True)
    else:
        _print(report)
    if out is not None and not json:
        results.print(f"written: {out}; it holds no pictures", soft_wrap=True, highlight=False, markup=False)
    if recording is not None:
        errors.print(f"{recording} shows who was before the camera: send it only if they agree", highlight=False)
    if report.frames == 0 or report.error:
        raise CheckFailed(f"{camera} cannot be used: {report.findings[0]}")


def parse_duration(text: str) -> float:
    """Seconds of "10", "10s" or "2m".

    Raises:
        UsageError: anything else, or too long.
    """
    match = re.fullmatch(r"([0-9]{1,4}(?:\.[0-9]{1,3})?)(s|m)?", text)
    seconds = float(match[1]) * (60 if match[2] == "m" else 1) if match else 0.0
    if not 0 < seconds <= MAX_S:
        raise UsageError(f"record {text!r}: how long to watch, such as 10s or 2m, up to {MAX_S / 60:g}m")
    return seconds


def _print(report: CameraReport) -> None:
    identity = report.identity
    table = Table("stream", "frames", "a second", "gaps", "clock", "metadata")
    for stream in report.streams:
        table.add_row(
            f"{escape(stream.name)} {stream.width_px}x{stream.height_px} {stream.format}",
            str(stream.frames),
            "-" if stream.fps_reached is None else f"{stream.fps_reached:.1f} of {stream.fps_asked}",
            str(stream.gaps),
            ", ".join(stream.clocks),
            f"{len(stream.metadata)} keys",
        )
    said = filter(None, (identity.name, identity.serial, identity.firmware))
    results.print(f"{' '.join(said) or report.source}: {report.frames} frames in {report.seconds:g} s", markup=False)
    if report.streams:
        results.print(table)
        results.print(f"emitter metadata: {report.emitter.verdict}", markup=False, highlight=False)
    for name, (begin, end) in report.temperatures.items():
        results.print(f"{name}: {begin:g} to {end:g} degrees Celsius", markup=False, highlight=False)
    for finding in report.findings:
        results.print(f"- {finding}", soft_wrap=True, markup=False, highlight=False)
