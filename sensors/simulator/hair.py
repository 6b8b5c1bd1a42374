"""Head hair: a shell over the skull with strands, a hairline, and the colour of natural melanin."""

from __future__ import annotations

import cv2
import numpy as np

from edgefas.sensors.simulator.head import Plan, skull
from edgefas.sensors.simulator.identity import Identity
from edgefas.sensors.simulator.rig import F32

# hairline on the mean face: distance from the midline, height; below it is skin
_LINES = {
    "short": ([0, 22, 42, 54, 60, 65, 68, 71, 74], [-66, -68, -64, -48, -26, -8, 12, 20, -6]),
    "crop": ([0, 22, 42, 54, 60, 65, 68, 71, 74], [-68, -69, -63, -47, -25, -8, 6, 10, -8]),
    "long": ([0, 14, 34, 52, 60, 64, 67, 70, 74], [-64, -68, -60, -42, -18, 20, 110, 190, 190]),
    "receding": ([0, 16, 36, 52, 60, 65, 68, 71, 74], [-84, -86, -98, -66, -34, -10, 6, 12, -6]),
    "bald": ([0, 22, 42, 56, 64, 67, 70, 74], [-140, -140, -140, -75, -34, -12, 0, -10]),
}
_THICKNESS_MM = {"short": 10.0, "crop": 3.5, "long": 11.0, "receding": 5.0, "bald": 1.5}


def add_hair(who: Identity, p: Plan, height: F32, albedo: F32, finish: F32) -> F32:
    """The height with hair on; `albedo` and `finish` are painted in place."""
    rng = np.random.default_rng([51, who.texture_seed])
    ax = np.abs(p.x_mm)
    strand = _strands(p, rng)
    line = np.interp(ax, *_LINES[who.hair_style]) + 3.0 * (strand - 0.5)
    soft = 5.0 if who.hair_style in ("crop", "bald") else 2.6
    cover = np.asarray(np.clip((line - p.y_mm) / soft + 0.3, 0, 1), np.float32)
    thick = _THICKNESS_MM[who.hair_style] * np.interp(p.y_mm, [-90, -40, 10], [1.35, 1.0, 0.75])
    shell = np.asarray(skull(p, 8.0) - 8.0 + thick, np.float32)
    if who.hair_style == "long":
        cover, shell = _curtains(p, cover, shell, strand)
    ear = (ax > 68) & (p.y_mm > -10) & (who.hair_style != "long")
    cover = np.where(ear, np.float32(0), cover)
    # hair starts thin: without this a hairline looks like the rim of a cap
    lift = np.clip((cv2.GaussianBlur(cover, (0, 0), 9.0) - 0.40) * 1.9, 0, 1)
    grown = np.maximum(height, height + (shell - height) * lift).astype(np.float32)
    grown = np.where(lift > 0, cv2.GaussianBlur(grown, (0, 0), 1.6), height)
    opaque = cover * (0.72 if who.hair_style in ("crop", "bald") else 0.96) * np.clip(0.75 + 0.6 * strand, 0, 1)
    sheen = (0.50 + 1.0 * strand)[..., None] * np.array(who.hair, np.float32)
    albedo += opaque[..., None] * (sheen - albedo)
    finish[..., 0] = finish[..., 0] * (1 - opaque) + 0.45 * opaque
    finish[..., 1] = np.maximum(finish[..., 1], opaque)
    finish[..., 2] *= 1 - opaque
    return np.asarray(grown + cover * (strand - 0.5) * min(float(thick.max()) * 0.35, 3.2), np.float32)


def _curtains(p: Plan, cover: F32, shell: F32, strand: F32) -> tuple[F32, F32]:
    """Hair falling beside the face to the shoulders, over the ears."""
    ax = np.abs(p.x_mm)
    inner = np.interp(p.y_mm, [-30, 0, 40, 90, 150], [58, 66, 69, 64, 56])
    outer = np.interp(p.y_mm, [-60, 0, 60, 130, 185], [70, 86, 92, 96, 88])
    u = (ax - (inner + outer) / 2) / ((outer - inner) / 2)
    fall = np.clip((1.0 - np.abs(u) + 0.12 * (strand - 0.5)) * 4, 0, 1) * (p.y_mm > -40)
    depth = -72.0 + 22 * np.sqrt(np.maximum(1 - u**2, 0)) - 0.05 * np.maximum(p.y_mm, 0) + 4 * (strand - 0.5)
    falls = fall > 0.05
    return np.where(falls, np.maximum(cover, fall), cover), np.where(falls, np.maximum(shell, depth), shell)


def _strands(p: Plan, rng: np.random.Generator) -> F32:
    """0-1 noise drawn out along the hair: radial over the forehead, downwards beside the face."""
    wave = 2.5 * np.sin(p.y_mm / 23 + rng.uniform(0, 6)) + 1.5 * np.sin(p.y_mm / 9 + p.x_mm / 15)
    across = np.arctan2(p.x_mm + 0.4 * wave, np.maximum(-(p.y_mm + 25), 0) + 30)
    along = np.hypot(p.x_mm, p.y_mm + 25)
    total = np.zeros(p.x_mm.shape, np.float32)
    for density, weight in ((14.0, 0.35), (45.0, 0.4), (110.0, 0.25)):
        sheet = cv2.GaussianBlur(rng.random((64, 512)).astype(np.float32), (0, 0), sigmaX=1.0, sigmaY=0.8)
        sheet = (sheet - sheet.mean()) / sheet.std()
        x = np.mod(across * density + 256, 511).astype(np.float32)
        y = np.mod(along / 22, 63).astype(np.float32)
        total += weight * cv2.remap(sheet, x, y, cv2.INTER_LINEAR)
    return np.asarray(np.clip(0.5 + 0.38 * total, 0, 1), np.float32)
