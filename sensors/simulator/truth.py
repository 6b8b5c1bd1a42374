"""Where the face truly is: for training and tests only, never for the pipeline."""

from __future__ import annotations

import numpy as np

from edgefas.contracts import FaceBox
from edgefas.sensors.simulator.episode import Episode, Presentation
from edgefas.sensors.simulator.motion import pose
from edgefas.sensors.simulator.presentations import build
from edgefas.sensors.simulator.rig import infrared_view


def true_face(episode: Episode, index: int) -> FaceBox | None:
    """The box a frontal Haar detector would return around the face shown (also a printed, replayed or worn one).

    Returns:
        The box on the depth grid, with the depth of the middle of the face; None for an empty scene.
    """
    if episode.presentation is Presentation.EMPTY:
        return None
    x0, y0, x1, y1 = build(episode).face_mm
    place = pose(episode, index)
    corners = np.array([[x, y, 0.0] for x in (x0, x1) for y in (y0, y1)])
    pixels = infrared_view(episode.site, episode.rig).project(corners @ place.rotation.T + place.position_mm)
    (left, top), (right, bottom) = pixels.min(0), pixels.max(0)
    return FaceBox(
        x_px=float(left),
        y_px=float(top),
        width_px=float(right - left),
        height_px=float(bottom - top),
        median_z_mm=float(place.position_mm[2]),
    )
