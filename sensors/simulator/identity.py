"""Who a subject is: everything that stays when light, place and camera change."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np

from edgefas.sensors.simulator.episode import SkinGroup, subject_skin_group

HairStyle = Literal["short", "crop", "long", "receding", "bald"]

_R619: dict[SkinGroup, tuple[float, float]] = {
    # reflectance at 619 nm; groups are those of NIST J Res 122:26 (100 forearms), labels assigned by this project
    "I": (0.57, 0.62),
    "II": (0.53, 0.57),
    "III": (0.48, 0.53),
    "IV": (0.40, 0.48),
    "V": (0.26, 0.35),
    "VI": (0.15, 0.22),
}
_HAIR_RGBN = {  # ranges of the middle [M], 850 nm last
    "black": (0.040, 0.034, 0.030, 0.13),
    "brown": (0.115, 0.075, 0.050, 0.24),
    "blond": (0.34, 0.25, 0.15, 0.52),
    "grey": (0.42, 0.41, 0.39, 0.58),
}
_IRIS_RGB = {"brown": (0.085, 0.045, 0.025), "hazel": (0.11, 0.085, 0.045), "blue": (0.10, 0.135, 0.17)}


@dataclass(frozen=True)
class Identity:
    """Lengths in mm, albedos as (619, 550, 460, 850 nm)."""

    male: bool
    group: SkinGroup
    skin: tuple[float, float, float, float]
    face_breadth: float
    face_length: float
    """Sellion to menton."""
    forehead: float
    """Sellion to hairline."""
    eye_distance: float
    nose_protrusion: float
    nose_breadth: float
    lip_length: float
    lip_fullness: float
    eye_opening: float
    eye_tilt: float
    brow_weight: float
    brow_height: float
    jaw: float
    """Relative breadth of the jaw."""
    hair: tuple[float, float, float, float]
    hair_style: HairStyle
    iris: tuple[float, float, float]
    stubble: float
    freckles: float
    warmth: float
    """Of lips and cheeks."""
    texture_seed: int
    mouth_open: float = 0.0
    """How far the lips are apart."""


@lru_cache(maxsize=16)
def identity(subject: int) -> Identity:
    """Draw a subject: lengths from ANSUR II and ANSUR 1988 means and SDs, reflectance from NIST's regressions."""
    rng = np.random.default_rng([21, subject])
    group, male = subject_skin_group(subject), bool(rng.random() < 0.5)

    def length(men: tuple[float, float], women: tuple[float, float]) -> float:
        mean, sd = men if male else women
        return float(mean + sd * np.clip(rng.standard_normal(), -1.8, 1.8))

    dark = group in ("IV", "V", "VI")
    shares = [0.88, 0.04, 0.0, 0.08] if dark else [0.25, 0.40, 0.23, 0.12]
    hair = np.array(_HAIR_RGBN[str(rng.choice(list(_HAIR_RGBN), p=shares))]) * rng.uniform(0.85, 1.15)
    iris = "brown" if dark else str(rng.choice(["brown", "hazel", "blue"], p=[0.4, 0.25, 0.35]))
    styles: list[HairStyle] = ["short", "crop", "receding", "bald"] if male else ["long", "short", "crop"]
    style = styles[rng.choice(len(styles), p=[0.5, 0.25, 0.17, 0.08] if male else [0.68, 0.22, 0.10])]
    face_length = length((122.6, 6.7), (113.1, 6.1))
    fuller = 0.35 if group in ("V", "VI") else 0.0
    return Identity(
        male=male,
        group=group,
        skin=_skin(rng, group),
        face_breadth=length((142.6, 6.2), (133.8, 5.6)),
        face_length=face_length,
        forehead=length((190.8, 5.0), (176.5, 5.0)) - face_length,
        eye_distance=length((64.0, 3.4), (61.7, 3.6)),
        nose_protrusion=length((21.1, 2.7), (19.0, 2.5)),
        nose_breadth=length((36.5, 3.5), (34.5, 3.2)) + 2.5 * (group in ("V", "VI")),
        lip_length=length((56.1, 4.3), (55.0, 4.2)),
        lip_fullness=float(rng.uniform(0.8, 1.15)) + fuller,
        eye_opening=float(rng.uniform(0.85, 1.15)) * (1.0 if male else 1.08),
        eye_tilt=float(rng.uniform(-0.04, 0.10)),
        brow_weight=float(rng.uniform(0.9, 1.3) if male else rng.uniform(0.6, 0.9)),
        brow_height=float(rng.uniform(-1.5, 1.5)),
        jaw=float(rng.uniform(0.97, 1.08) if male else rng.uniform(0.90, 0.99)),
        hair=tuple(hair.tolist()),
        hair_style=style,
        iris=_IRIS_RGB[iris],
        stubble=float(rng.choice([0.0, rng.uniform(0.05, 0.2), rng.uniform(0.3, 0.7)], p=[0.4, 0.4, 0.2]) * male),
        freckles=float(rng.uniform(0, 1) ** 3 * (group in ("I", "II", "III"))),
        warmth=float(rng.uniform(0.7, 1.2)),
        texture_seed=int(rng.integers(2**31)),
    )


def _skin(rng: np.random.Generator, group: SkinGroup) -> tuple[float, float, float, float]:
    """Facial skin at (619, 550, 460, 850 nm): NIST's ln-ln regressions with their residuals."""
    red = float(rng.uniform(*_R619[group]))
    noise = np.clip(rng.standard_normal(3), -1.5, 1.5)
    green = np.exp(1.172 * np.log(red) - 0.383 + 0.06 * noise[0])
    blue = np.exp(1.599 * np.log(red) - 0.225 + 0.06 * noise[1])
    # VI is below the measured range: Beer's law with melanin ~ nm^-3.33 ends at .40-.49, as the regression does
    nir = np.exp(0.221 * np.log(red) - 0.359 + 0.04 * noise[2])
    # faces are redder than forearms [M]; of the 2.8 % surface reflection (n = 1.4) half is rendered as highlights
    face = np.array([red * 0.96, green * 0.90, blue * 0.90, nir])
    r, g, b, n = np.maximum((face - 0.014) / 0.986, 0.012).tolist()
    return (r, g, b, n)
