"""The picture of the subject that an attacker prints or shows, and where its face lies on a sheet or screen."""

from __future__ import annotations

import numpy as np

from edgefas.sensors.frame import Intrinsics
from edgefas.sensors.simulator.episode import MAX_SEED, Episode, Presentation, sample_episode
from edgefas.sensors.simulator.identity import identity
from edgefas.sensors.simulator.light import key_direction
from edgefas.sensors.simulator.motion import Pose
from edgefas.sensors.simulator.person import head_surface, torso_surface
from edgefas.sensors.simulator.rig import F32, View
from edgefas.sensors.simulator.scene import Layers, lit, nothing, paint

FaceRect = tuple[float, float, float, float]
"""(left, top, right, bottom) in mm about the origin of the presented thing."""
FACE_MM: FaceRect = (-75.0, -70.0, 75.0, 80.0)
"""Of a live face about its middle, as a frontal Haar detector frames it."""
FACE_AT = 0.46
"""Height of the face's middle in a portrait, as a share of the picture's."""


def portrait(subject: int, seed: int, width_px: int, height_px: int, width_mm: float) -> F32:
    """The picture an attacker has: frontal, linear (h, w, 3), white = 1; `width_mm` across at the face."""
    photo = sample_episode(
        Presentation.BONA_FIDE,
        subject,
        seed % 2,
        (seed + 500_000) % (MAX_SEED + 1),
        distance_mm=1100,
        yaw_deg=0,
        pitch_deg=0,
        light_azimuth_deg=float(np.random.default_rng([102, seed]).uniform(-30, 30)),
        light_elevation_deg=35,
        fill_share=0.5,
        light="led",
    )
    focal = width_px / width_mm * 1100
    view = View(
        Intrinsics(width_px, height_px, focal, focal, width_px / 2, height_px * FACE_AT),
        ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)),
        (0.0, 0.0, 0.0),
    )
    who = identity(subject)
    place = Pose(np.eye(3), np.array([0.0, 0.0, 1100.0]))
    seen = nothing(view, Layers.COLOR)
    shade = np.linspace(0.75, 0.5, height_px, dtype=np.float32)[:, None, None]
    seen.layers[:] = photo.illuminance_lx * shade * np.random.default_rng([103, seed]).uniform(0.5, 1.0, 3)
    for surface in (torso_surface(who, seed), head_surface(who, catchlight(photo))):
        paint(seen, lit(surface, place, photo), place, view)
    picture = seen.layers
    middle = picture[height_px // 4 : height_px * 2 // 3, width_px // 3 : width_px * 2 // 3]
    return np.asarray(np.clip(picture * (0.30 / float(middle.mean())), 0, 1) ** 0.95, np.float32)


def face_on(width: float, height: float, scale: float) -> FaceRect:
    """The printed or displayed face about the middle of the sheet or screen."""
    down = -0.04 * height  # FACE_AT less a half
    left, top, right, bottom = (side * scale for side in FACE_MM)
    return left, top + down, right, bottom + down


def catchlight(episode: Episode) -> tuple[float, float]:
    """Where the key light is mirrored in the corneas, mm right of and below the pupils."""
    light = key_direction(episode)
    return float(light[0] * 2.6), float(light[1] * 2.6)
