"""bench-v1: a frozen set of faces cut out, read as own captures: what networks are compared on.

A square of 190 mm around the face in colour, lit infrared and 16-bit depth, in rooms and of people that no two splits
share, some species in the test alone. `bench-v1.yaml` fixes everything; another set would be bench-v2.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import yaml
from pydantic import Field

from edgefas.contracts import Contract, Label
from edgefas.data import folder
from edgefas.data.sample import BONA_FIDE, Split
from edgefas.data.synth import products
from edgefas.data.synth.plan import Clip, Conditions, Layout, Light, Tree, Wanted, episode_of, indices, lines, rng_of
from edgefas.errors import EdgefasError
from edgefas.sensors.simulator import SIMULATOR_VERSION, Presentation
from edgefas.sensors.simulator.episode import Episode, Rig

NAME = "bench-v1"
COLUMNS = ("split", "label", "pai", "subject", "session", "device", "rgb", "ir", "depth")
_FILES = ("rgb.jpg", "ir.jpg", "depth.png")
_RIGS: tuple[Rig, Rig] = ("d435", "d455")


class BenchSplit(Contract):
    """One split of the set."""

    first_subject: int = Field(ge=0, description="as the simulator counts people")
    subjects: int = Field(ge=1)
    sites: tuple[int, ...] = Field(min_length=1)
    samples: dict[str, int] = Field(description="presentation -> pictures", min_length=2)


class Bench(Contract):
    """The whole set."""

    simulator_version: int
    seed: int = Field(ge=0)
    frames: int = Field(ge=1, description="pictures of a clip")
    frame_step: int = Field(ge=1, description="30ths of a second between them")
    crop_mm: float = Field(gt=0)
    size_px: int = Field(ge=16)
    lights: dict[Light, float] = Field(description="share of the clips in each light")
    nearest_mm: float = Field(gt=0)
    farthest_mm: dict[str, float] = Field(description="of each band of distances, in order")
    splits: dict[Split, BenchSplit]


@cache
def bench() -> Bench:
    """What `bench-v1.yaml` says."""
    text = resources.files("edgefas.data.synth").joinpath(f"{NAME}.yaml").read_text()
    return Bench.from_dict(yaml.safe_load(text))


def plan(wanted: Wanted, scale: float = 1.0) -> Tree:
    """All of it, or a share of each split and species; `wanted` decides nothing.

    Raises:
        EdgefasError: the simulator is not the one that the set is frozen with.
    """
    what = bench()
    if what.simulator_version != SIMULATOR_VERSION:
        raise EdgefasError(
            f"{NAME} is made by simulator version {what.simulator_version}, this is {SIMULATOR_VERSION}: its pictures "
            f"would differ; install the edgefas that {NAME} was frozen with"
        )
    clips = tuple(clip for split, its in what.splits.items() for clip in _clips(what, split, its, scale))
    rows = [row for clip in clips for row in _rows(what, clip)]
    return Tree(clips, {"captures.csv": lines([",".join(COLUMNS), *rows])})


def _clips(what: Bench, split: Split, its: BenchSplit, scale: float) -> Iterator[Clip]:
    """People take turns; the rest is drawn by the clip's name, whatever is presented."""
    for species, samples in its.samples.items():
        for number in range(max(1, round(samples * scale / what.frames))):
            name = f"{split.value}/{species}/{number:04}"
            rng = rng_of(what.seed, f"conditions/{name}")
            light = list(what.lights)[rng.choice(len(what.lights), p=list(what.lights.values()))]
            site = its.sites[rng.integers(len(its.sites))]
            met = Conditions(what.nearest_mm, max(what.farthest_mm.values()), (light,))
            person = its.first_subject + number % its.subjects
            episode = episode_of(what.seed, name, Presentation(species), person, site, met, rig=_RIGS[site // 2 % 2])
            frames = indices(what.frames, what.frame_step)
            yield Clip(name, split, species, f"s{person}", episode, frames)


def _rows(what: Bench, clip: Clip) -> Iterator[str]:
    label = Label.BONA_FIDE if clip.pai == BONA_FIDE else Label.ATTACK
    device = f"{clip.episode.rig}-site{clip.episode.site}"
    for index in clip.frames:
        paths = (f"{clip.name}/{index:03}-{name}" for name in _FILES)
        told = (clip.split.value, label.value, clip.pai, clip.subject, session_of(what, clip.episode), device)
        yield ",".join((*told, *paths))


def session_of(what: Bench, episode: Episode) -> str:
    """Light, distance and glasses, as "sun near glasses"; printed eyes are worn as glasses, too."""
    light = "dark" if episode.illuminance_lx < 5 else "sun" if episode.illuminance_lx > 5000 else "indoor"
    band = next(name for name, mm in what.farthest_mm.items() if episode.distance_mm <= mm)
    worn = episode.eyewear != "none" or episode.presentation is Presentation.FUNNY_EYES
    return f"{light} {band}{' glasses' if worn else ''}"


def write(root: Path, clip: Clip) -> None:
    """Colour and infrared as JPEG, depth in millimetres as PNG."""
    what = bench()
    window = products.window_of(clip.episode, clip.frames)
    for index in clip.frames:
        face = products.square(clip.episode, index, window, what.crop_mm, what.size_px)
        pictures: tuple[npt.NDArray[Any], ...] = (face.rgb, face.ir, np.rint(face.depth_mm).astype(np.uint16))
        for name, picture in zip(_FILES, pictures, strict=True):
            data = products.encoded(picture, Path(name).suffix)
            products.put(root / clip.name / f"{index:03}-{name}", data)


_WHAT = bench()
LAYOUT = Layout(
    "bench-v1, the frozen set of edgefas",
    plan,
    write,
    Wanted(sum(split.subjects for split in _WHAT.splits.values()), _WHAT.seed, _WHAT.frames),
    (0, 0),
    folder.NAME,
    frozen=True,
)
