"""Glasses: those that bona fide subjects wear, and funny eyes, which hide the wearer's behind printed ones."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from edgefas.sensors.simulator.episode import Episode
from edgefas.sensors.simulator.head import FACE_MIDDLE_MM
from edgefas.sensors.simulator.identity import Identity
from edgefas.sensors.simulator.person import head_surface
from edgefas.sensors.simulator.prints import ink_on_paper
from edgefas.sensors.simulator.rig import F32
from edgefas.sensors.simulator.skin import noise
from edgefas.sensors.simulator.surface import Surface

_FRAMES = [  # red, green, blue, 850 nm: plastic dyes are mostly clear in near infrared, carbon black is not [M]
    (0.03, 0.03, 0.03, 0.05),
    (0.05, 0.05, 0.06, 0.45),
    (0.16, 0.09, 0.05, 0.50),
    (0.45, 0.45, 0.47, 0.50),
    (0.40, 0.33, 0.20, 0.55),
]
PLANE_MM = 3.0 - FACE_MIDDLE_MM[2]
"""Height of the frame over the middle of the face: it rests on the bridge of the nose, 12 mm before the corneas."""


def glasses(head: Surface, who: Identity, episode: Episode, rng: np.random.Generator) -> Surface:
    """Spectacles: rims and bridge are bodies, lenses let light through twice, mirror the room and cost depth.

    Clear lenses let .90-.98 through in visible light and .88-.92 at 850 nm; tinted ones .15-.5 and .6-.9, and
    mirror 4 % a face, 5-15 % at 850 nm where coated against visible reflections [M].
    """
    lens, rim = _shapes(head, who, rng)
    tinted = episode.eyewear == "tinted"
    visible = float(rng.uniform(0.15, 0.5) if tinted else rng.uniform(0.90, 0.98))
    nir = float(rng.uniform(0.6, 0.9) if tinted else rng.uniform(0.88, 0.92))
    through = np.array([visible, visible, visible, nir], np.float32) ** 2
    albedo = head.albedo * np.where(lens[..., None], through, np.float32(1))
    albedo = np.where(rim[..., None], np.array(_FRAMES[rng.integers(len(_FRAMES))], np.float32), albedo)
    finish = np.where(rim[..., None], np.array([1.2, 0, 0], np.float32), head.finish)
    assert head.depth_holes is not None
    lost = np.clip(rng.uniform(0.1, 0.4) + 0.2 * noise(rng, _shape(lens), 20.0), 0, 0.49)
    return replace(
        head,
        height_mm=np.where(rim, np.maximum(head.height_mm, PLANE_MM), head.height_mm).astype(np.float32),
        albedo=albedo.astype(np.float32),
        finish=finish.astype(np.float32),
        emission=_mirrored(head, lens, episode, rng),
        depth_holes=np.where(lens, lost, np.where(rim, 0.1, head.depth_holes)).astype(np.float32),
    )


def funny_eyes(head: Surface, shown: Identity, who: Identity, episode: Episode, rng: np.random.Generator) -> Surface:
    """Paper glasses with the printed eyes of somebody else."""
    lens, rim = _shapes(head, who, rng)
    other = head_surface(shown, (0.0, 0.0))
    shift = np.float32((who.eye_distance - shown.eye_distance) / 2 / head.step_mm)
    x, y = np.meshgrid(*(np.arange(n, dtype=np.float32) for n in reversed(_shape(lens))))
    middle = -head.x0_mm / head.step_mm
    map_x = x - np.where(x < middle, -shift, shift)
    picture = cv2.remap(other.albedo[..., :3], map_x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    printed = ink_on_paper(np.asarray(np.clip(picture * 1.6, 0, 1), np.float32), episode, rng)
    on = lens | rim
    assert head.depth_holes is not None
    return replace(
        head,
        height_mm=np.where(on, np.maximum(head.height_mm, PLANE_MM), head.height_mm).astype(np.float32),
        albedo=np.where(on[..., None], printed, head.albedo).astype(np.float32),
        finish=np.where(on[..., None], np.array([0.3, 0, 0], np.float32), head.finish).astype(np.float32),
        depth_holes=np.where(on, 0, head.depth_holes).astype(np.float32),
    )


def _shapes(head: Surface, who: Identity, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Where the lenses and where the rims with their bridge are, (h, w) bool each."""
    x, y = head.grid_mm()
    down = y + FACE_MIDDLE_MM[1] - 8.0
    across = np.abs(x) - who.eye_distance / 2 - 2.0
    half_w, half_h, power = float(rng.uniform(22, 27)), float(rng.uniform(15, 22)), float(rng.uniform(2, 4))
    thick = float(rng.uniform(1.2, 4.0))

    def inside(grow: float) -> np.ndarray:
        w, h = half_w + grow, half_h + grow
        return np.asarray((np.abs(across) / w) ** power + (np.abs(down) / h) ** power < 1)

    lens = inside(0.0)
    gap = who.eye_distance / 2 + 2.0 - half_w
    bridge = (np.abs(x) < gap) & (np.abs(down + 6) < thick)
    temple = (across > half_w) & (np.abs(x) < 0.5 * who.face_breadth + 2) & (np.abs(down + 8) < thick)
    return lens, np.asarray((inside(thick) | bridge | temple) & ~lens)


def _mirrored(head: Surface, lens: np.ndarray, episode: Episode, rng: np.random.Generator) -> F32:
    """The room, and now and then a window, mirrored at 4 % in the lenses, in lm/m2."""
    h, w = _shape(lens)
    room = np.clip(0.3 + 0.3 * noise(rng, (h, w), 40.0), 0, 2)
    x, y = head.grid_mm()
    left, top = rng.uniform(-10, 6), rng.uniform(-8, 4)
    side = np.abs(x) - 32
    window = (side > left) & (side < left + rng.uniform(4, 12)) & (y + 39 > top) & (y + 39 < top + rng.uniform(5, 14))
    room = room + window * float(rng.uniform(0, 6))
    light = np.where(lens, episode.illuminance_lx * 0.04 * room, 0).astype(np.float32)
    return np.repeat(cv2.GaussianBlur(light, (0, 0), 1.0)[..., None], 4, axis=2)


def _shape(a: np.ndarray) -> tuple[int, int]:
    return a.shape[0], a.shape[1]
