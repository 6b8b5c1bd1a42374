"""CelebA-Spoof: colour pictures, ten kinds of attack in three kinds of light, boxes of the faces."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edgefas.data import celeba_spoof
from edgefas.data.lines import dev_subjects
from edgefas.data.sample import BONA_FIDE, Split
from edgefas.data.synth import products
from edgefas.data.synth.plan import (
    Clip,
    Conditions,
    Layout,
    Light,
    Tree,
    Wanted,
    episode_of,
    indices,
    people,
    site_of,
)
from edgefas.sensors.simulator import Presentation
from edgefas.sensors.simulator.identity import identity

_KINDS: dict[str, tuple[Presentation, dict[str, Any]]] = {
    BONA_FIDE: (Presentation.BONA_FIDE, {}),
    "print_photo": (Presentation.FLAT_PRINT, {"ink": "dye"}),
    "print_poster": (Presentation.BENT_PRINT, {}),
    "print_a4": (Presentation.FLAT_PRINT, {"ink": "toner"}),
    "paper_cut_face": (Presentation.PAPER_MASK, {}),
    "paper_cut_upper_body": (Presentation.CUT_PRINT, {"cut": "eyes"}),
    "paper_cut_region": (Presentation.CUT_PRINT, {"cut": "eyes_nose_mouth"}),
    "replay_pc": (Presentation.PHONE_REPLAY, {"device": "tablet", "distance_mm": 350.0}),
    "replay_pad": (Presentation.PHONE_REPLAY, {"device": "tablet"}),
    "replay_phone": (Presentation.PHONE_REPLAY, {"device": "phone"}),
    "mask_3d": (Presentation.RIGID_MASK, {}),
}
"""The simulator has one size of sheet and no screen larger than a tablet: posters hang bent, a PC is a near tablet."""
_LIGHTS: tuple[tuple[Light, int, int], ...] = (("indoor", 1, 1), ("sun", 2, 2), ("back", 3, 1))
"""And their numbers in a label: illumination, environment."""
_GLASSES, _MALE, _SMILING = 15, 20, 31
"""Places of CelebA's attributes."""
_AROUND_MM = 90.0


def plan(wanted: Wanted) -> Tree:
    """Two thirds of the people train; dev by the reader's rule. Every species in turn in each light."""
    trained = max(5, wanted.subjects * 2 // 3)
    names = [str(1001 + number) for number in range(wanted.subjects)]
    dev = dev_subjects(names[:trained])
    clips = []
    labels: dict[str, dict[str, list[int]]] = {"train": {}, "test": {}}
    for number, (name, person) in enumerate(zip(names, people(wanted.seed), strict=False)):
        group = "train" if number < trained else "test"
        split = Split.TEST if group == "test" else Split.DEV if name in dev else Split.TRAIN
        for clip, light in _of_person(wanted, number, name, person, split, group):
            clips.append(clip)
            labels[group] |= dict.fromkeys(_paths(clip), _numbers(clip, light))
    lists = {f"metas/intra_test/{group}_label.json": json.dumps(its) for group, its in labels.items()}
    return Tree(tuple(clips), lists)


def _of_person(
    wanted: Wanted, number: int, name: str, person: int, split: Split, group: str
) -> Iterator[tuple[Clip, tuple[int, int]]]:
    """As many living clips as lights, and each species in one light, another for the next person."""
    shown = [BONA_FIDE] * len(_LIGHTS) + [pai for pai in _KINDS if pai != BONA_FIDE]
    for place, pai in enumerate(shown):
        light, illumination, environment = _LIGHTS[(number + place) % len(_LIGHTS)]
        kind, fixed = _KINDS[pai]
        part = "live" if pai == BONA_FIDE else "spoof"
        path = f"Data/{group}/{name}/{part}/{place * wanted.frames:06}"
        met = Conditions(near_mm=350, far_mm=800, lights=(light,))
        episode = episode_of(wanted.seed, path, kind, person, site_of(split, number + place), met, **fixed)
        yield Clip(path, split, pai, name, episode, indices(wanted.frames)), (illumination, environment)


def _paths(clip: Clip) -> list[str]:
    folder, _, first = clip.name.rpartition("/")
    return [f"{folder}/{int(first) + place:06}.jpg" for place in range(len(clip.frames))]


def _numbers(clip: Clip, light: tuple[int, int]) -> list[int]:
    species = celeba_spoof.SPECIES.index(clip.pai)
    attributes = [0] * 40
    if clip.pai == BONA_FIDE:
        attributes[_GLASSES] = int(clip.episode.eyewear != "none")
        attributes[_MALE] = int(identity(clip.episode.subject).male)
        attributes[_SMILING] = int(clip.episode.expression == "smile")
        return [*attributes, 0, 0, 0, 0]
    return [*attributes, species, *light, 1]


def write(root: Path, clip: Clip) -> None:
    """Pictures of head and surroundings, and the box of the face on a grid of 224 x 224."""
    window = products.window_of(clip.episode, clip.frames, _AROUND_MM)
    for index, path in zip(clip.frames, _paths(clip), strict=True):
        picture = products.color_picture(clip.episode, index, window)
        products.put(root / path, products.encoded(picture, ".jpg"))
        left, top, right, bottom = products.color_box(clip.episode, index, window)
        height, width = picture.shape[:2]
        x, y = 224 / width, 224 / height
        box = (round(value) for value in (left * x, top * y, (right - left) * x, (bottom - top) * y))
        products.put((root / path).with_name(f"{Path(path).stem}_BB.txt"), f"{' '.join(map(str, box))} 1.0\n".encode())


LAYOUT = Layout("CelebA-Spoof", plan, write, Wanted(12, 0, 2), (6, 999), celeba_spoof.NAME)
