"""Attacks on paper: a sheet in a hand, flat or bent, and paper worn before the face, with holes or cut out."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from edgefas.sensors.simulator.episode import Episode
from edgefas.sensors.simulator.hand import in_hand
from edgefas.sensors.simulator.head import FACE_MIDDLE_MM
from edgefas.sensors.simulator.identity import Identity
from edgefas.sensors.simulator.portrait import FACE_AT, FaceRect, face_on, portrait
from edgefas.sensors.simulator.rig import F32
from edgefas.sensors.simulator.skin import noise
from edgefas.sensors.simulator.surface import Surface

A4_MM = (210.0, 297.0)
_MARGIN_MM = 5.0


def flat_print(episode: Episode, rng: np.random.Generator) -> tuple[Surface, FaceRect]:
    """An A4 colour print of the subject in a hand."""
    width, height, step = *A4_MM, 0.7
    across = float(rng.uniform(215, 265))  # mm of the scene over the sheet: the printed face is about life size
    w, h = int(width / step), int(height / step)
    albedo = ink_on_paper(portrait(episode.subject, episode.seed, w, h, across), episode, rng, int(_MARGIN_MM / step))
    bend = float(rng.normal(0, 1.5))
    u = np.linspace(-1, 1, w, dtype=np.float32)[None]
    sheet = np.broadcast_to(bend * u**2, (h, w)).astype(np.float32)
    gloss = float(rng.choice([0.15, 0.8]))
    surface = in_hand(sheet, albedo, step, gloss, 0.25, None, None, episode, rng)
    return surface, face_on(width, height, width / across)


def bent_print(episode: Episode, rng: np.random.Generator) -> tuple[Surface, FaceRect]:
    """The same sheet bent about an upright axis; the radius spans 70-150 mm, as faces and hands give it [M]."""
    width, height, step = *A4_MM, 0.7
    across = float(rng.uniform(215, 265))
    radius = float(rng.uniform(70, 150))
    w, h = int(width / step), int(height / step)
    flat = ink_on_paper(portrait(episode.subject, episode.seed, w, h, across), episode, rng, int(_MARGIN_MM / step))
    # the outermost millimetres of a tight bend are seen edge-on
    reach = min(width / 2 / radius, 1.40)
    columns = int(2 * radius * np.sin(reach) / step)
    x = (np.arange(columns) - columns / 2 + 0.5) * step
    along = radius * np.arcsin(np.clip(x / radius, -1, 1)) / step + w / 2 - 0.5
    map_x = np.broadcast_to(along.astype(np.float32), (h, columns))
    map_y = np.broadcast_to(np.arange(h, dtype=np.float32)[:, None], (h, columns))
    albedo = np.asarray(cv2.remap(flat, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.float32)
    sheet = np.broadcast_to(bow(x, radius), (h, columns)).astype(np.float32)
    surface = in_hand(sheet, albedo, step, float(rng.choice([0.15, 0.8])), 0.25, None, None, episode, rng)
    return surface, face_on(width, height, width / across)


def cut_print(who: Identity, wearer: Surface, episode: Episode, rng: np.random.Generator) -> Surface:
    """A life-size A4 print before the wearer's face; through its holes his own eyes, nose and mouth are seen.

    The three cuts, and flat or bent, are those of CASIA-SURF; the paper rests on what is not cut out.
    """
    x, y = wearer.grid_mm()
    across = float(rng.uniform(200, 222))
    scale = A4_MM[0] / across
    picture = portrait(episode.subject, episode.seed, int(A4_MM[0] / wearer.step_mm), _rows(wearer), across)
    sheet = _Sheet(x, y + FACE_AT * A4_MM[1])
    albedo = sheet.spread(ink_on_paper(picture, episode, rng))
    nose_out = episode.cut != "eyes"
    base = 16.0 if nose_out else 34.0
    height = np.full(x.shape, base + float(rng.uniform(0, 5)), np.float32)
    drawn_bent = rng.random() < 0.5
    if episode.bend == "bent" or (episode.bend == "drawn" and drawn_bent):
        height += bow(x[0], float(rng.uniform(110, 200)))[None]
    on = sheet.inside & ~_cut(who, x / scale, y / scale, episode)
    return worn(wearer, on, height, albedo, float(rng.choice([0.15, 0.8])))


def paper_mask(who: Identity, wearer: Surface, episode: Episode, rng: np.random.Generator) -> Surface:
    """A print cut out along the face, bent round the wearer's; half of them have a folded nose, half have eye holes."""
    x, y = wearer.grid_mm()
    across = float(rng.uniform(200, 222))
    scale = A4_MM[0] / across
    picture = portrait(episode.subject, episode.seed, int(A4_MM[0] / wearer.step_mm), _rows(wearer), across)
    sheet = _Sheet(x, y + FACE_AT * A4_MM[1])
    albedo = sheet.spread(ink_on_paper(picture, episode, rng))
    half = np.interp(y / scale, [-100, -92, -60, 0, 40, 65, 80], [12, 44, 63, 69, 60, 44, 14]) * scale
    on = sheet.inside & (np.abs(x) < half) & (y > -100 * scale) & (y < 80 * scale)
    height = (30.0 + bow(x[0], float(rng.uniform(85, 130))))[None] + np.zeros_like(x)
    if rng.random() < 0.5:
        height -= 14
        ridge = np.interp(y / scale, [-40, 0, 12, 14], [0, 20, 20, 0])
        height += np.maximum(ridge - np.abs(x) * 1.1, 0)
    if rng.random() < 0.5:
        on &= ~_eye_holes(who, x / scale, y / scale, 14.0, 7.0)
    return worn(wearer, on, height.astype(np.float32), albedo, float(rng.choice([0.15, 0.8])))


def ink_on_paper(picture: F32, episode: Episode, rng: np.random.Generator, margin_px: int = 0) -> F32:
    """Reflectance (h, w, 4) of a picture (h, w, 3) in print; printers leave a margin of bare paper.

    Dye blacks reflect .55-.85 of paper at 850 nm and the picture fades; toner black stays [M].
    """
    h, w = picture.shape[:2]
    visible = 0.86 - (0.86 - 0.035) * (1 - picture) + 0.004 * noise(rng, (h, w), 1.2)[..., None]
    brightest = picture.max(-1)
    black = np.clip((0.22 - brightest) / 0.20, 0, 1) * float(rng.uniform(0.6, 1.0))
    color_ink = (1 - brightest) * (1 - float(rng.uniform(0.75, 0.90)))
    black_nir = float(rng.uniform(0.55, 0.85) if episode.ink == "dye" else rng.uniform(0.03, 0.08))
    paper_nir = float(rng.uniform(0.85, 0.92))
    nir = paper_nir * (1 - color_ink) * (1 - black) + paper_nir * black * black_nir
    albedo = np.full((h, w, 4), paper_nir, np.float32)
    albedo[..., :3] = 0.86
    inner = (slice(margin_px, h - margin_px), slice(margin_px, w - margin_px))
    albedo[inner] = np.concatenate([visible, nir[..., None]], -1)[inner]
    return albedo


def bow(x_mm: F32, radius_mm: float) -> F32:
    """Height of a sheet bent about an upright axis, 0 in the middle."""
    inside = np.minimum(np.abs(x_mm), radius_mm * 0.999)
    return np.asarray(np.sqrt(radius_mm**2 - inside**2) - radius_mm, np.float32)


def worn(wearer: Surface, on: np.ndarray, height: F32, albedo: F32, gloss: float, holes: float = 0.0) -> Surface:
    """The wearer with an opaque thing before the face where `on`; nothing of a face may stick through it."""
    finish = np.where(on[..., None], np.array([gloss, 0, 0], np.float32), wearer.finish)
    assert wearer.depth_holes is not None
    return replace(
        wearer,
        height_mm=np.where(on, np.maximum(height, wearer.height_mm + 1), wearer.height_mm).astype(np.float32),
        albedo=np.where(on[..., None], albedo, wearer.albedo).astype(np.float32),
        finish=finish.astype(np.float32),
        depth_holes=np.where(on, holes, wearer.depth_holes).astype(np.float32),
    )


@dataclass(frozen=True, eq=False)
class _Sheet:
    """An upright A4 sheet on a grid of mm; x from its middle, y from its upper edge."""

    x_mm: F32
    y_mm: F32

    @property
    def inside(self) -> np.ndarray:
        return np.asarray((np.abs(self.x_mm) < A4_MM[0] / 2) & (self.y_mm > 0) & (self.y_mm < A4_MM[1]))

    def spread(self, picture: F32) -> F32:
        """A picture of the whole sheet (h, w, c) on the grid."""
        h, w = picture.shape[:2]
        map_x = ((self.x_mm / A4_MM[0] + 0.5) * w - 0.5).astype(np.float32)
        map_y = (self.y_mm / A4_MM[1] * h - 0.5).astype(np.float32)
        return np.asarray(
            cv2.remap(picture, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.float32
        )


def _rows(surface: Surface) -> int:
    return int(A4_MM[1] / surface.step_mm)


def _cut(who: Identity, x: F32, y: F32, episode: Episode) -> np.ndarray:
    """Where the scissors went, on the printed face at life size."""
    away = _eye_holes(who, x, y, 19.0, 11.0)
    if episode.cut != "eyes":
        down = y + FACE_MIDDLE_MM[1]  # below the sellion
        away |= (np.abs(x) < np.interp(down, [-2, 0, 36, 48, 52], [0, 8, 19, 21, 0])) & (down > 0) & (down < 52)
    if episode.cut == "eyes_nose_mouth":
        away |= (x / (who.lip_length / 2 + 5)) ** 2 + ((y - 74.5 * who.face_length / 122.6 + 45) / 13) ** 2 < 1
    return np.asarray(away)


def _eye_holes(who: Identity, x: F32, y: F32, half_width: float, half_height: float) -> np.ndarray:
    across = (np.abs(x) - who.eye_distance / 2) / half_width
    return np.asarray(across**2 + ((y + FACE_MIDDLE_MM[1] - 6) / half_height) ** 2 < 1)
