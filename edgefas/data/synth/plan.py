"""Who is presented how, where and in which split: everything of a tree but its pictures.

What a clip draws comes from the seed and the clip's name, so a tree does not depend on the order it is made in.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from edgefas.data.sample import Split
from edgefas.sensors.simulator.episode import Episode, Expression, Presentation, sample_episode

Light = Literal["indoor", "sun", "back", "dark"]
SITES = {Split.TRAIN: range(33), Split.DEV: range(33, 66), Split.TEST: range(66, 99)}
"""Rooms with their cameras, of which no two splits share one; even ones are offices, odd ones homes."""
GLASSES_SHARE = 0.2
"""Of the bona fide clips."""
_EXPRESSIONS: tuple[Expression, ...] = ("smile", "open_mouth", "squint", "raised_brows")
_FIRST_PERSON, _PEOPLE = 2000, 1000
"""Behind those of the shipped recipes; each of 97 seeds has a thousand people of its own."""
_NEAREST_PHONE_MM = 330.0
"""Nearer the rig of the wider baseline has no depth."""


@dataclass(frozen=True)
class Wanted:
    """What a user asks for."""

    subjects: int
    seed: int
    frames: int
    """Of a clip."""


@dataclass(frozen=True)
class Conditions:
    """What the cameras of a data set met; drawn for each clip, whatever is presented in it."""

    near_mm: float = 400.0
    far_mm: float = 800.0
    lights: tuple[Light, ...] = ("indoor",)
    yaw_deg: float = 25.0


@dataclass(frozen=True)
class Clip:
    """Pictures of one presentation, made in one go."""

    name: str
    """Unique in the tree: where its files lie, in the words of its layout. Also names what it draws."""
    split: Split
    pai: str
    """In the words of its layout."""
    subject: str
    """Who is shown, in the words of its layout."""
    episode: Episode
    frames: tuple[int, ...]
    also: tuple[str, ...] = ()
    """Where the layout has the same pictures once more."""


@dataclass(frozen=True)
class Tree:
    """A whole data set: its clips, and its lists as (path: text)."""

    clips: tuple[Clip, ...]
    lists: Mapping[str, str]


@dataclass(frozen=True)
class Layout:
    """How a data set is laid out, and what is made of it."""

    title: str
    plan: Callable[[Wanted], Tree]
    """Pure."""
    write: Callable[[Path, Clip], None]
    """Makes the files of a clip below a root; runs in any process."""
    default: Wanted
    subjects: tuple[int, int]
    """Fewest and most that are allowed."""
    dataset: str
    """By which name `edgefas data check` reads it."""
    frozen: bool = False
    """Its subjects, seed and frames cannot be chosen."""


def people(seed: int) -> range:
    """Numbers of the people that a seed shows, as the simulator counts them."""
    first = _FIRST_PERSON + _PEOPLE * (seed % 97)
    return range(first, first + _PEOPLE)


def splits_of(count: int, weights: tuple[int, int, int]) -> list[Split]:
    """The split of each of `count` people: train, dev and test in about these shares, and somebody in each."""
    left, shares = count - 3, np.array(weights) / sum(weights)
    sizes = 1 + np.floor(shares * left).astype(int)
    for place in np.argsort(-(shares * left - np.floor(shares * left)), kind="stable")[: count - sizes.sum()]:
        sizes[place] += 1
    return [split for split, size in zip(Split, sizes.tolist(), strict=True) for _ in range(size)]


def site_of(split: Split, place: int) -> int:
    """The `place`th room of a split; they begin anew when all are used."""
    return SITES[split][place % len(SITES[split])]


def indices(count: int, step: int = 5) -> tuple[int, ...]:
    """Frames of a clip, at 30 / step a second."""
    return tuple(range(0, count * step, step))


def rng_of(seed: int, name: str) -> np.random.Generator:
    """Of a clip, or of anything that has a name."""
    return np.random.default_rng(list(hashlib.sha256(f"{seed}/{name}".encode()).digest()))


def episode_of(
    seed: int, name: str, kind: Presentation, subject: int, site: int, met: Conditions, **fixed: Any
) -> Episode:
    """What the clip `name` shows; `fixed` are fields of `Episode` that are not drawn.

    A phone is held at half the distance: its face is about as large in the picture as a living one. Who wears something
    makes the same face in all of a person's clips, so that his head is modelled once.
    """
    rng = rng_of(seed, name)
    mood = rng if kind is Presentation.BONA_FIDE else rng_of(seed, f"behind {subject}")
    glasses = "tinted" if rng.random() < 0.25 else "clear"
    drawn: dict[str, Any] = {
        "distance_mm": float(rng.uniform(met.near_mm, met.far_mm)),
        "yaw_deg": float(np.clip(rng.normal(0, met.yaw_deg / 2.5), -met.yaw_deg, met.yaw_deg)),
        "pitch_deg": float(np.clip(rng.normal(0, 4), -10, 10)),
        "device": "phone" if rng.random() < 0.5 else "tablet",
        "expression": "neutral" if mood.random() < 0.5 else str(mood.choice(_EXPRESSIONS)),
        "eyewear": glasses if rng.random() < GLASSES_SHARE and kind is Presentation.BONA_FIDE else "none",
        **_light(met.lights[rng.integers(len(met.lights))], rng),
        **fixed,
    }
    if kind is Presentation.PHONE_REPLAY and drawn["device"] == "phone":
        drawn["distance_mm"] = max(0.5 * drawn["distance_mm"], _NEAREST_PHONE_MM)
    return sample_episode(kind, subject, site, int(rng.integers(10**9)), **drawn)


def _light(light: Light, rng: np.random.Generator) -> dict[str, Any]:
    """Of the room's own, or in its place."""
    if light == "indoor":
        return {}
    if light == "dark":
        return {"illuminance_lx": float(rng.uniform(0.05, 3))}
    azimuth = (75, 90) if light == "back" else (0, 60)
    return {
        "light": "daylight",
        "illuminance_lx": float(np.exp(rng.uniform(*np.log([800, 4000] if light == "back" else [8000, 50_000])))),
        "light_azimuth_deg": float(rng.choice([-1, 1]) * rng.uniform(*azimuth)),
        "light_elevation_deg": float(rng.uniform(20, 55)),
        "fill_share": float(rng.uniform(0.3, 0.5)),
    }


def lines(rows: Sequence[str] | Iterator[str]) -> str:
    """The text of a list."""
    return "".join(f"{row}\n" for row in rows)
