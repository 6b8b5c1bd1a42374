"""Is an alternating projector's every picture put where it belongs? Through the real librealsense, live and recorded.

    python -m edgefas.benchmarks.emitter_pairing [--framesets 4200] [-o benchmarks/results/emitter_pairing.json]

Rendered pictures are pushed into a software camera, 60 framesets a second, with metadata that are right, inverted,
absent, stuck, or change their mind. Each picture carries its number and whether it was lit in a corner, too dim for
what the pipeline looks at; so each frame that comes out is checked against the truth, and again from the recording.
"""

from __future__ import annotations

import json
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import numpy.typing as npt
import typer
from rich.progress import track

from edgefas.cli.console import errors
from edgefas.cli.guard import run_script
from edgefas.environment import environment
from edgefas.files import write_atomically
from edgefas.sensors.frame import Exposure, Frame
from edgefas.sensors.realsense.camera import FPS, open_camera
from edgefas.sensors.realsense.playback import open_recording
from edgefas.sensors.realsense.software import SoftwareBus, SoftwareD435
from edgefas.sensors.simulator import Presentation, render, sample_episode
from edgefas.sensors.source import CameraSource, CameraTimeout, EndOfStream, SourceStats

SEED = 20
MARK_PX = 6
"""A number in base 16, lowest digit first, and the lit flag."""
EXPOSURE = Exposure(8500.0, 16.0)


@dataclass(frozen=True)
class Case:
    """What the camera does wrong."""

    what: str
    flag: Callable[[int, bool], bool | None]
    """(number, lit) -> what its metadata say."""
    lost: Callable[[int], bool] = lambda number: False
    """Framesets that never arrive."""
    again: Callable[[int], bool] = lambda number: False
    """Framesets that arrive a second time, after the next one."""
    dots: bool = True
    """False: sunlight drowns them."""


def _fickle(number: int, lit: bool) -> bool:
    return (lit, not lit, True, not lit, False)[number // 150 % 5]


def _half_rate(number: int) -> bool:
    """From full rate to only lit ones, to only unlit ones, and back."""
    part = number // 100 % 4
    return (part == 1 and number % 2 == 1) or (part == 3 and number % 2 == 0)


CASES = {
    "right": Case("metadata are right", lambda number, lit: lit),
    "inverted": Case("metadata are inverted", lambda number, lit: not lit),
    "absent": Case("no metadata", lambda number, lit: None),
    "stuck": Case("metadata say lit, always", lambda number, lit: True),
    "fickle": Case("every 150 framesets: right, inverted, all lit, inverted, all unlit", _fickle),
    "half_rate": Case("inverted; every 100 framesets: all, lit ones only, all, unlit ones only",
                      lambda number, lit: not lit, lost=_half_rate),
    "disorder": Case("inverted; 1 in 13 lost, 1 in 17 comes again after the next one",
                     lambda number, lit: not lit, lost=lambda n: n % 13 == 0, again=lambda n: n % 17 == 0),
    "sunlight": Case("metadata are right, dots cannot be seen", lambda number, lit: lit, dots=False),
}  # fmt: skip


@dataclass(frozen=True)
class Outcome:
    """Frames that came out, by the infrared pictures they carry, and how many of them carry a wrong one."""

    frames: int
    both: int
    lit_only: int
    unlit_only: int
    neither: int
    wrong: int
    """A lit picture under `ir_unlit` or the other way round, or any picture of another number."""
    stats: dict[str, int]


def clip(dots: bool, frames: int = 8) -> list[Frame]:
    """Rendered frames of a face: 500 mm under LED, or at 900 mm in sunlight that drowns the dots."""
    light: dict[str, Any] = {"light": "led", "illuminance_lx": 300, "distance_mm": 500}
    if not dots:
        light = {"light": "daylight", "illuminance_lx": 4000, "distance_mm": 900}
    episode = sample_episode(Presentation.BONA_FIDE, 3, 0, SEED, **light)
    return [_middle(render(episode, index)) for index in range(frames)]


def _middle(frame: Frame) -> Frame:
    """The middle quarter of the pictures: dots as they are, and little for a busy machine to carry."""
    window = (slice(120, 360), slice(160, 480))
    lenses = {}
    for name in ("depth", "color"):
        lens = getattr(frame.calibration, name)
        lenses[name] = replace(lens, width_px=320, height_px=240, ppx_px=lens.ppx_px - 160, ppy_px=lens.ppy_px - 120)
    pictures = {name: getattr(frame, name)[window] for name in ("color", "depth", "ir_lit", "ir_unlit")}
    return replace(frame, calibration=replace(frame.calibration, **lenses), **pictures)


def mark(picture: npt.NDArray[Any], number: int, lit: bool) -> npt.NDArray[Any]:
    """A copy with the truth in its first row."""
    marked = picture.copy()
    row = marked[0, :MARK_PX] if picture.ndim == 2 else marked[0, :MARK_PX, 0]
    row[:] = [*(number >> 4 * digit & 15 for digit in range(MARK_PX - 1)), 15 * lit]
    return marked


def read_mark(picture: npt.NDArray[Any]) -> tuple[int, bool]:
    """The number and whether it was lit."""
    row = [int(value) for value in (picture[0, :MARK_PX] if picture.ndim == 2 else picture[0, :MARK_PX, 0])]
    return sum(digit << 4 * place for place, digit in enumerate(row[:-1])), row[-1] > 0


def is_right(frame: Frame) -> bool:
    """Whether every picture of the frame is the one it is said to be."""
    streams = [(frame.depth, None, 0), (frame.color, None, 0), (frame.ir_lit, True, 0)]
    streams.append((frame.ir_unlit, False, -1 if frame.ir_lit is not None else 0))
    for picture, lit, behind in streams:
        if picture is not None:
            number, was_lit = read_mark(picture)
            if number != frame.number + behind or (lit is not None and was_lit != lit):
                return False
    return True


def truth_order(case: Case, framesets: int) -> Iterator[int]:
    """Numbers as the camera sends them."""
    late: list[int] = []
    for number in range(1, framesets + 1):
        if not case.lost(number):
            yield number
        yield from late
        late = [number] if case.again(number) and not case.lost(number) else []


def run_live(
    case: Case, frames: list[Frame], framesets: int, record_to: Path | None = None, fps: int = FPS["alternate"]
) -> Outcome:
    """Push at `fps` and check what comes out."""
    bus = SoftwareBus()
    camera = SoftwareD435(bus, frames[0].calibration, serial="PAIRING", fps=FPS["alternate"], alternating=True)
    grid, color = frames[0].calibration.depth, frames[0].calibration.color
    size, color_size = (grid.width_px, grid.height_px), (color.width_px, color.height_px)
    with open_camera(
        emitter="alternate", size_px=size, color_size_px=color_size, record_to=record_to, context=bus.context
    ) as source:
        counts: Counter[str] = Counter()
        done = threading.Event()
        reader = threading.Thread(target=_read, args=(source, counts, done))
        reader.start()
        start_s = time.monotonic()
        for turn, number in enumerate(truth_order(case, framesets)):
            time.sleep(max(0.0, start_s + turn / fps - time.monotonic()))
            push(camera, frames[number // 2 % len(frames)], number, case)
        time.sleep(1.0)
        done.set()
        reader.join()
        return _outcome(counts, source.stats())


def run_recording(path: Path) -> Outcome:
    """Play it and check what comes out."""
    with open_recording(path) as source:
        counts: Counter[str] = Counter()
        _read(source, counts, threading.Event())
        return _outcome(counts, source.stats())


def push(camera: SoftwareD435, frame: Frame, number: int, case: Case) -> None:
    lit = number % 2 == 0
    ir = frame.ir_lit if lit else frame.ir_unlit
    assert ir is not None
    assert frame.depth is not None
    assert frame.color is not None
    camera.push(
        number,
        number * 1_000_000_000 // FPS["alternate"],
        depth=mark(frame.depth, number, lit),
        ir=mark(ir, number, lit),
        color=mark(frame.color, number, lit),
        lit=case.flag(number, lit),
        exposure=EXPOSURE,
    )


def _read(source: CameraSource, counts: Counter[str], done: threading.Event) -> None:
    with suppress(EndOfStream):
        while not done.is_set():
            with suppress(CameraTimeout):
                frame = source.read(0.2 if source.live else 10.0)
                counts[_kind(frame)] += 1
                counts["wrong"] += not is_right(frame)


def _kind(frame: Frame) -> str:
    if frame.ir_lit is None:
        return "neither" if frame.ir_unlit is None else "unlit_only"
    return "lit_only" if frame.ir_unlit is None else "both"


def _outcome(counts: Counter[str], stats: SourceStats) -> Outcome:
    kinds = {name: counts[name] for name in ("both", "lit_only", "unlit_only", "neither")}
    return Outcome(frames=sum(kinds.values()), **kinds, wrong=counts["wrong"], stats=asdict(stats))


def main(
    framesets: Annotated[int, typer.Option(min=20, help="Per case; two make one frame.")] = 4200,
    out: Annotated[Path, typer.Option("-o", "--out")] = Path("benchmarks/results/emitter_pairing.json"),
) -> None:
    """Run every case live, recording it, then play the recording."""
    clips = {dots: clip(dots) for dots in (True, False)}
    results: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, case in track(CASES.items(), "cases", console=errors):
            path = Path(folder) / "case.db3"
            path.unlink(missing_ok=True)
            # of a recording only the first seconds: it takes half a MB a frameset
            live = run_live(case, clips[case.dots], framesets)
            run_live(case, clips[case.dots], min(framesets, 300), record_to=path)
            played = run_recording(path)
            results[name] = {"what": case.what, "live": asdict(live), "played": asdict(played)}
    document = {
        "command": "python -m edgefas.benchmarks.emitter_pairing " + " ".join(sys.argv[1:]),
        "seed": SEED,
        **environment(),
        "what": "60 framesets/s of 320x240 px, alternating projector, software camera through librealsense; every "
        "frame checked, live and from a recording of up to 300 framesets",
        "wrong_in_all": sum(result[way]["wrong"] for result in results.values() for way in ("live", "played")),
        "cases": results,
    }
    write_atomically(out, json.dumps(document, indent=1).encode() + b"\n")
    sys.stdout.write(json.dumps(document["cases"], indent=1) + "\n")


if __name__ == "__main__":
    run_script(main)
