"""CASIA-SURF CeFA: three groups of people indoors and out, prints, screens and masks; paper and challenge lists."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from edgefas.data import cefa
from edgefas.data.sample import BONA_FIDE, Split
from edgefas.data.synth import products, surf
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

_SKIN = {"1": (4, 5), "2": (2, 3), "3": (0, 1)}
"""By race: places of the skin groups V and VI, III and IV, I and II in the simulator's cycle of six."""
_FIRST_ID = {Split.TRAIN: 1, Split.DEV: 201, Split.TEST: 301}
_KINDS: dict[str, tuple[Presentation, dict[str, Any]]] = {
    "1": (Presentation.BONA_FIDE, {}),
    "2": (Presentation.BENT_PRINT, {}),
    "3": (Presentation.FLAT_PRINT, {}),
    "4": (Presentation.PHONE_REPLAY, {"device": "tablet"}),
}
"""By the PAI field; cloth hangs as a bent sheet."""
_MASKS = {"1": Presentation.RIGID_MASK, "2": Presentation.FLEXIBLE_MASK}
_MET = {
    "1": Conditions(near_mm=350, far_mm=700),
    "2": Conditions(near_mm=350, far_mm=700, lights=("sun",)),
}
"""By the session field."""
_MASK_SHARE = 6
_CHALLENGE = {"4@1": "4.1", "4@2": "4.3", "4@3": "4.5"}
_RACES = {"1": "1", "3": "2", "5": "3"}
"""By the last digit of a protocol: who is trained on."""


def plan(wanted: Wanted) -> Tree:
    """People of the three groups in equal numbers, and a mask of each kind to six of them, in every test."""
    clips = [*_of_people(wanted), *_of_masks(wanted)]
    lists = {}
    for protocol in cefa.PAPER_PROTOCOLS:
        for split in Split:
            mine = [clip for clip in clips if clip.split is split and _belongs(clip, protocol)]
            for unit in ("image", "video"):
                path = f"protocol/CASIA_CeFA@p{protocol}_{unit}_{split.value}.txt"
                lists[path] = lines(surf.paper(mine, unit))
    for challenge, protocol in _CHALLENGE.items():
        lists |= _challenge(challenge, [clip for clip in clips if _belongs(clip, protocol)])
    return Tree(tuple(clips), lists)


def _of_people(wanted: Wanted) -> Iterator[Clip]:
    splits = splits_of(wanted.subjects // 3, (2, 1, 2))
    place = _anonymous(wanted)
    shown = people(wanted.seed)
    shown = shown[-shown[0] % 6 :]  # from a multiple of six on
    for race, word in cefa.RACES.items():
        for number, split in enumerate(splits):
            subject = f"{word}-{_FIRST_ID[split] + number - splits.index(split):03}"
            person = shown[6 * (number // 2) + _SKIN[race][number % 2]]
            for session, met in _MET.items():
                for pai, (kind, fixed) in _KINDS.items():
                    clip = f"{race}_{subject[3:]}_1_{session}_{pai}"
                    folder = f"Ethnicity/{word}/{subject}/{clip}"
                    site = site_of(split, 3 * number + int(race) + 16 * int(session))
                    episode = episode_of(wanted.seed, folder, kind, person, site, met, camera="irpass", **fixed)
                    frames, also = indices(wanted.frames), place(split, clip)
                    yield Clip(folder, split, cefa.PAIS[pai], subject, episode, frames, (also,))


def _of_masks(wanted: Wanted) -> Iterator[Clip]:
    place = _anonymous(wanted, 500_000)
    for number in range(max(1, wanted.subjects // _MASK_SHARE)):
        person = people(wanted.seed)[-1 - number]
        for mask, kind in _MASKS.items():
            folder, pai = cefa.MASKS[mask]
            for light in ("1", "2", "3"):
                clip = f"{mask}_{number + 1:03}_1_0_2_1_{light}"
                name = f"Mask/{folder}/{number + 1:03}/{clip}"
                site = site_of(Split.TEST, number + int(light))
                episode = episode_of(wanted.seed, name, kind, person, site, _MET["1"], camera="irpass")
                subject, frames = f"{folder}-{number + 1:03}", indices(wanted.frames)
                yield Clip(name, Split.TEST, pai, subject, episode, frames, (place(Split.TEST, clip),))


def _anonymous(wanted: Wanted, first: int = 0) -> Callable[[Split, str], str]:
    """Where the challenge has a clip: training clips by their names, others by numbers without meaning."""
    count = wanted.subjects * len(_KINDS) * len(_MET)
    numbers = iter((first + rng_of(wanted.seed, f"challenge/{first}").permutation(count)).tolist())

    def place(split: Split, clip: str) -> str:
        if split is Split.TRAIN:
            return f"phase1/train/{clip}"
        return f"phase{1 if split is Split.DEV else 2}/{split.value}/{next(numbers):06}"

    return place


def _belongs(clip: Clip, protocol: str) -> bool:
    """Whether a protocol has a clip in the clip's split: 1 parts races, 2 attacks, 3 neither, 4 both."""
    family, _, part = protocol.partition(".")
    masked, alive, tested = clip.name.startswith("Mask/"), clip.pai == BONA_FIDE, clip.split is Split.TEST
    if masked:
        return family != "3"
    race = clip.name.rpartition("/")[2][0]
    if family in ("1", "4") and (race == _RACES[part]) == tested:
        return False
    if alive or family in ("1", "3"):
        return True
    if family == "2":
        return (clip.pai == "replay_screen") == ((part == "1") != tested)
    return clip.pai == ("print_cloth" if tested else "replay_screen")


def _challenge(name: str, clips: list[Clip]) -> dict[str, str]:
    """Training per picture, dev and test per clip; paths begin at the list."""
    lists = {}
    for split, phase in ((Split.TRAIN, "phase1"), (Split.DEV, "phase1"), (Split.TEST, "phase2")):
        mine = sorted((clip.also[0].removeprefix(f"{phase}/"), clip) for clip in clips if clip.split is split)
        labels = [(place, int(clip.pai == BONA_FIDE)) for place, clip in mine]
        if split is Split.TRAIN:
            rows = (f"{place}/profile/{n} {int(c.pai == BONA_FIDE)}" for place, c in mine for n in surf.names(c))
            lists[f"{phase}/{name}_train.txt"] = lines(rows)
        else:
            lists[f"{phase}/{name}_{split.value}_ref.txt"] = lines(f"{place} {label}" for place, label in labels)
            lists[f"{phase}/{name}_{split.value}_res.txt"] = lines(place for place, _ in labels)
    return lists


def write(root: Path, clip: Clip) -> None:
    """`<clip>/{color,depth,ir}/NNNN.jpg`, and the challenge's folder, where colour is called profile."""
    window = products.window_of(clip.episode, clip.frames, 25.0)
    for index, name in zip(clip.frames, surf.names(clip), strict=True):
        for modality, data in surf.pictures(clip, index, window, cefa.NAME).items():
            products.put(root / clip.name / modality / name, data)
            folder = "profile" if modality == "color" else modality
            products.put(root / clip.also[0] / folder / name, data)


LAYOUT = Layout("CASIA-SURF CeFA", plan, write, Wanted(15, 0, 4), (9, 600), cefa.NAME)
