"""A hand that holds a sheet or a screen before the camera."""

from __future__ import annotations

import numpy as np

from edgefas.sensors.simulator.episode import Episode
from edgefas.sensors.simulator.identity import identity
from edgefas.sensors.simulator.rig import F32
from edgefas.sensors.simulator.surface import MISS_MM, Surface


def in_hand(
    sheet: F32,
    albedo: F32,
    step: float,
    gloss: float,
    roughness: float,
    emission: F32 | None,
    holes: F32 | None,
    episode: Episode,
    rng: np.random.Generator,
) -> Surface:
    """A flat thing held at its lower edge: a thumb in front, the fist under it, a sleeve down to the picture's edge."""
    h, w = sheet.shape
    pad, below = int(90 / step), int((0.62 * episode.distance_mm) / step)
    full_h, full_w = h + below, w + 2 * pad
    holder = identity(episode.subject + 200_003)
    x = (np.arange(full_w) - full_w / 2) * step
    y = (np.arange(full_h) - h) * step  # below the sheet's lower edge
    x, y = np.meshgrid(x.astype(np.float32), y.astype(np.float32))
    side = float(rng.choice([-1.0, 1.0]))
    hold = side * float(rng.uniform(0.25, 0.6)) * w * step / 2
    # a thumb lies slantwise over the edge, from the hand inwards
    root, tip = np.array([hold + side * 30, 26.0]), np.array([hold + side * 2, -15.0])
    t = np.clip(((x - root[0]) * (tip - root)[0] + (y - root[1]) * (tip - root)[1]) / ((tip - root) ** 2).sum(), 0, 1)
    off = np.hypot(x - root[0] - t * (tip - root)[0], y - root[1] - t * (tip - root)[1])
    thick = 10.5 - 2.0 * t
    thumb = 12.0 * np.sqrt(np.maximum(1 - (off / thick) ** 2, 0))
    nail = (np.hypot(x - tip[0] - side * 2, y - tip[1] - 1) < 5.0) & (off < 6)
    palm = np.hypot((x - hold - side * 12) / 40, (y - 30) / 36)
    fist = -26 + 26 * np.sqrt(np.maximum(1 - palm**2, 0)) + 1.5 * np.cos((y + 0.4 * x) / 3.0)
    arm_r = 34 + 0.10 * np.maximum(y - 60, 0)
    arm = -30 + 30 * np.sqrt(np.maximum(1 - ((x - hold - side * (12 + 0.25 * (y - 60))) / arm_r) ** 2, 0))
    is_arm = (np.abs(x - hold - side * (12 + 0.25 * (y - 60))) < arm_r) & (y > 62)
    is_fist = (palm < 1) & (y > 0)
    is_thumb = thumb > 0.1
    height = np.full((full_h, full_w), MISS_MM, np.float32)
    height[is_arm], height[is_fist] = arm[is_arm], fist[is_fist]
    color = np.zeros((full_h, full_w, 4), np.float32)
    color[:] = np.array(holder.skin, np.float32)
    color[is_arm] = rng.uniform(0.05, 0.5, 4)
    inner = (slice(0, h), slice(pad, pad + w))
    height[inner], color[inner] = sheet, albedo
    finish = np.zeros((full_h, full_w, 3), np.float32)
    finish[..., 0], finish[..., 2] = 1.0, 1.0
    finish[inner] = np.array([gloss, 0, 0], np.float32)
    finish[is_arm & (y > 62)] = 0
    light = np.zeros_like(color)
    hole = np.zeros((full_h, full_w), np.float32)
    if emission is not None and holes is not None:
        light[inner], hole[inner] = emission, holes
    height[is_thumb] = np.maximum(thumb[is_thumb], height[is_thumb])
    color[is_thumb] = np.array(holder.skin, np.float32)
    color[nail] = np.array(holder.skin, np.float32) ** 0.8
    finish[is_thumb], light[is_thumb], hole[is_thumb] = 1.0, 0.0, 0.0
    return Surface(
        -full_w / 2 * step,
        -h / 2 * step,
        step,
        height,
        -60.0,
        color,
        finish,
        roughness,
        10.0,
        None if emission is None else light,
        hole,
    )
