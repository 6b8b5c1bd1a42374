"""A person as two heightfields: a head that turns, and neck, shoulders and clothes that only sway."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np

from edgefas.sensors.simulator import head as shape
from edgefas.sensors.simulator.hair import add_hair
from edgefas.sensors.simulator.identity import Identity
from edgefas.sensors.simulator.skin import add_catchlight, face_albedo, noise
from edgefas.sensors.simulator.surface import Surface

_CLOTHES = [  # red, green, blue, 850 nm: most dyes are clear in near infrared [M]
    (0.75, 0.75, 0.73, 0.85),
    (0.04, 0.04, 0.045, 0.50),
    (0.05, 0.07, 0.16, 0.60),
    (0.30, 0.30, 0.31, 0.65),
    (0.33, 0.06, 0.06, 0.70),
    (0.10, 0.22, 0.14, 0.62),
    (0.25, 0.33, 0.48, 0.70),
]


def head_surface(who: Identity, catchlight: tuple[float, float]) -> Surface:
    """The head about the middle of its face; the grid is `head.STEP_MM`.

    Args:
        who: the subject.
        catchlight: where the key light is mirrored in the corneas, mm right of and below the pupils.
    """
    head = _head(who)
    albedo = head.albedo.copy()
    add_catchlight(who, shape.plan(who), albedo, catchlight)
    return replace(head, albedo=albedo)


@lru_cache(maxsize=4)  # the episodes of a subject are rendered one after another
def _head(who: Identity) -> Surface:
    p = shape.plan(who)
    albedo, finish = face_albedo(who, p)
    height = add_hair(who, p, shape.face_height(who, p), albedo, finish)
    x, y, level = shape.FACE_MIDDLE_MM
    dark = np.clip(1.2 - albedo[..., 3] / 0.3, 0.3, 1)
    return Surface(
        shape.X0_MM - x,
        shape.Y0_MM - y,
        shape.STEP_MM,
        height - level,
        shape.FLOOR_MM - level,
        albedo,
        finish,
        depth_holes=np.asarray(finish[..., 1] * dark, np.float32),
    )


def torso_surface(who: Identity, seed: int) -> Surface:
    """Neck and shoulders, with clothes that change from episode to episode; same origin as the head."""
    rng = np.random.default_rng([71, seed, who.texture_seed])
    step = 2.5
    x, y = np.meshgrid(np.arange(-300, 300, step) + step / 2, np.arange(0, 700, step) + step / 2)
    x, y = x.astype(np.float32), y.astype(np.float32)
    # necks 398/330 mm round and deeper than wide; shoulders 510/450 mm
    radius, shoulder = (53.0, 225.0) if who.male else (44.0, 198.0)
    chin = who.face_length - 45.0
    ax = np.abs(x)
    neck_r = radius + 22 * np.clip((y - chin - 40) / 45, 0, 1) ** 2
    neck = -108 + neck_r * np.sqrt(np.maximum(1 - (ax / neck_r) ** 2, 0)) - np.maximum(ax - neck_r, 0) * 5
    neck -= 1.1 * np.maximum(chin + 15 - y, 0)  # up behind the jaw
    neck += 4 * np.exp(-0.5 * ((x / 9) ** 2 + ((y - chin - 35) / 10) ** 2)) * who.male  # larynx
    neck -= 3 * np.exp(-0.5 * (((ax - 20) / 7) ** 2 + ((y - chin - 55) / 18) ** 2))
    outline = [0, radius, 100, shoulder * 0.85, shoulder, shoulder + 30, shoulder + 45]
    line = chin + np.interp(ax, outline, [75, 62, 78, 112, 135, 260, 900])
    depth = y - line
    body = -125 + 92 * (1 - np.exp(-np.maximum(depth, 0) / 45)) - 30 * (ax / shoulder) ** 2 + np.minimum(depth, 0) * 4
    folds = 3.0 * noise(rng, x.shape, 16) + 1.5 * noise(rng, x.shape, 6)
    collar = chin + 66 + rng.uniform(4, 22) * np.maximum(1 - (ax / (radius + 12)) ** 2, 0)
    cloth = np.clip((y - collar) / 5 + 0.5, 0, 1)
    body = body + cloth * (folds * 0.7 + 2.0) + 3.0 * np.exp(-0.5 * ((y - collar - 5) / 3.5) ** 2) * (ax < radius + 30)
    height = np.maximum(neck, body).astype(np.float32)
    color = np.array(_CLOTHES[rng.integers(len(_CLOTHES))], np.float32) * rng.uniform(0.85, 1.1)
    fabric = color * (1 + 0.05 * noise(rng, x.shape, 1.5))[..., None]
    skin = np.array(who.skin, np.float32) * np.array([0.93, 0.90, 0.90, 0.98], np.float32)
    albedo = (skin + cloth[..., None] * (fabric - skin)).astype(np.float32)
    if who.hair_style == "long":  # the back hair shows beside the neck
        back = np.clip((82 - ax) / 6, 0, 1) * np.clip((chin + 95 - y) / 20, 0, 1) * (ax > neck_r - 4)
        strand = 0.7 + 0.12 * noise(rng, x.shape, 9.0)
        albedo += back[..., None] * (np.array(who.hair, np.float32) * strand[..., None] - albedo)
        height = np.maximum(height, np.where(back > 0.3, -112, -999)).astype(np.float32)
    finish = np.zeros((*x.shape, 3), np.float32)
    finish[..., 0] = 0.6 * (1 - cloth)
    finish[..., 2] = 1 - cloth
    black = (albedo[..., 3] < 0.3).astype(np.float32)
    return Surface(-300.0, 0.0, step, height, -215.0, albedo, finish, march_mm=25.0, depth_holes=black * 0.4)
