"""Replay: a phone or tablet that shows the subject."""

from __future__ import annotations

import numpy as np

from edgefas.sensors.simulator.episode import Episode
from edgefas.sensors.simulator.hand import in_hand
from edgefas.sensors.simulator.portrait import FaceRect, face_on, portrait
from edgefas.sensors.simulator.skin import noise
from edgefas.sensors.simulator.surface import Surface


def screen(episode: Episode, rng: np.random.Generator) -> tuple[Surface, FaceRect]:
    """A phone or tablet in a hand, showing the subject: it emits, hardly reflects diffusely, and mirrors the room.

    Display white 150-450 cd/m2; less than .5 % of its light is above 750 nm [M].
    """
    tablet = episode.device == "tablet"
    width, height = (
        (rng.uniform(155, 180), rng.uniform(230, 250)) if tablet else (rng.uniform(65, 71), rng.uniform(140, 155))
    )
    step = 0.6 if tablet else 0.35
    w, h = int(width / step), int(height / step)
    across = float(rng.uniform(195, 240) if tablet else rng.uniform(180, 215))
    picture = portrait(episode.subject, episode.seed, w, h, across)
    side, end = (10.0, 12.0) if tablet else (2.5, 5.0)
    y, x = np.mgrid[:h, :w]
    inset = np.minimum(np.minimum(x, w - 1 - x) * step - side, np.minimum(y, h - 1 - y) * step - end)
    on = np.clip(inset / step + 0.5, 0, 1).astype(np.float32)
    white = float(rng.uniform(150, 450)) * np.pi
    reflection = np.linspace(0.05, 0.015, h, dtype=np.float32)[:, None] * (1 + 0.3 * noise(rng, (h, w), w / 3))
    emission = np.zeros((h, w, 4), np.float32)
    emission[..., :3] = white * on[..., None] * picture * np.array([0.97, 1.0, 1.06], np.float32)
    emission += episode.illuminance_lx * np.clip(reflection, 0, 1)[..., None]
    albedo = np.full((h, w, 4), 0.02, np.float32)
    albedo[..., 3] = float(rng.uniform(0.02, 0.15))
    chance = float(rng.uniform(0.10, 0.60))  # holes 10-60 % [M]
    holes = np.clip(chance + 0.15 * noise(rng, (h, w), 25 / step), 0, 0.49)
    holes = (holes * (0.25 + 0.75 * on)).astype(np.float32)
    surface = in_hand(np.zeros((h, w), np.float32), albedo, step, 1.2, 0.06, emission, holes, episode, rng)
    return surface, face_on(width, height, width / across)
