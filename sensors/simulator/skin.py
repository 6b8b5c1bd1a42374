"""The colour of heads at 619, 550, 460 and 850 nm: skin, lips, eyes, brows, stubble and hair.

Melanin and blood colour the visible image; at 850 nm skin evens out, lips almost vanish, brows stay, the iris is dark
(facts [M] unless another source is named).
"""

from __future__ import annotations

import cv2
import numpy as np

from edgefas.sensors.simulator.head import Plan, eye_inside, lid_edges, mouth_gap, mouth_shape
from edgefas.sensors.simulator.identity import Identity
from edgefas.sensors.simulator.rig import F32

_SCLERA = np.array([0.52, 0.47, 0.42, 0.52], np.float32)  # .50-.59 at 780-804 nm
_IRIS_NIR, _PUPIL = 0.05, 0.012  # whole iris .030-.067 at 780 nm


def noise(rng: np.random.Generator, shape: tuple[int, int], grain_px: float) -> F32:
    """Smooth noise of unit deviation whose features are about `grain_px` across."""
    h, w = shape
    coarse = rng.standard_normal((int(h / grain_px) + 3, int(w / grain_px) + 3)).astype(np.float32)
    fine = cv2.resize(coarse, (w, h), interpolation=cv2.INTER_CUBIC)
    return np.asarray(fine / max(float(fine.std()), 1e-6), np.float32)


def _blend(albedo: F32, cover: F32, color: F32) -> None:
    albedo += cover[..., None] * (color - albedo)


def face_albedo(who: Identity, p: Plan) -> tuple[F32, F32]:
    """Reflectance (h, w, 4) and finish (h, w, 3) of a face without head hair."""
    rng = np.random.default_rng([41, who.texture_seed])
    albedo = _skin(who, p, rng)
    finish = np.ones((*p.x_mm.shape, 3), np.float32)
    finish[..., 0] = 0.8 + 0.6 * np.exp(-0.5 * ((p.x_mm / 16) ** 2 + ((p.y_mm - 18) / 60) ** 2))  # oilier T-zone
    finish[..., 1] = 0
    rows, mouth = _strip(p, p.y_mm, 35, 110)
    _lips(who, mouth, albedo[rows], finish[rows])
    _stubble(who, p, albedo, rng)
    _brows(who, p, albedo, finish, rng)
    rows, eyes = _strip(p, p.eye_y, -20, 20)
    _eyes(who, eyes, albedo[rows], finish[rows], rng)
    return albedo, finish


def _strip(p: Plan, y: F32, low: float, high: float) -> tuple[slice, Plan]:
    """The rows between two heights: what lies there has no part in the rest of the face."""
    rows = np.flatnonzero(((y > low) & (y < high)).any(1))
    strip = slice(int(rows[0]), int(rows[-1]) + 1)
    return strip, Plan(p.x_mm[strip], p.y_mm[strip], p.eye_x[strip], p.eye_y[strip], p.side[strip])


def add_catchlight(who: Identity, p: Plan, albedo: F32, light: tuple[float, float]) -> None:
    """The key light mirrored in the corneas, `light` mm right of and below the pupils."""
    x, y = p.eye_x * p.side - light[0], p.eye_y - 0.1 - light[1]
    cover = np.exp(-(x**2 + y**2) / 0.85**2) * eye_inside(who, p)
    _blend(albedo, cover.astype(np.float32), np.array([1.6, 1.6, 1.6, 0.5], np.float32))


def _skin(who: Identity, p: Plan, rng: np.random.Generator) -> F32:
    shape = p.x_mm.shape
    ax, y = np.abs(p.x_mm), p.y_mm

    def spot(cx: float, cy: float, sx: float, sy: float) -> F32:
        return np.asarray(np.exp(-0.5 * (((ax - cx) / sx) ** 2 + ((y - cy) / sy) ** 2)), np.float32)

    blood = 0.9 * spot(38, 36, 15, 12) + 0.8 * spot(0, 40, 10, 9) + 0.5 * spot(80, 22, 12, 30)
    blood += 0.25 * spot(0, 104, 14, 9)
    melanin = 0.30 * np.exp(-0.5 * ((p.eye_x / 17) ** 2 + (p.eye_y / 11) ** 2)) + 0.12 * spot(0, -55, 60, 20)
    melanin += 0.10 * spot(0, 84, 26, 14) + 0.045 * noise(rng, shape, 45) + 0.035 * noise(rng, shape, 14)
    melanin += 0.035 * noise(rng, shape, 3.0)
    blood = blood + 0.12 * noise(rng, shape, 30) + 0.10 * noise(rng, shape, 8)
    freckles = np.clip(noise(rng, shape, 4.0) - 1.9, 0, 1.2) * who.freckles * (0.3 + spot(28, 28, 26, 20))
    melanin = melanin + 0.5 * freckles
    depth = {"I": 0.55, "II": 0.65, "III": 0.8, "IV": 1.0, "V": 1.15, "VI": 1.0}[who.group]
    # pigment weakens with wavelength as nm^-3.33; blood takes green most
    per_melanin = np.array([0.55, 0.80, 1.15, 0.10], np.float32) * depth
    per_blood = np.array([0.01, 0.20, 0.15, 0.005], np.float32) * who.warmth * (0.5 if who.group in ("V", "VI") else 1)
    tint = np.exp(-melanin[..., None] * per_melanin - blood[..., None] * per_blood)
    return np.asarray(np.array(who.skin, np.float32) * tint, np.float32)


def _lips(who: Identity, p: Plan, albedo: F32, finish: F32) -> None:
    upper, line, lower = mouth_shape(who, p)
    half = who.lip_length / 2
    inside = np.clip(np.minimum(np.minimum(upper, -lower), (half - np.abs(p.x_mm)) * 0.4) / 1.6 + 0.35, 0, 1)
    dark = who.group in ("V", "VI")
    tint = np.array([0.84, 0.70 if dark else 0.56, 0.76 if dark else 0.62, 0.96], np.float32)
    tint = tint ** (0.7 + 0.4 * who.warmth)
    if not who.male:
        tint = tint * np.array([1.0, 0.88, 0.90, 1.0], np.float32)
    albedo *= 1 + inside[..., None] * (tint - 1)
    seam = 0.62 * np.exp(-0.5 * (line / 0.75) ** 2) * np.clip((half + 1.5 - np.abs(p.x_mm)) / 3, 0, 1)
    albedo *= 1 - seam[..., None] * np.array([0.85, 1, 1, 0.55], np.float32)
    finish[..., 0] += 0.8 * inside * (line > 0)
    if who.mouth_open:
        teeth = np.clip(1 - (upper / 4.0 - 1.6) ** 2, 0, 1)[..., None] * np.array([0.45, 0.42, 0.36, 0.40], np.float32)
        cavity = np.array([0.05, 0.02, 0.02, 0.12], np.float32) + teeth
        _blend(albedo, mouth_gap(who, p), cavity.astype(np.float32))
    # the nostrils are holes: little light comes back out of them
    wide = who.nose_breadth / 36.0
    hole = np.exp(-((((np.abs(p.x_mm) - 6.8 * wide) / (3.4 * wide)) ** 2 + ((p.y_mm - 48.3) / 1.5) ** 2) ** 1.5))
    albedo *= 1 - 0.82 * hole[..., None]


def _stubble(who: Identity, p: Plan, albedo: F32, rng: np.random.Generator) -> None:
    if not who.stubble:
        return
    ax, y = np.abs(p.x_mm), p.y_mm
    edge = np.interp(ax, [0, 12, 24, 40, 58, 70], [52, 55, 66, 72, 52, 20]) + 1.5 * noise(rng, ax.shape, 12)
    zone = np.clip((y - edge) / 9, 0, 1) * np.clip((ax - 8 * (y < 66)) / 6 + 0.55, 0, 1)
    upper, _, lower = mouth_shape(who, p)
    clear = np.clip(np.maximum(-upper, lower) / 2.5, 0, 1)  # not on the lips
    grain = np.clip(0.75 + 0.35 * noise(rng, ax.shape, 2.0), 0.2, 1.3)
    cover = np.clip(zone * clear * who.stubble * grain, 0, 0.85).astype(np.float32)
    _blend(albedo, cover, np.array(who.hair, np.float32) * 1.2)


def _brows(who: Identity, p: Plan, albedo: F32, finish: F32, rng: np.random.Generator) -> None:
    t = (p.eye_x + 20) / 42
    centre = -17.0 - 4.2 * np.sin(np.pi * np.clip(t, 0, 1) ** 1.25) + who.brow_height + 12.0 * np.clip(t - 0.85, 0, 1)
    thick = np.interp(t, [0, 0.15, 0.6, 1.0], [3.1, 3.7, 3.0, 1.0]) * (0.75 + 0.35 * who.brow_weight)
    body = np.exp(-(np.abs((p.eye_y - centre) / thick) ** 2.6))
    body *= np.clip(t / 0.10, 0, 1) * np.clip((1.03 - t) / 0.12, 0, 1)
    hairs = cv2.GaussianBlur(rng.standard_normal(t.shape).astype(np.float32), (0, 0), sigmaX=2.6, sigmaY=0.7)
    cover = np.clip(body * (0.70 + 1.0 * hairs / max(float(hairs.std()), 1e-6) * 0.22) * who.brow_weight, 0, 0.88)
    color = np.array(who.hair, np.float32) * np.array([0.8, 0.8, 0.8, 1.0], np.float32)
    _blend(albedo, cover.astype(np.float32), color)
    finish[..., 1] = np.maximum(finish[..., 1], cover * 0.5)


def _eyes(who: Identity, p: Plan, albedo: F32, finish: F32, rng: np.random.Generator) -> None:
    upper, lower = lid_edges(who, p)
    inside = eye_inside(who, p)
    x, y = p.eye_x * p.side, p.eye_y - 0.1  # picture axes, so that both eyes look the same way
    gaze = rng.normal(0, 0.35, 2)
    r = np.hypot(x - gaze[0], y - gaze[1])
    angle = np.arctan2(y - gaze[1], x - gaze[0])
    fibre = 1 + 0.22 * np.sin(angle * 23 + 3 * np.sin(angle * 5)) * np.clip((r - 2) / 3, 0, 1)
    iris = np.array([*who.iris, _IRIS_NIR], np.float32) * fibre[..., None].astype(np.float32)
    iris *= (1 - 0.55 * np.clip((r - 4.9) / 1.0, 0, 1))[..., None]
    eye = np.broadcast_to(_SCLERA, albedo.shape).copy()
    red = np.clip(np.abs(p.eye_x) - 8.5, 0, 5) / 5
    eye *= 1 - red[..., None] * np.array([0.12, 0.30, 0.30, 0.05], np.float32)
    _blend(eye, np.clip((5.95 - r) / 0.7 + 0.5, 0, 1).astype(np.float32), iris.astype(np.float32))
    _blend(eye, np.clip((2.05 - r) / 0.5 + 0.5, 0, 1).astype(np.float32), np.full(4, _PUPIL, np.float32))
    eye *= (1 - 0.62 * np.exp(-np.clip(p.eye_y - upper, 0, 9) / 1.7))[..., None]  # shadow of the upper lid
    eye *= (1 - 0.20 * np.exp(-np.clip(lower - p.eye_y, 0, 9) / 1.0))[..., None]
    glint = np.exp(-(((x - gaze[0] + 0.4) ** 2 + (y - gaze[1]) ** 2) / 0.5**2))  # of the projector
    _blend(eye, glint.astype(np.float32), np.array([0.1, 0.1, 0.1, 1.5], np.float32))
    albedo += inside[..., None] * (eye - albedo)
    finish[..., 0] = np.where(inside > 0.5, 0.3, finish[..., 0])
    finish[..., 2] = np.where(inside > 0.5, 0.5, finish[..., 2])
    along = np.clip((15.2 - np.abs(p.eye_x)) / 2.5, 0, 1)
    lash = (0.88 if not who.male else 0.66) * np.exp(-0.5 * ((p.eye_y - upper + 0.35) / 0.72) ** 2) * along
    lash += 0.22 * np.exp(-0.5 * ((p.eye_y - lower - 0.3) / 0.6) ** 2) * along
    crease = 0.30 * np.exp(-0.5 * ((p.eye_y - upper * 1.15 + 3.8) / 0.8) ** 2)
    crease *= np.clip((13 - np.abs(p.eye_x)) / 4, 0, 1)
    dark = np.array([0.03, 0.025, 0.022, 0.10], np.float32)
    _blend(albedo, np.clip(lash, 0, 1).astype(np.float32), dark)
    albedo *= 1 - crease[..., None].astype(np.float32) * np.array([0.8, 1, 1, 0.4], np.float32)
