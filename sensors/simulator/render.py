"""Frames from an episode: the same (episode, index) gives the same frame in any order and process."""

from __future__ import annotations

import numpy as np

from edgefas.sensors.frame import Exposure, Frame
from edgefas.sensors.simulator.episode import Episode, Presentation
from edgefas.sensors.simulator.motion import FRAME_NS, pose
from edgefas.sensors.simulator.rig import DEPTH_SCALE_M, View, calibration, color_view, infrared_view

SIMULATOR_VERSION = 1
"""Bumped whenever an image changes: figures of two versions are never compared."""


def face_extent_mm(episode: Episode) -> tuple[float, float, float, float]:
    """(left, top, right, bottom) of the face in the plane of the presented thing."""
    return -75.0, -72.0, 75.0, 78.0


def render(episode: Episode, index: int) -> Frame:
    """Frame `index` of an episode with all four streams, 30 frames a second."""
    c = calibration(episode.site)
    ir, z = _crude(episode, index, infrared_view(episode.site))
    color, _ = _crude(episode, index, color_view(episode.site))
    return Frame(
        color=np.repeat(color[..., None], 3, 2),
        ir_lit=ir,
        ir_unlit=ir // 2,
        depth=z.astype(np.uint16),
        depth_scale_m=DEPTH_SCALE_M,
        calibration=c,
        number=index + 1,
        device_ns=index * FRAME_NS,
        clock="hardware",
        host_ns=index * FRAME_NS,
        camera=f"SIM-{episode.site}",
        ir_lit_exposure=Exposure(8500.0, 1.0),
        ir_unlit_exposure=Exposure(8500.0, 1.0),
    )


def _crude(episode: Episode, index: int, view: View):  # type: ignore[no-untyped-def]
    k = view.intrinsics
    z = np.full((k.height_px, k.width_px), 1500.0)
    image = np.full(z.shape, 90, np.uint8)
    if episode.presentation is not Presentation.EMPTY:
        place = pose(episode, index)
        centre = view.project(place.position_mm)
        y, x = np.mgrid[: k.height_px, : k.width_px]
        mm = place.position_mm[2] / k.fx_px
        r = ((x - centre[0]) * mm / 75) ** 2 + ((y - centre[1]) * mm / 100) ** 2
        z[r < 1] = place.position_mm[2] + 40 * r[r < 1]
        image[r < 1] = 160
    return image, z
