"""`edgefas replay`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgefas.cli.console import errors, print_json, results
from edgefas.errors import UsageError
from edgefas.signals import stop_signals

if TYPE_CHECKING:
    from edgefas.sensors.frame import Frame
    from edgefas.sensors.notes import RecordingNotes

MAX_SPEED = 100.0


def command(
    recordings: Annotated[
        list[str],
        typer.Argument(metavar="FILE...", help="FILE.db3, FILE.bag, a video or dir:PATH.", show_default=False),
    ],
    speed: Annotated[str, typer.Option(help="1.0: as it was taken; 2: twice as fast; max.")] = "max",
    to_folder: Annotated[
        Path | None, typer.Option(help="Copy into a folder of pictures; several into one each below it.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON line per frame on stdout.")] = False,
) -> None:
    """Go through recordings: what each frame holds, or its pictures as files. `edgefas live` decides on them."""
    pace = parse_speed(speed)
    targets = [None] * len(recordings) if to_folder is None else name_folders(to_folder, recordings)
    with stop_signals() as stopped:
        for text, target in zip(recordings, targets, strict=True):
            if target is None:
                _show(text, pace, json, stopped)
            else:
                _export(text, target, json, stopped)
            if stopped():
                return


def _show(text: str, speed: float | None, json: bool, stopped: Callable[[], bool]) -> None:
    from edgefas.sensors.replay import frame_facts, notes_of, open_replay, paced

    notes, summary = notes_of(text), _Summary()
    with open_replay(text) as source, _bar(text) as show:
        for frame in paced(source, speed):
            summary.add(frame)
            show(summary.frames)
            if json:
                print_json({"schema": 1, "source": text, **asdict(frame_facts(frame))})
            if stopped():
                break
    if not json:
        _print(f"{text}: {summary.text()}, {_label(notes)}")


def _export(text: str, target: Path, json: bool, stopped: Callable[[], bool]) -> None:
    from edgefas.sensors.replay import export, notes_of

    with _bar(text) as show:
        count = export(text, target, progress=show, stopped=stopped)
    notes = notes_of(text)
    if json:
        label = None if notes is None else notes.shown.model_dump(mode="json")
        print_json({"schema": 1, "source": text, "folder": str(target), "frames": count, "shown": label})
    else:
        _print(f"{target}: {count} frames of {text}, {_label(notes)}; open it with --camera dir:{target}")


class _Summary:
    """What was seen of a recording."""

    def __init__(self) -> None:
        self.frames = self.dropped = self.lit = self.unlit = self.depth = self.color = 0
        self._first_ns = self._last_ns = 0

    def add(self, frame: Frame) -> None:
        self._first_ns = frame.device_ns if self.frames == 0 else self._first_ns
        self._last_ns = frame.device_ns
        self.frames += 1
        self.dropped += frame.dropped
        self.color += frame.color is not None
        self.lit += frame.ir_lit is not None
        self.unlit += frame.ir_unlit is not None
        self.depth += frame.depth is not None

    def text(self) -> str:
        seconds = (self._last_ns - self._first_ns) / 1e9
        rate = f", {(self.frames - 1) / seconds:.1f} a second" if seconds > 0 else ""
        return (
            f"{self.frames} frames, {seconds:.1f} s{rate}; colour in {self.color}, infrared lit in {self.lit}, "
            f"unlit in {self.unlit}, depth in {self.depth}; {self.dropped} dropped"
        )


def _label(notes: RecordingNotes | None) -> str:
    if notes is None or notes.shown.label is None:
        return "not labelled"
    shown = notes.shown
    return " ".join(filter(None, (shown.label and shown.label.value, shown.species, shown.subject)))


def _bar(text: str) -> Any:
    """A context manager that gives a function to tell the number of frames done."""
    from contextlib import contextmanager

    from rich.progress import BarColumn, Progress, TextColumn

    from edgefas.sensors.recording import count_framesets

    @contextmanager
    def bar() -> Any:
        columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed} frames"))
        with Progress(*columns, console=errors, transient=True) as bars:
            task = bars.add_task(Path(text).name, total=count_framesets(Path(text)))
            yield lambda done: bars.update(task, completed=done)

    return bar()


def name_folders(parent: Path, recordings: list[str]) -> list[Path]:
    """Where each recording goes: into `parent` itself, or, of several, into a folder of its own name below it.

    Raises:
        UsageError: two recordings have one name.
    """
    if len(recordings) == 1:
        return [parent]
    names = [Path(text.removeprefix("dir:")).stem for text in recordings]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise UsageError(f"two recordings are called {twice!r}: their folders would be one; export them one by one")
    return [parent / name for name in names]


def parse_speed(text: str) -> float | None:
    """None for "max".

    Raises:
        UsageError: neither that nor a positive number.
    """
    if text == "max":
        return None
    try:
        speed = float(text)
    except ValueError:
        speed = 0.0
    if not 0 < speed <= MAX_SPEED:  # also refuses NaN
        raise UsageError(f"speed {text!r}: write a number above 0 and up to {MAX_SPEED:g}, or max")
    return speed


def _print(text: str) -> None:
    results.print(text, highlight=False, markup=False, soft_wrap=True)
