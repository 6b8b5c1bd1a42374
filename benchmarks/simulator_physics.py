"""What rendered pictures show of materials, relief, dots and depth, beside the figures they were modelled on.

    python -m edgefas.benchmarks.simulator_physics [-o benchmarks/results/simulator_physics.json]

Faces are frontal, 600 mm away under 300 lx of LED unless a row says otherwise, over 90x110 mm. The figures are those of
docs/simulator.md's sources; what is marked [M] there is an estimate, and a row outside them is told, not hidden.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import typer
from rich.progress import track

from edgefas.cli.console import errors
from edgefas.cli.guard import run_script
from edgefas.environment import environment
from edgefas.files import write_atomically
from edgefas.sensors.frame import Frame
from edgefas.sensors.simulator import (
    SIMULATOR_VERSION,
    Episode,
    Presentation,
    face_window,
    render,
    sample_episode,
)
from edgefas.sensors.simulator.depth import STATIC_SHARE
from edgefas.sensors.simulator.episode import SKIN_GROUPS
from edgefas.sensors.simulator.identity import Identity, identity
from edgefas.sensors.simulator.light import IR_PER_LUX, IRPASS_SHARE
from edgefas.sensors.simulator.presentations import build
from edgefas.sensors.simulator.render import look
from edgefas.sensors.simulator.rig import F64, Window, calibration, infrared_view, read_out
from edgefas.sensors.simulator.scene import Layers
from edgefas.sensors.simulator.truth import face_points

FIRST_SUBJECT = 1200
"""Of no training, validation or demonstration split."""
_STILL: dict[str, Any] = {
    "distance_mm": 600.0, "illuminance_lx": 300.0, "light": "led", "light_azimuth_deg": 10.0,
    "light_elevation_deg": 45.0, "fill_share": 0.5, "yaw_deg": 0.0, "pitch_deg": 0.0,
}  # fmt: skip
Part = tuple[float, float, float, float]
"""An ellipse: width, height, and how far right of and below the face's middle it lies, in mm."""
_FACE, _INNER, _SHEET = (90.0, 110.0, 0.0, 5.0), (60.0, 80.0, 0.0, 5.0), (150.0, 200.0, 0.0, 0.0)
_FOREHEAD, _CHEEKS, _WITH_HAIR = (50.0, 20.0, 0.0, -85.0), (90.0, 30.0, 0.0, 15.0), (150.0, 190.0, 0.0, -15.0)
_CONTRASTS = {"brow": (0.5, 0.8), "lower lip": (0.1, 0.3), "iris": (0.3, 0.6)}
_AROUND_MM = 60.0

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Row:
    """One figure: what it should be, and what it is over some subjects."""

    check: str
    unit: str
    cited: tuple[float, float]
    median: float
    lowest: float
    highest: float
    within: bool
    """The median lies within what is cited."""


def row(check: str, unit: str, cited: tuple[float, float], values: list[float]) -> Row:
    """Of the values of several subjects."""
    median, lowest, highest = (float(np.round(f(values), 3)) for f in (np.median, np.min, np.max))
    return Row(check, unit, cited, median, lowest, highest, cited[0] <= median <= cited[1])


def shown(species: str, number: int, **options: Any) -> Episode:
    """The `number`th subject, still, or as told."""
    return sample_episode(Presentation(species), FIRST_SUBJECT + number, 0, number, **{**_STILL, **options})


def _window(episode: Episode) -> Window:
    return face_window(episode, 2, _AROUND_MM)


def seen(episode: Episode, index: int = 0) -> Frame:
    """A frame of the face's surroundings."""
    return render(episode, index, _window(episode))


def ellipse(episode: Episode, part: Part, index: int = 0, scale: float = 1.0) -> Mask:
    """Of the depth grid, where a frame shows a part of the face; `scale`: of a face that is shown smaller."""
    window, (width, height, right, down) = _window(episode), part
    x0, y0, x1, y1 = window.depth_px
    place = (0.5 + right / 150, (down + 70) / 150)
    (middle,) = face_points(episode, index, window, [place])
    per_mm = calibration(episode.site).depth.fx_px / episode.distance_mm * scale
    rows, cols = np.mgrid[: y1 - y0, : x1 - x0]
    x, y = (cols - middle[0]) / per_mm, (rows - middle[1]) / per_mm
    return np.asarray((2 * x / width) ** 2 + (2 * y / height) ** 2 <= 1)


def reflectances(episode: Episode) -> tuple[F64, F64, F64]:
    """What the left imager looks at, (h, w) each: reflectance at 850 and at 550 nm, and the picture of a projector
    without dots, in any unit."""
    episode = replace(episode, camera="irpass")  # its ambient light is that of 850 nm alone
    view = infrared_view(read_out(calibration(episode.site), _window(episode)))
    scene = build(episode)
    infrared = look(scene, episode, 0, Layers.INFRARED, view)
    green = look(scene, episode, 0, Layers.COLOR, view).layers[..., 1].astype(np.float64)
    ambient, nir, facing, *_ = np.moveaxis(infrared.layers.astype(np.float64), -1, 0)
    lux = ambient / (IR_PER_LUX[episode.light] * IRPASS_SHARE[episode.light])
    return nir, green * nir / lux, nir * facing / infrared.z_mm**2


def ratio(episode: Episode, part: Part) -> float:
    """R850 / R550 of a part of the face."""
    nir, green, _ = reflectances(episode)
    inside = ellipse(episode, part)
    return float(nir[inside].mean() / green[inside].mean())


def texture(episode: Episode) -> float:
    """Deviation over mean of the face at 850 nm, lit by the projector without its dots."""
    part = reflectances(episode)[2][ellipse(episode, _FACE)]
    return float(part.std() / part.mean())


def off_plane(z_mm: F64, inside: Mask) -> F64:
    """What is left of a depth picture inside a mask when its best plane is taken out."""
    rows, cols = np.nonzero(inside)
    plane = np.stack([rows, cols, np.ones_like(rows)], 1).astype(np.float64)
    values = z_mm[inside]
    return np.asarray(values - plane @ np.linalg.lstsq(plane, values, rcond=None)[0])


def relief_mm(episode: Episode) -> float:
    """Root mean square distance from the best plane."""
    depth = seen(episode).depth
    assert depth is not None
    return float(off_plane(depth.astype(np.float64), ellipse(episode, _FACE) & (depth > 0)).std())


def peak(episode: Episode) -> float:
    """The brightest hundredth of what the projector adds, per exposure."""
    frame = seen(episode)
    assert frame.ir_lit is not None
    assert frame.ir_unlit is not None
    assert frame.ir_lit_exposure is not None
    added = (frame.ir_lit.astype(np.float64) - frame.ir_unlit)[ellipse(episode, _INNER)]
    return float(np.percentile(added, 99) / (frame.ir_lit_exposure.time_us * frame.ir_lit_exposure.gain))


def contrast(number: int, name: str) -> float:
    """How much darker a part of the face is than the cheeks at 850 nm, over the same in green."""
    episode = shown("bona_fide", number, distance_mm=350.0)
    dark, skin = ellipse(episode, _part(name, identity(episode.subject))), ellipse(episode, _CHEEKS)
    nir, green = (1 - light[dark].mean() / light[skin].mean() for light in reflectances(episode)[:2])
    return float(nir / green)


def _part(name: str, who: Identity) -> Part:
    if name == "lower lip":
        return 30.0, 5.0, 0.0, 74.4 * who.face_length / 122.6 - 45 + 4
    down, size = (-60.0, (22.0, 3.0)) if name == "brow" else (-39.0, (8.0, 6.0))
    return (*size, who.eye_distance / 2, down)


def noise_mm(number: int, distance_mm: float) -> float:
    """Of depth on a flat print: what changes from frame to frame, and the share that does not."""
    episode = shown("flat_print", number, distance_mm=distance_mm)
    one, two = (seen(episode, index).depth for index in (0, 1))
    assert one is not None
    assert two is not None
    change = off_plane(two.astype(np.float64) - one, ellipse(episode, _SHEET) & (one > 0) & (two > 0))
    return float(change.std() / np.sqrt(2 * (1 - STATIC_SHARE)))


def filled(episode: Episode, scale: float = 1.0) -> float:
    """Share of the face with a depth return."""
    depth = seen(episode).depth
    assert depth is not None
    return float((depth[ellipse(episode, (70.0, 90.0, 0.0, 5.0), scale=scale)] > 0).mean())


def rows(subjects: int) -> Iterator[Row]:
    """Every check, over so many subjects."""
    yield from _materials(subjects)
    yield from _surfaces(subjects)
    yield from _depth(subjects)


def _materials(subjects: int) -> Iterator[Row]:
    skins = {"I": (1.6, 2.0), "II": (1.6, 2.0), "III": (1.6, 2.0), "V": (2.9, 3.7), "VI": (4.0, 8.0)}
    for group, cited in skins.items():
        people = range(SKIN_GROUPS.index(group), subjects * len(SKIN_GROUPS), len(SKIN_GROUPS))
        yield row(f"skin {group}", "R850 / R550", cited, [ratio(shown("bona_fide", n), _FOREHEAD) for n in people])
    people = range(subjects)
    dark = [n for n in range(3 * subjects) if identity(FIRST_SUBJECT + n).hair[1] < 0.05][:subjects]
    for ink, cited in (("dye", (2.2, np.inf)), ("toner", (1.3, 3.0))):
        values = [ratio(shown("flat_print", n, ink=ink), _WITH_HAIR) for n in dark]
        yield row(f"{ink} print of black hair", "R850 / R550", cited, values)
    light = [n for n in range(2 * subjects) if SKIN_GROUPS[n % len(SKIN_GROUPS)] in ("I", "II", "III")]
    for name, cited in _CONTRASTS.items():
        yield row(f"contrast of the {name}", "850 nm / 550 nm", cited, [contrast(n, name) for n in light])
    for name, cited, species, options in (
        ("skin", (0.10, 0.20), "bona_fide", {}),
        ("dye print", (0.02, 0.06), "flat_print", {"ink": "dye"}),
        ("toner print", (0.05, 0.15), "flat_print", {"ink": "toner"}),
    ):
        values = [texture(shown(species, n, **options)) for n in people]
        yield row(f"texture at 850 nm, {name}", "deviation / mean", cited, values)


def _surfaces(subjects: int) -> Iterator[Row]:
    people = range(subjects)
    for species, cited in (
        ("bona_fide", (7.0, 14.0)),
        ("flat_print", (0.0, 3.5)),
        ("bent_print", (2.0, 4.0)),
        ("rigid_mask", (7.0, 14.0)),
        ("flexible_mask", (7.0, 14.0)),
        ("mannequin", (7.0, 14.0)),
    ):
        values = [relief_mm(shown(species, n)) for n in people]
        yield row(f"distance from a plane, {species}", "mm rms", cited, values)
    bright = {"illuminance_lx": 1500.0}  # short exposures, so that no dot is saturated
    paper = [peak(shown("flat_print", n, ink="dye", **bright)) for n in people]
    for name, cited, species in (("face", (0.35, 0.55), "bona_fide"), ("resin", (0.7, 0.9), "rigid_mask")):
        values = [peak(shown(species, n, **bright)) / paper[n] for n in people]
        yield row(f"peak of the dots, {name}", "of paper's", cited, values)


def _depth(subjects: int) -> Iterator[Row]:
    people = range(subjects)
    for distance_mm in (400.0, 600.0, 800.0, 1000.0, 1200.0):
        k = calibration(0)
        per_px = distance_mm**2 / (k.depth.fx_px * k.baseline_mm)
        cited = (round(0.05 * per_px, 2), round(0.10 * per_px, 2))
        values = [noise_mm(n, distance_mm) for n in people]
        yield row(f"noise of depth at {distance_mm:.0f} mm", "mm rms", cited, values)
    for distance_mm, low in ((400.0, 0.98), (600.0, 0.98), (800.0, 0.98), (1200.0, 0.95)):
        values = [filled(shown("bona_fide", n, distance_mm=distance_mm)) for n in people]
        yield row(f"skin with depth at {distance_mm:.0f} mm", "share", (low, 1.0), values)
    screens = [filled(shown("phone_replay", n, device="tablet"), 0.6) for n in people]
    yield row("screen with depth at 600 mm", "share", (0.4, 0.9), screens)


def table(found: list[Row]) -> str:
    """As Markdown."""
    lines = ["| what | unit | cited | measured | lowest to highest | |", "|---|---|---|---|---|---|"]
    for r in found:
        cited = f"over {r.cited[0]:g}" if np.isinf(r.cited[1]) else f"{r.cited[0]:g} to {r.cited[1]:g}"
        mark = "" if r.within else "outside"
        lines.append(f"| {r.check} | {r.unit} | {cited} | {r.median:g} | {r.lowest:g} to {r.highest:g} | {mark} |")
    return "\n".join(lines)


def main(
    subjects: Annotated[int, typer.Option(min=6, help="Of each check.")] = 12,
    out: Annotated[Path, typer.Option("-o", "--out", help="A .md with the table is written beside it.")] = Path(
        "benchmarks/results/simulator_physics.json"
    ),
) -> None:
    """Measure the simulator's pictures."""
    found = list(track(rows(subjects), "checks", console=errors))
    document = {
        "command": "python -m edgefas.benchmarks.simulator_physics " + " ".join(sys.argv[1:]),
        **environment(),
        "simulator_version": SIMULATOR_VERSION,
        "subjects": subjects,
        "checks": [{**asdict(r), "cited": [None if np.isinf(c) else c for c in r.cited]} for r in found],
    }
    write_atomically(out, json.dumps(document, indent=1).encode() + b"\n")
    head = f"Rendered frames of simulator version {SIMULATOR_VERSION}, {subjects} subjects a check."
    where = f"`{document['command'].strip()}` on {document['cpu']}, {document['date']}."
    text = f"{head}\n\n{where}\n\n{table(found)}\n"
    write_atomically(out.with_suffix(".md"), text.encode())
    sys.stdout.write(text)


if __name__ == "__main__":
    run_script(main)
