"""Own captures: recordings as folders of whole streams, and what each of them says of itself."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path

import edgefas
from edgefas.contracts import Label
from edgefas.data import folder
from edgefas.data.sample import BONA_FIDE
from edgefas.data.synth import products
from edgefas.data.synth.plan import (
    Clip,
    Conditions,
    Layout,
    Tree,
    Wanted,
    episode_of,
    indices,
    lines,
    people,
    site_of,
    splits_of,
)
from edgefas.sensors.folder import write_folder
from edgefas.sensors.notes import RecordingNotes, Shown
from edgefas.sensors.simulator import Presentation, render

_MET = Conditions(near_mm=300, far_mm=1200, lights=("indoor", "indoor", "indoor", "sun", "dark"))
_LIVING = 3
"""Bona fide recordings of a person; of each species there is one."""
_AROUND_MM = 140.0
_NO_DAY = datetime(2000, 1, 1, tzinfo=timezone.utc)


def plan(wanted: Wanted) -> Tree:
    """Every person alive and by each species, all before the camera of one room."""
    clips = tuple(_clips(wanted))
    rows = [f"{clip.name},{clip.split.value}" for clip in clips]
    return Tree(clips, {"captures.csv": lines(["folder,split", *rows])})


def _clips(wanted: Wanted) -> Iterator[Clip]:
    splits = splits_of(wanted.subjects, (3, 1, 2))
    attacks: list[Presentation] = [
        kind for kind in Presentation if kind not in (Presentation.BONA_FIDE, Presentation.EMPTY)
    ]
    for number, (person, split) in enumerate(zip(people(wanted.seed), splits, strict=False)):
        subject, site = f"p{number:03}", site_of(split, number // 2)
        for place, kind in enumerate([Presentation.BONA_FIDE] * _LIVING + attacks):
            name = f"site{site:02}/{subject}-{kind.value}-{place:02}"
            episode = episode_of(wanted.seed, name, kind, person, site, _MET)
            yield Clip(name, split, kind.value, subject, episode, indices(wanted.frames))


def write(root: Path, clip: Clip) -> None:
    """The folder of a recording, its camera's calibration and its notes."""
    label = Label.BONA_FIDE if clip.pai == BONA_FIDE else Label.ATTACK
    species = None if clip.pai == BONA_FIDE else clip.pai
    notes = RecordingNotes(
        shown=Shown(label=label, species=species, subject=clip.subject, note="made by the simulated camera"),
        source="simulated",
        edgefas=edgefas.__version__,
        started=_NO_DAY,
        compressed=False,
    )
    window = products.window_of(clip.episode, clip.frames, _AROUND_MM)
    target = root / clip.name
    target.parent.mkdir(parents=True, exist_ok=True)
    write_folder(target, (render(clip.episode, index, window) for index in clip.frames), notes=notes)


LAYOUT = Layout("own captures", plan, write, Wanted(6, 0, 4), (3, 999), folder.NAME)
