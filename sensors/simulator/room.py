"""The room behind: a wall with furniture in front of it, different per site."""

from __future__ import annotations

import cv2
import numpy as np

from edgefas.sensors.simulator.episode import Episode
from edgefas.sensors.simulator.skin import noise
from edgefas.sensors.simulator.surface import Surface

_WALLS = [(0.62, 0.62, 0.60, 0.70), (0.60, 0.52, 0.40, 0.68)]
_THINGS = [
    [(0.75, 0.75, 0.75, 0.8), (0.25, 0.27, 0.30, 0.4), (0.14, 0.20, 0.32, 0.5), (0.45, 0.33, 0.20, 0.6), (0.05,) * 4],
    [(0.34, 0.18, 0.09, 0.55), (0.50, 0.12, 0.08, 0.6), (0.70, 0.66, 0.56, 0.75), (0.12, 0.20, 0.11, 0.6), (0.22,) * 4],
]


def wall_distance_mm(episode: Episode) -> float:
    """From the camera to the wall."""
    rng = np.random.default_rng([81, episode.seed, episode.site])
    return float(
        episode.distance_mm + 500 + (rng.uniform(300, 1600) if episode.site % 2 == 0 else rng.uniform(150, 900))
    )


def room_surface(episode: Episode) -> Surface:
    """Wall and furniture as one heightfield whose origin is straight ahead on the wall."""
    rng = np.random.default_rng([82, episode.seed, episode.site])
    far = wall_distance_mm(episode)
    half_w, half_h, step = far * 1.0, far * 0.78, far / 330
    w, h = int(2 * half_w / step), int(2 * half_h / step)
    albedo = np.empty((h, w, 4), np.float32)
    albedo[:] = np.array(_WALLS[episode.site % 2], np.float32) * rng.uniform(0.75, 1.1)
    albedo *= (1 + 0.012 * noise(rng, (h, w), 2) + 0.03 * noise(rng, (h, w), 90))[..., None]
    height = np.zeros((h, w), np.float32)
    for _ in range(int(rng.integers(3, 7))):
        color = np.array(_THINGS[episode.site % 2][rng.integers(5)], np.float32) * rng.uniform(0.7, 1.2)
        bw, bh = int(rng.uniform(0.08, 0.3) * w), int(rng.uniform(0.1, 0.5) * h)
        x, y = int(rng.uniform(-0.1, 1) * w), int(rng.uniform(0.05, 0.9) * h)
        standing = rng.random() < 0.6
        deep = float(rng.uniform(60, 300)) if standing else 12.0
        bottom = h if standing else y + bh
        box = (slice(max(y, 0), bottom), slice(max(x, 0), x + bw))
        if albedo[box].size:
            _furnish(albedo[box], color, rng, shelves=standing and rng.random() < 0.5)
            height[box] = deep
    albedo = np.asarray(cv2.GaussianBlur(albedo, (0, 0), 0.8), np.float32)
    finish = np.zeros((h, w, 3), np.float32)
    holes = np.full((h, w), 0.03, np.float32)
    return Surface(-half_w, -half_h, step, height, -1.0, albedo, finish, march_mm=20.0, depth_holes=holes)


def _furnish(part: np.ndarray, color: np.ndarray, rng: np.random.Generator, shelves: bool) -> None:
    """Paint a poster, a cupboard or a shelf with books, in place."""
    part[:] = color
    h, w = part.shape[:2]
    if shelves:
        for top in range(4, h - 8, max(18, h // 5)):
            x = 2
            while x < w - 6:
                thick, tall = int(rng.integers(3, 9)), int(rng.integers(9, 16))
                part[top + 16 - tall : top + 16, x : x + thick] = rng.uniform(0.05, 0.6, 4) * 0.8
                x += thick + int(rng.integers(0, 2))
    else:
        margin = max(2, min(h, w) // 12)
        part[margin : h - margin, margin : w - margin] *= rng.uniform(0.6, 1.3)
