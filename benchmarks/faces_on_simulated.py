"""How many frontal simulated faces the detector finds, by skin group: in colour, in infrared, and as it runs.

    python -m edgefas.benchmarks.faces_on_simulated [--episodes 120] [-o benchmarks/results/faces_on_simulated.json]

A face counts as found when a box overlaps the simulator's own by half; the detector never sees that box.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.progress import track

from edgefas.cli.console import errors
from edgefas.cli.guard import run_script
from edgefas.environment import environment
from edgefas.faces import detect_faces
from edgefas.files import write_atomically
from edgefas.sensors.frame import Frame
from edgefas.sensors.simulator import Presentation, render, sample_episode, subject_skin_group, true_face
from edgefas.sensors.simulator.episode import SKIN_GROUPS, SkinGroup

FIRST_SUBJECT = 1000
"""Of no training, validation or demonstration split."""
NEAR_MM, FAR_MM = 350.0, 1000.0
MIN_IOU = 0.5


@dataclass(frozen=True)
class Found:
    """One frame: where a face was found, with all streams, with colour alone, with infrared alone."""

    subject: int
    site: int
    distance_mm: float
    both: bool
    color: bool
    infrared: bool


@dataclass(frozen=True)
class GroupRow:
    """Shares of the faces of one skin group."""

    group: SkinGroup
    faces: int
    both: float
    color: float
    infrared: float


def look(number: int) -> Found:
    """Episode `number`: a subject, site and distance in turn, all frontal within 8 degrees."""
    groups = len(SKIN_GROUPS)
    distance_mm = float(np.random.default_rng([131, number]).uniform(NEAR_MM, FAR_MM))
    subject, site = FIRST_SUBJECT + number, number // groups % 2
    episode = sample_episode(Presentation.BONA_FIDE, subject, site, number, distance_mm=distance_mm)
    frame, truth = render(episode, 0), true_face(episode, 0)
    assert truth is not None

    def finds(seen: Frame) -> bool:
        return any(face.iou(truth) >= MIN_IOU for face in detect_faces(seen))

    infrared = finds(replace(frame, color=None))
    color = finds(replace(frame, ir_lit=None, ir_unlit=None))
    return Found(subject, site, distance_mm, finds(frame), color, infrared)


def by_group(rows: Iterable[Found]) -> list[GroupRow]:
    """One row per skin group."""
    rows = list(rows)
    table = []
    for group in SKIN_GROUPS:
        part = [row for row in rows if subject_skin_group(row.subject) == group]
        shares = {name: float(np.mean([getattr(row, name) for row in part])) for name in ("both", "color", "infrared")}
        table.append(GroupRow(group, len(part), **shares))
    return table


def main(
    episodes: Annotated[int, typer.Option(min=1, help="Per skin group.")] = 120,
    out: Annotated[Path, typer.Option("-o", "--out", help="A .md with the table is written beside it.")] = Path(
        "benchmarks/results/faces_on_simulated.json"
    ),
) -> None:
    """Measure the detector on simulated faces."""
    total = episodes * len(SKIN_GROUPS)
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        found = list(track(pool.map(look, range(total), chunksize=4), "faces", total, console=errors))
    table = by_group(found)
    document = {
        "command": "python -m edgefas.benchmarks.faces_on_simulated " + " ".join(sys.argv[1:]),
        **environment(),
        "what": f"simulated frontal faces, {NEAR_MM:.0f}-{FAR_MM:.0f} mm, both sites; found = IoU >= {MIN_IOU}",
        "groups": [asdict(row) for row in table],
        "missed": [asdict(row) for row in found if not row.both],
    }
    write_atomically(out, json.dumps(document, indent=1).encode() + b"\n")
    lines = [f"Faces found in {document['what']}.", "", f"`{document['command']}` on {document['cpu']}.", ""]
    lines += ["| skin group | faces | as it runs | colour alone | infrared alone |", "|---|---|---|---|---|"]
    lines += [f"| {r.group} | {r.faces} | {r.both:.1%} | {r.color:.1%} | {r.infrared:.1%} |" for r in table]
    write_atomically(out.with_suffix(".md"), ("\n".join(lines) + "\n").encode())
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    run_script(main)
