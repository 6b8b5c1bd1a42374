"""Frames from an episode: the same (episode, index) gives the same frame in any order and process."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from edgefas.sensors.frame import Frame
from edgefas.sensors.simulator.depth import measure
from edgefas.sensors.simulator.episode import Episode
from edgefas.sensors.simulator.light import FRESNEL, IR_PER_LUX, IRPASS_SHARE, NIR_SHARE, projected, scatter
from edgefas.sensors.simulator.motion import FRAME_NS, Pose, pose
from edgefas.sensors.simulator.presentations import Scene, build
from edgefas.sensors.simulator.rig import DEPTH_SCALE_M, F32, View, calibration, color_view, infrared_view
from edgefas.sensors.simulator.scene import Seen, empty_view, paint
from edgefas.sensors.simulator.sensor import IR_ELECTRONS_PER_MS, color, expose, infrared

SIMULATOR_VERSION = 1
"""Bumped whenever an image changes: figures of two versions are never compared."""

_PANCHROMATIC = np.array([0.35, 0.40, 0.25], np.float32)
"""Weights of red, green and blue in what an unfiltered silicon imager sees of white light."""


def render(episode: Episode, index: int) -> Frame:
    """Frame `index` (>= 0) of an episode with all four streams, 30 frames a second of device time.

    Lit and unlit infrared are given as if taken at once, with one exposure, as interleaved frames share it.
    """
    scene, camera = build(episode), calibration(episode.site)
    unit = np.random.default_rng([111, episode.site])
    noise, ir_target, color_target = (float(unit.uniform(*r)) for r in ((0.9, 1.3), (0.26, 0.34), (0.17, 0.22)))
    rng = np.random.default_rng([112, episode.seed, episode.subject, index])
    left = _look(scene, episode, index, infrared_view(episode.site), 0)
    rgb = _look(scene, episode, index, color_view(episode.site), 1)
    unlit, lit = _infrared_light(left, scene, episode)
    exposure = expose(0.5 * (unlit + lit), IR_ELECTRONS_PER_MS, ir_target)
    ir_lit = infrared(lit, exposure, noise, rng)
    ir_unlit = infrared(unlit, exposure, noise, rng)
    picture, _ = color(rgb.radiance + rgb.emitted, episode, noise, color_target, rng)
    return Frame(
        color=picture,
        ir_lit=ir_lit,
        ir_unlit=ir_unlit,
        depth=measure(left.z_mm, left.holes, left.facing, ir_lit, episode, index, camera),
        depth_scale_m=DEPTH_SCALE_M,
        calibration=camera,
        number=index + 1,
        device_ns=index * FRAME_NS,
        clock="hardware",
        host_ns=index * FRAME_NS,
        camera=f"SIM-{episode.site}",
        ir_lit_exposure=exposure,
        ir_unlit_exposure=exposure,
    )


def _look(scene: Scene, episode: Episode, index: int, view: View, which: int) -> Seen:
    seen = _room(episode, which).copy()
    place = pose(episode, index)
    first = pose(episode, 0)
    if scene.swaying is not None:
        position = first.position_mm + 0.4 * (place.position_mm - first.position_mm)
        paint(seen, scene.swaying, Pose(np.eye(3), position), view, episode)
    if scene.turning is not None:
        paint(seen, scene.turning, place, view, episode)
    return seen


@lru_cache(maxsize=4)
def _room(episode: Episode, which: int) -> Seen:
    """The room alone, in the left imager (0) or the colour camera (1): it does not move."""
    scene = build(episode)
    view = color_view(episode.site) if which else infrared_view(episode.site)
    seen = empty_view(view)
    paint(seen, scene.room, scene.room_pose, view, episode)
    return seen


def _infrared_light(left: Seen, scene: Scene, episode: Episode) -> tuple[F32, F32]:
    """What reaches the left imager without and with the projector, W/m2 in 550 nm terms times albedo."""
    per_lux, nir = IR_PER_LUX[episode.light], NIR_SHARE[episode.light]
    visible = left.radiance[..., :3] @ _PANCHROMATIC
    screen = left.emitted[..., :3] @ _PANCHROMATIC * IR_PER_LUX["led"]
    if episode.camera == "irpass":
        ambient = per_lux * IRPASS_SHARE[episode.light] * left.radiance[..., 3]
    else:
        ambient = per_lux * ((1 - nir) * visible + nir * left.radiance[..., 3]) + screen
    rng = np.random.default_rng([113, episode.seed])
    view = infrared_view(episode.site)
    dots = projected(episode, left.z_mm, left.facing, view, float(rng.uniform(1.0, 2.5)))
    inside = scatter(dots, left.inside, episode.distance_mm, view.intrinsics.fx_px, scene.scatter_spread)
    lit = ambient + left.nir * inside + FRESNEL * 0.5 * dots
    return np.asarray(ambient, np.float32), np.asarray(lit, np.float32)
