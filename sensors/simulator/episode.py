"""Episode: what is presented to which camera, by whom and in which light; everything a clip is rendered from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from difflib import get_close_matches
from enum import Enum
from typing import Any, Literal, get_args

import numpy as np

from edgefas.errors import UsageError

MAX_SEED = 10**9

SkinGroup = Literal["I", "II", "III", "IV", "V", "VI"]
SKIN_GROUPS: tuple[SkinGroup, ...] = get_args(SkinGroup)

CameraVariant = Literal["allpass", "irpass"]
"""`allpass`: no filter before the imagers (D435). `irpass`: visible light is blocked (D435f, SR300)."""
Light = Literal["led", "tungsten", "daylight"]
Ink = Literal["dye", "toner"]
Device = Literal["phone", "tablet"]
Cut = Literal["eyes", "eyes_nose", "eyes_nose_mouth"]
Bend = Literal["drawn", "flat", "bent"]
Eyewear = Literal["none", "clear", "tinted"]
Expression = Literal["neutral", "smile", "open_mouth", "squint", "raised_brows"]
Rig = Literal["d435", "d455"]


class Presentation(str, Enum):
    """What is held or worn before the camera (ISO/IEC 30107-3: a bona fide presentation or a PAI species)."""

    BONA_FIDE = "bona_fide"
    FLAT_PRINT = "flat_print"
    BENT_PRINT = "bent_print"
    CUT_PRINT = "cut_print"
    PHONE_REPLAY = "phone_replay"
    PAPER_MASK = "paper_mask"
    RIGID_MASK = "rigid_mask"
    FLEXIBLE_MASK = "flexible_mask"
    MANNEQUIN = "mannequin"
    FUNNY_EYES = "funny_eyes"
    EMPTY = "empty"


@dataclass(frozen=True)
class Episode:
    """One clip. Frozen and hashable: (episode, index) is all that decides a frame."""

    seed: int
    presentation: Presentation
    subject: int
    """Who is shown: fixes sex, head, skin group, hair, eyes and texture."""
    site: int
    """Even: an office under LED; odd: a home with tungsten light or daylight. Another camera unit each."""
    camera: CameraVariant
    distance_mm: float
    """From the left imager to the face, print, screen or mask."""
    illuminance_lx: float
    light: Light
    light_azimuth_deg: float
    """Of the key light; 0 is behind the camera, + is to the right of the picture."""
    light_elevation_deg: float
    fill_share: float
    """Share of the light that comes from everywhere."""
    yaw_deg: float
    pitch_deg: float
    ink: Ink
    """Black of a flat print: dye vanishes at 850 nm, toner stays."""
    device: Device
    """Of a replay."""
    cut: Cut = "eyes"
    """What is cut out of a print before the face."""
    bend: Bend = "drawn"
    """How that print is held; drawn: half of them are bent."""
    eyewear: Eyewear = "none"
    """Of a bona fide subject."""
    expression: Expression = "neutral"
    rig: Rig = "d435"


def subject_skin_group(subject: int) -> SkinGroup:
    """Subjects cycle through the six groups, so every block of six holds each of them."""
    return SKIN_GROUPS[subject % len(SKIN_GROUPS)]


def sample_episode(presentation: Presentation, subject: int, site: int, seed: int, **overrides: Any) -> Episode:
    """Draw what is not given from the site's distributions; equal arguments give equal episodes.

    Args:
        presentation: what is shown.
        subject: >= 0, the identity shown.
        site: 0 to 99; even ones are offices, odd ones homes.
        seed: 0 to `MAX_SEED`, draws distance, light, pose and everything smaller.
        overrides: fields of `Episode` to fix, e.g. `distance_mm=600`.

    Raises:
        UsageError: an unknown field or a value out of range.
    """
    for name in overrides:
        if name not in _OPTIONS or name in _IDENTITY:
            raise UsageError(
                f"{name}: unknown field of an episode; {_suggest(name, sorted(set(_OPTIONS) - _IDENTITY))}"
            )
    for name, value in {"subject": subject, "site": site, "seed": seed, **overrides}.items():
        _OPTIONS[name](name, str(value))
    rng = np.random.default_rng([11, seed, subject, site])
    office = site % 2 == 0
    light: Light = "led" if office else ("tungsten" if rng.random() < 0.5 else "daylight")
    drawn = Episode(
        seed=seed,
        presentation=presentation,
        subject=subject,
        site=site,
        camera="allpass",
        distance_mm=float(rng.uniform(380, 900) if office else rng.uniform(330, 750)),
        illuminance_lx=float(rng.uniform(180, 500) if office else rng.uniform(90, 600)),
        light=light,
        light_azimuth_deg=float(rng.uniform(-35, 35) if office else rng.choice([-1.0, 1.0]) * rng.uniform(15, 60)),
        light_elevation_deg=float(rng.uniform(30, 60) if office else rng.uniform(5, 40)),
        fill_share=float(rng.uniform(0.40, 0.65) if office else rng.uniform(0.30, 0.55)),
        yaw_deg=float(np.clip(rng.normal(0, 4), -8, 8)),
        pitch_deg=float(np.clip(rng.normal(0, 3), -6, 6)),
        ink="dye" if rng.random() < 0.5 else "toner",
        device="phone" if rng.random() < 0.5 else "tablet",
    )
    return replace(drawn, **overrides)


def parse_options(text: str) -> Episode:
    """What follows `simulated:` in a source, e.g. "species=flat_print,subject=3,site=1,seed=7,distance_mm=600".

    Missing options are drawn by `sample_episode`; "" is a bona fide presentation of subject 0 at site 0, seed 0.

    Raises:
        UsageError: an unknown key, a key twice, or a value that is not allowed; names what is.
    """
    given: dict[str, Any] = {}
    for part in filter(None, (item.strip() for item in text.split(","))):
        key, equals, value = (piece.strip() for piece in part.partition("="))
        if key not in _OPTIONS:
            raise UsageError(f"simulated: unknown option {key!r}; {_suggest(key, sorted(_OPTIONS))}")
        if not equals or not value:
            raise UsageError(f"simulated: option {part!r} has no value; write {key}=VALUE")
        if key in given:
            raise UsageError(f"simulated: option {key!r} is given twice")
        given[key] = _OPTIONS[key](key, value)
    return sample_episode(
        Presentation(given.pop("species", Presentation.BONA_FIDE)),
        given.pop("subject", 0),
        given.pop("site", 0),
        given.pop("seed", 0),
        **given,
    )


def _suggest(word: str, allowed: list[str]) -> str:
    close = get_close_matches(word, allowed, 1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f"{hint}allowed: {', '.join(allowed)}"


def _choice(*allowed: str) -> Callable[[str, str], str]:
    def parse(key: str, value: str) -> str:
        if value not in allowed:
            raise UsageError(f"simulated: {key}={value}: {_suggest(value, list(allowed))}")
        return value

    return parse


def _integer(low: int, high: int) -> Callable[[str, str], int]:
    def parse(key: str, value: str) -> int:
        if not (value.isascii() and value.isdigit() and low <= int(value) <= high):
            raise UsageError(f"simulated: {key}={value}: a whole number from {low} to {high} is allowed")
        return int(value)

    return parse


def _number(low: float, high: float) -> Callable[[str, str], float]:
    def parse(key: str, value: str) -> float:
        try:
            number = float(value)
        except ValueError:
            number = float("nan")
        if not low <= number <= high:  # also refuses NaN
            raise UsageError(f"simulated: {key}={value}: a number from {low:g} to {high:g} is allowed")
        return number

    return parse


_IDENTITY = {"species", "subject", "site", "seed"}
_OPTIONS: dict[str, Callable[[str, str], Any]] = {
    "species": _choice(*(p.value for p in Presentation)),
    "subject": _integer(0, 10**6),
    "site": _integer(0, 99),
    "seed": _integer(0, MAX_SEED),
    "camera": _choice(*get_args(CameraVariant)),
    "distance_mm": _number(250, 1500),
    "illuminance_lx": _number(0, 100_000),
    "light": _choice(*get_args(Light)),
    "light_azimuth_deg": _number(-90, 90),
    "light_elevation_deg": _number(-30, 90),
    "fill_share": _number(0, 1),
    "yaw_deg": _number(-60, 60),
    "pitch_deg": _number(-45, 45),
    "ink": _choice(*get_args(Ink)),
    "device": _choice(*get_args(Device)),
    "cut": _choice(*get_args(Cut)),
    "bend": _choice(*get_args(Bend)),
    "eyewear": _choice(*get_args(Eyewear)),
    "expression": _choice(*get_args(Expression)),
    "rig": _choice(*get_args(Rig)),
}
