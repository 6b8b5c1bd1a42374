"""Where the face truly is: for training and tests only, never for the pipeline."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgefas.contracts import FaceBox
from edgefas.sensors.simulator.episode import Episode, Presentation
from edgefas.sensors.simulator.motion import pose
from edgefas.sensors.simulator.presentations import build
from edgefas.sensors.simulator.rig import F64, WHOLE, Window, calibration, color_view, infrared_view, read_out

BOX = ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0))
EYES = ((0.287, 0.207), (0.713, 0.207))
"""Shares of the face's box, as `face_points` takes them: 64 mm apart on a face of 150 mm, 39 mm over its middle."""


def true_face(episode: Episode, index: int, window: Window = WHOLE) -> FaceBox | None:
    """The box a frontal Haar detector would return around the face shown (also a printed, replayed or worn one).

    Returns:
        The box on the depth grid of the window, with the depth of the middle of the face; None for an empty scene.
    """
    if episode.presentation is Presentation.EMPTY:
        return None
    x0, y0, x1, y1 = build(episode).face_mm
    place = pose(episode, index)
    corners = np.array([[x, y, 0.0] for x in (x0, x1) for y in (y0, y1)])
    view = infrared_view(read_out(calibration(episode.site, episode.rig), window))
    pixels = view.project(corners @ place.rotation.T + place.position_mm)
    (left, top), (right, bottom) = pixels.min(0), pixels.max(0)
    return FaceBox(
        x_px=float(left),
        y_px=float(top),
        width_px=float(right - left),
        height_px=float(bottom - top),
        median_z_mm=float(place.position_mm[2]),
    )


def face_points(
    episode: Episode, index: int, window: Window, shares: Sequence[tuple[float, float]], *, color: bool = False
) -> F64:
    """Pixels (n, 2) of points of the face shown, on the depth or the colour grid of the window.

    Args:
        shares: (across, down) in the face's box, 0 to 1; the points lie in the plane of the middle of the face.
    """
    x0, y0, x1, y1 = build(episode).face_mm
    points = np.array([[x0 + across * (x1 - x0), y0 + down * (y1 - y0), 0.0] for across, down in shares])
    place, camera = pose(episode, index), read_out(calibration(episode.site, episode.rig), window)
    view = color_view(camera) if color else infrared_view(camera)
    return view.project(points @ place.rotation.T + place.position_mm)


def face_window(episode: Episode, frames: int, around_mm: float = 140.0) -> Window:
    """What a camera must read out to see the face shown, and so much around it, in all of the first frames.

    A picture of the face alone costs a fraction of a whole one. A scene without a face is read out whole.
    """
    if episode.presentation is Presentation.EMPTY:
        return WHOLE
    whole = calibration(episode.site, episode.rig)
    x0, y0, x1, y1 = build(episode).face_mm
    corners = np.array(
        [[x, y, 0.0] for x in (x0 - around_mm, x1 + around_mm) for y in (y0 - around_mm, y1 + around_mm)]
    )
    places = [pose(episode, index) for index in range(0, frames, max(1, frames // 8))]
    points = np.concatenate([corners @ place.rotation.T + place.position_mm for place in places])
    return Window(*(_box(view.project(points)) for view in (infrared_view(whole), color_view(whole))))


def _box(pixels: F64) -> tuple[int, int, int, int]:
    (left, up), (right, down) = np.floor(pixels.min(0)).astype(int), np.ceil(pixels.max(0)).astype(int)
    return max(0, int(left)), max(0, int(up)), min(640, int(right)), min(480, int(down))
