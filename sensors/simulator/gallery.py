"""A page of every species in the modalities that a network gets.

    python -m edgefas.sensors.simulator.gallery species.jpg [--subject 50] [--seed 3]

A row each: colour, infrared lit and unlit on the depth grid, and relief.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import cv2
import numpy as np
import typer

from edgefas.cli.guard import run_script
from edgefas.errors import UsageError
from edgefas.files import write_atomically
from edgefas.sensors.alignment import PixelBox, align
from edgefas.sensors.frame import U8
from edgefas.sensors.simulator.episode import Presentation, sample_episode
from edgefas.sensors.simulator.render import render
from edgefas.sensors.simulator.truth import true_face

PANE_PX = 160
COLUMNS = 2
ROWS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("bona_fide", {}),
    ("bona_fide", {"eyewear": "clear", "expression": "smile"}),
    ("bona_fide", {"eyewear": "tinted", "expression": "open_mouth"}),
    ("bona_fide", {"illuminance_lx": 30_000.0, "light": "daylight"}),
    ("bona_fide", {"illuminance_lx": 0.1}),
    ("bona_fide", {"camera": "irpass"}),
    ("flat_print", {}),
    ("bent_print", {}),
    ("cut_print", {"cut": "eyes"}),
    ("cut_print", {"cut": "eyes_nose"}),
    ("cut_print", {"cut": "eyes_nose_mouth"}),
    ("phone_replay", {"device": "phone"}),
    ("phone_replay", {"device": "tablet"}),
    ("paper_mask", {}),
    ("rigid_mask", {}),
    ("flexible_mask", {}),
    ("mannequin", {}),
    ("funny_eyes", {}),
)


def gallery(subject: int, seed: int) -> U8:
    """The page, (h, w, 3) uint8, blue first as OpenCV writes it."""
    rows = [_row(species, subject, seed, options) for species, options in ROWS]
    rows += [np.zeros_like(rows[0])] * (-len(rows) % COLUMNS)
    tall = len(rows) // COLUMNS
    return np.hstack([np.vstack(rows[column * tall : (column + 1) * tall]) for column in range(COLUMNS)])


def _row(species: str, subject: int, seed: int, options: dict[str, Any]) -> U8:
    episode = sample_episode(Presentation(species), subject, seed % 2, seed, **{"distance_mm": 520.0, **options})
    frame, face = render(episode, 0), true_face(episode, 0)
    assert face is not None
    (x, y), half = face.centre_px, round(face.width_px * 0.85)
    grid = frame.calibration.depth
    x0, y0 = max(0, round(x) - half), max(0, round(y) - half)
    box = PixelBox(x0, y0, min(2 * half, grid.width_px - x0), min(2 * half, grid.height_px - y0))
    seen = align(frame, box)
    assert seen.rgb is not None
    assert seen.ir_lit is not None
    assert seen.ir_unlit is not None
    relief = np.clip((face.median_z_mm + 60 - seen.depth_mm) / 120, 0, 1) * (seen.depth_mm > 0)
    panes = [cv2.cvtColor(seen.rgb, cv2.COLOR_RGB2BGR)]
    panes += [cv2.cvtColor(picture, cv2.COLOR_GRAY2BGR) for picture in (seen.ir_lit, seen.ir_unlit)]
    panes += [cv2.applyColorMap((relief * 255).astype(np.uint8), cv2.COLORMAP_VIRIDIS)]
    row = np.hstack([cv2.resize(pane, (PANE_PX, PANE_PX), interpolation=cv2.INTER_LINEAR) for pane in panes])
    title = " ".join([species, *(str(value) for value in options.values())])
    cv2.putText(row, title, (4, 13), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (0, 0, 0), 3, cv2.LINE_AA)
    cv2.putText(row, title, (4, 13), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (255, 255, 255), 1, cv2.LINE_AA)
    return np.asarray(row, np.uint8)


def main(
    out: Annotated[Path, typer.Argument(help="A .jpg or .png.")],
    subject: Annotated[int, typer.Option(min=0)] = 50,
    seed: Annotated[int, typer.Option(min=0)] = 3,
) -> None:
    """Render the page."""
    if out.suffix not in (".jpg", ".png"):
        raise UsageError(f"{out}: a picture ends in .jpg or .png")
    _, picture = cv2.imencode(out.suffix, gallery(subject, seed))
    write_atomically(out, picture.tobytes())


if __name__ == "__main__":
    run_script(main)
