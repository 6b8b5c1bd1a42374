"""Worn or carried heads: a rigid mask, a flexible one, a mannequin."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from edgefas.sensors.simulator.episode import Episode
from edgefas.sensors.simulator.head import FACE_MIDDLE_MM
from edgefas.sensors.simulator.identity import Identity
from edgefas.sensors.simulator.person import head_surface
from edgefas.sensors.simulator.portrait import catchlight
from edgefas.sensors.simulator.skin import noise
from edgefas.sensors.simulator.surface import Surface

FLEXIBLE_SPREAD = (0.8, 2.2)
"""Widths of scattering in silicone relative to mean skin: r50 1.5-4 mm against 1.5 [C on guessed inputs]."""


def rigid_mask(who: Identity, wearer: Identity, episode: Episode, rng: np.random.Generator) -> Surface:
    """A painted resin face of the subject before another head: rim, painted eyes, gloss, no light inside.

    Painted resin .50-.80 at 850 nm, flat; r50 of its scattering .3 mm against 1.5 mm of skin [M].
    """
    behind, face = (
        head_surface(wearer, catchlight(episode)),
        head_surface(replace(who, stubble=0.0, freckles=0.0), (0.0, 0.0)),
    )
    x, y = face.grid_mm()
    half = np.interp(y, [-105, -95, -60, 0, 40, 65, 78], [10, 42, 61, 67, 58, 42, 12])
    on = np.abs(x) < half
    on &= (y > -103) & (y < 77)
    smooth = cv2.GaussianBlur(face.height_mm, (0, 0), 1.5 / face.step_mm) + float(rng.uniform(9, 14))
    height = np.where(on, np.maximum(smooth, behind.height_mm + 2), behind.height_mm)
    paint_tone = face.albedo * np.array([1.06, 1.0, 0.95, 1.0], np.float32) ** 0.8
    middle = paint_tone[(np.abs(y) < 40) & (np.abs(x) < 45)].mean(0)
    flat = cv2.GaussianBlur(0.35 * middle + 0.65 * paint_tone, (0, 0), 0.7)
    paint_nir = float(rng.uniform(0.50, 0.80))
    dark = np.clip(flat[..., 1] / max(float(middle[1]), 1e-3), 0.2, 1.2) ** 0.35
    flat[..., 3] = paint_nir * dark
    albedo = np.where(on[..., None], flat, behind.albedo)
    rim = np.clip(np.abs(np.abs(x) - half) / 1.5, 0.45, 1)
    albedo = albedo * np.where(on, rim, 1)[..., None]
    finish = np.where(on[..., None], np.array([float(rng.uniform(1.5, 3.0)), 0, 0.12], np.float32), behind.finish)
    assert behind.depth_holes is not None
    holes = np.where(on, 0, behind.depth_holes)
    return replace(
        behind,
        height_mm=height.astype(np.float32),
        albedo=albedo.astype(np.float32),
        finish=finish.astype(np.float32),
        depth_holes=holes.astype(np.float32),
        roughness=float(rng.uniform(0.16, 0.28)),
    )


def flexible_mask(who: Identity, wearer: Identity, episode: Episode, rng: np.random.Generator) -> Surface:
    """A silicone head of the subject pulled over another one, whose eyes and mouth show through slits.

    Pigmented silicone .45-.75 at 850 nm, flat, without blood; it scatters as far as skin or farther [M]
    (`FLEXIBLE_SPREAD`). Half of them wear a wig.
    """
    bald = replace(who, stubble=0.0, freckles=0.0, hair_style=who.hair_style if rng.random() < 0.5 else "bald")
    skin, behind = head_surface(bald, (0.0, 0.0)), head_surface(wearer, catchlight(episode))
    x, y = skin.grid_mm()
    y = y + FACE_MIDDLE_MM[1]  # below the sellion
    eyes = ((np.abs(x) - who.eye_distance / 2) / 16.5) ** 2 + ((y - 6) / 7.5) ** 2 < 1
    mouth = (x / (who.lip_length / 2 - 4)) ** 2 + ((y - 74.5) / 3.0) ** 2 < 1
    on = ~(eyes | mouth)
    thick = float(rng.uniform(3, 6))
    height = cv2.GaussianBlur(skin.height_mm, (0, 0), 1.3 / skin.step_mm) + thick
    height += float(rng.uniform(0.3, 0.9)) * noise(
        rng, (height.shape[0], height.shape[1]), 22 / skin.step_mm
    )  # creases
    hair = skin.finish[..., 1] > 0.5
    tone = cv2.GaussianBlur(skin.albedo, (0, 0), 1.2 / skin.step_mm)
    middle = tone[(np.abs(y - 30) < 40) & (np.abs(x) < 45)].mean(0)
    tone = 0.4 * middle + 0.6 * tone
    pigment = np.clip(tone[..., 1] / max(float(middle[1]), 1e-3), 0.2, 1.2) ** 0.25
    tone[..., 3] = float(rng.uniform(0.45, 0.75)) * pigment
    tone = np.where(hair[..., None], skin.albedo, tone)
    rubber = np.array([float(rng.uniform(0.8, 1.6)), 0, 1], np.float32)
    finish = np.where(hair[..., None], skin.finish, rubber)
    assert skin.depth_holes is not None
    assert behind.depth_holes is not None
    rim = cv2.GaussianBlur(on.astype(np.float32), (0, 0), 1.0 / skin.step_mm)[..., None]
    return replace(
        behind,
        height_mm=np.where(on, np.maximum(height, behind.height_mm + 1), behind.height_mm).astype(np.float32),
        albedo=(np.where(on[..., None], tone, behind.albedo) * np.clip(rim + 0.35, 0, 1)).astype(np.float32),
        finish=np.where(on[..., None], finish, behind.finish).astype(np.float32),
        depth_holes=np.where(on, skin.depth_holes, behind.depth_holes).astype(np.float32),
        roughness=float(rng.uniform(0.2, 0.4)),
    )


def mannequin(who: Identity, rng: np.random.Generator) -> Surface:
    """A painted plastic head of the subject's shape, with painted eyes and moulded hair or a wig.

    Painted skin .55-.80 at 850 nm, flat; nothing of the light enters [M].
    """
    bust = head_surface(replace(who, stubble=0.0, freckles=0.0), (0.0, 0.0))
    x, y = bust.grid_mm()
    hair = bust.finish[..., 1] > 0.5
    wig = rng.random() < 0.5
    height = cv2.GaussianBlur(bust.height_mm, (0, 0), 1.8 / bust.step_mm)
    tone = cv2.GaussianBlur(bust.albedo, (0, 0), 0.9 / bust.step_mm)
    middle = tone[(np.abs(y) < 40) & (np.abs(x) < 45)].mean(0)
    tone = 0.55 * middle + 0.45 * tone
    paint = np.clip(tone[..., 1] / max(float(middle[1]), 1e-3), 0.2, 1.2) ** 0.5
    tone[..., 3] = float(rng.uniform(0.55, 0.80)) * paint
    moulded = np.array([*(0.7 * np.array(who.hair[:3])), float(rng.uniform(0.2, 0.6))], np.float32)
    albedo = np.where(hair[..., None], bust.albedo if wig else moulded, tone)
    plastic = np.array([float(rng.uniform(1.0, 2.5)), 0, 0], np.float32)
    finish = np.where((hair & wig)[..., None], bust.finish, plastic)
    assert bust.depth_holes is not None
    return replace(
        bust,
        height_mm=np.where(hair & wig, bust.height_mm, height).astype(np.float32),
        albedo=albedo.astype(np.float32),
        finish=finish.astype(np.float32),
        depth_holes=np.where(hair & wig, bust.depth_holes, 0).astype(np.float32),
        roughness=float(rng.uniform(0.15, 0.35)),
    )
