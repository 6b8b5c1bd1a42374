"""CASIA-SURF: faces cut out, prints with holes held flat and bent; the attacks of dev and test are not in training."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from edgefas.data import casia_surf
from edgefas.data.sample import BONA_FIDE, Split
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
    rng_of,
    site_of,
    splits_of,
)
from edgefas.sensors.simulator import Presentation
from edgefas.sensors.simulator.rig import Window

TOPS = {Split.TRAIN: "Training", Split.DEV: "Val", Split.TEST: "Testing"}
_ATTACKS = {Split.TRAIN: ("04", "05", "06"), Split.DEV: ("01", "02", "03"), Split.TEST: ("01", "02", "03")}
_MODALITIES = ("color", "depth", "ir")
_CUTS = {"e": "eyes", "en": "eyes_nose", "enm": "eyes_nose_mouth"}
_BENDS = {"s": "flat", "b": "bent"}
_MET = Conditions(near_mm=300, far_mm=700)
"""A close-range camera behind an infrared filter, indoors, heads turned by up to 25 degrees."""


def plan(wanted: Wanted) -> Tree:
    """Three to one to six people, as in the set; the challenge's dev and test are the paper's, without names."""
    clips = list(_clips(wanted))
    lists = {}
    for split in Split:
        mine = [clip for clip in clips if clip.split is split]
        shown = "val" if split is Split.DEV else split.value
        challenge = list(_challenge(mine))
        if split is Split.TRAIN:
            lists["train_list.txt"] = lines(challenge)
        else:
            challenge.sort()  # by number: the order of the clips would tell the label
            lists[f"{shown}_private_list.txt"] = lines(challenge)
            lists[f"{shown}_public_list.txt"] = lines(line[:-2] for line in challenge)
        for unit in ("image", "video"):
            lists[f"protocol/CASIA_SURF@p1_{unit}_{split.value}.txt"] = lines(paper(mine, unit))
    return Tree(tuple(clips), lists)


def _clips(wanted: Wanted) -> Iterator[Clip]:
    splits = splits_of(wanted.subjects, (3, 1, 6))
    anonymous = {split: iter(_anonymous(wanted, split, splits.count(split))) for split in (Split.DEV, Split.TEST)}
    for number, (person, split) in enumerate(zip(people(wanted.seed), splits, strict=False), 1):
        subject, site = f"CLKJ_AS{number:04}", site_of(split, number)
        for name, pai in casia_surf.CLIPS.items():
            fixed: dict[str, str] = {"camera": "irpass"}
            kind = Presentation.BONA_FIDE
            if pai != BONA_FIDE:
                place, cut, bend = name.split("_")
                if place not in _ATTACKS[split]:
                    continue
                kind = Presentation.CUT_PRINT
                fixed |= {"cut": _CUTS[cut], "bend": _BENDS[bend]}
            part = "real_part" if pai == BONA_FIDE else "fake_part"
            folder = f"{TOPS[split]}/{part}/{subject}/{name}.rssdk"
            episode = episode_of(wanted.seed, folder, kind, person, site, _MET, **fixed)
            also = () if split is Split.TRAIN else tuple(next(anonymous[split]) for _ in range(wanted.frames))
            yield Clip(folder, split, pai, subject, episode, indices(wanted.frames), also)


def _anonymous(wanted: Wanted, split: Split, count: int) -> list[str]:
    """Names without meaning for every picture of a split, in an order without meaning."""
    numbers = rng_of(wanted.seed, split.value).permutation(count * 4 * wanted.frames).tolist()
    return [f"{TOPS[split]}/{number // 1000:04}/{number:06}" for number in numbers]


def _challenge(clips: list[Clip]) -> Iterator[str]:
    for clip in clips:
        label = int(clip.pai == BONA_FIDE)
        if clip.split is Split.TRAIN:
            yield from (f"{' '.join(f'{clip.name}/{m}/{n}' for m in _MODALITIES)} {label}" for n in names(clip))
        else:
            yield from (f"{' '.join(f'{place}-{m}.jpg' for m in _MODALITIES)} {label}" for place in clip.also)


def paper(clips: list[Clip], unit: str) -> Iterator[str]:
    """Lines of the paper's lists, CASIA-SURF's and CeFA's: 1 is an attack."""
    for clip in clips:
        ends = [""] if unit == "video" else [f"/{name}" for name in names(clip)]
        yield from (f"{clip.name}/color{end} {int(clip.pai != BONA_FIDE)}" for end in ends)


def names(clip: Clip) -> list[str]:
    """Of its pictures, in each folder."""
    return [f"{index + 1:04}.jpg" for index in clip.frames]


def write(root: Path, clip: Clip) -> None:
    """`<clip>/{color,depth,ir}/NNNN.jpg`, and the challenge's names of the same pictures."""
    window = products.window_of(clip.episode, clip.frames, 25.0)
    for place, (index, name) in enumerate(zip(clip.frames, names(clip), strict=True)):
        for modality, data in pictures(clip, index, window, casia_surf.NAME).items():
            products.put(root / clip.name / modality / name, data)
            if clip.also:
                products.put(root / f"{clip.also[place]}-{modality}.jpg", data)


def pictures(clip: Clip, index: int, window: Window, dataset: str) -> dict[str, bytes]:
    """The JPEG files of one moment by folder, as CASIA-SURF and CeFA have them: the face alone on black."""
    face = products.masked(clip.episode, index, window)
    depth = products.grey_depth(face.depth_mm, dataset)
    return {
        name: products.encoded(picture, ".jpg")
        for name, picture in zip(_MODALITIES, (face.rgb, depth, face.ir), strict=True)
    }


LAYOUT = Layout("CASIA-SURF", plan, write, Wanted(20, 0, 6), (3, 999), casia_surf.NAME)
