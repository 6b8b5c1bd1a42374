"""An estimate of what a thermal camera would see, from the materials alone: the simulator has no heat."""

from __future__ import annotations

import cv2
import numpy as np

from edgefas.sensors.simulator.episode import Episode, Presentation
from edgefas.sensors.simulator.grain import grain
from edgefas.sensors.simulator.presentations import build
from edgefas.sensors.simulator.render import look
from edgefas.sensors.simulator.rig import F32, Window, calibration, infrared_view, read_out
from edgefas.sensors.simulator.scene import Layers
from edgefas.sensors.simulator.skin import noise

# degrees Celsius, all [M]
ROOM_C, SKIN_C, SILICONE_C = 22.0, 33.5, 30.0
_COVER_C = {Presentation.FLAT_PRINT: 23.0, Presentation.BENT_PRINT: 23.0, Presentation.PHONE_REPLAY: 31.0}
"""Of what is held; hair, clothes and what is worn are between the skin and the room."""
_WORN_C = 27.0
_NOSE_C, _ASLANT_C, _UNEVEN_C = 2.0, 2.0, 0.3
_NOSE_MM = 12.0
"""Before the middle of the face; twice that is its tip."""
_BEFORE_ROOM_MM = 350.0
"""Furniture stands farther behind the face than this."""


def temperature(episode: Episode, index: int, window: Window) -> F32:
    """Degrees Celsius (h, w) on the depth grid of a window.

    Where light enters and scatters there is skin, or silicone over it: noses are colder, and what is seen aslant
    seems so. Paper, resin and hair hide that warmth, a mannequin has none. Blurred and with noise of 0.1 degrees, as
    an uncooled camera gives it [M].
    """
    view = infrared_view(read_out(calibration(episode.site, episode.rig), window))
    seen = look(build(episode), episode, index, Layers.INFRARED, view)
    kind = episode.presentation
    skin = SILICONE_C if kind is Presentation.FLEXIBLE_MASK else SKIN_C
    cover = _COVER_C.get(kind, _WORN_C)
    if kind is Presentation.MANNEQUIN:
        skin = cover = ROOM_C
    facing, inside = seen.layers[..., 2], seen.layers[..., 3]
    ahead = np.clip((episode.distance_mm - seen.z_mm - _NOSE_MM) / _NOSE_MM, 0, 1)
    skin_c = skin - _ASLANT_C * (1 - facing) - _NOSE_C * ahead
    warm = cover + inside * (skin_c - cover) + _UNEVEN_C * _blotches(episode, inside.shape)
    celsius = np.where(seen.z_mm < episode.distance_mm + _BEFORE_ROOM_MM, warm, ROOM_C).astype(np.float32)
    rng = np.random.default_rng([141, episode.seed, episode.subject, index])
    return np.asarray(cv2.GaussianBlur(celsius, (0, 0), 1.5) + 0.1 * grain(rng, celsius.shape), np.float32)


def _blotches(episode: Episode, shape: tuple[int, int]) -> F32:
    """Smooth and still."""
    rng = np.random.default_rng([142, episode.seed, episode.subject])
    return noise(rng, shape, 14.0)
