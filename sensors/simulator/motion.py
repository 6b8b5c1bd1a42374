"""How heads sway and hands shake: sums of slow sines, smooth in the frame index, so clips play ping-pong."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from edgefas.sensors.simulator.episode import Episode, Presentation
from edgefas.sensors.simulator.rig import F64

FRAME_NS = 33_333_333


@dataclass(frozen=True)
class Pose:
    """p_camera = rotation @ p_object + position_mm; object axes as the camera's: x right, y down, z away."""

    rotation: F64
    position_mm: F64


def pose(episode: Episode, index: int) -> Pose:
    """Where the presented thing is at a frame; its origin is the middle of the face, print or screen."""
    rng = np.random.default_rng([13, episode.seed, episode.subject])
    held = episode.presentation in (Presentation.FLAT_PRINT, Presentation.BENT_PRINT, Presentation.PHONE_REPLAY)
    # rows: x, y, z in mm; pitch, yaw, roll in degrees
    amplitude = np.array([3.0, 2.5, 4.0, 2.0, 2.5, 1.5] if held else [4.0, 2.0, 4.0, 1.5, 3.0, 1.2])
    if episode.presentation is Presentation.MANNEQUIN:
        amplitude *= 0.1  # it stands; whoever carries it in has let go
    base = np.array(
        [
            rng.uniform(-0.05, 0.05) * episode.distance_mm,
            rng.uniform(-0.03, 0.03) * episode.distance_mm,
            episode.distance_mm,
            episode.pitch_deg,
            episode.yaw_deg,
            rng.normal(0, 2.0),
        ]
    )
    slow = _sines(rng, index, (2.5, 7.0))
    tremor = _sines(rng, index, (0.25, 0.6)) * (0.12 if held else 0.01)
    state = base + amplitude * (slow + tremor)
    rotation, _ = cv2.Rodrigues(np.array([0.0, np.deg2rad(state[4]), 0.0]))
    nod, _ = cv2.Rodrigues(np.array([np.deg2rad(state[3]), 0.0, 0.0]))
    roll, _ = cv2.Rodrigues(np.array([0.0, 0.0, np.deg2rad(state[5])]))
    return Pose(np.asarray(rotation @ nod @ roll, np.float64), state[:3])


def _sines(rng: np.random.Generator, index: int, period_s: tuple[float, float]) -> F64:
    """Six independent movements within about ±1, three sines each."""
    seconds = index * FRAME_NS * 1e-9
    period, phase = rng.uniform(*period_s, (6, 3)), rng.uniform(0, 2 * np.pi, (6, 3))
    return np.asarray(np.sin(2 * np.pi * seconds / period + phase).mean(1) * 1.3)
