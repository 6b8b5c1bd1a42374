"""Frames from an episode: the same (episode, index) gives the same frame in any order and process."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from edgefas.sensors.frame import Frame
from edgefas.sensors.simulator.depth import measure
from edgefas.sensors.simulator.episode import Episode
from edgefas.sensors.simulator.light import FRESNEL, projected, scatter
from edgefas.sensors.simulator.motion import FRAME_NS, Pose, pose
from edgefas.sensors.simulator.presentations import Scene, build
from edgefas.sensors.simulator.rig import (
    DEPTH_SCALE_M,
    F32,
    WHOLE,
    View,
    Window,
    calibration,
    color_view,
    infrared_view,
    read_out,
)
from edgefas.sensors.simulator.scene import Layers, Seen, nothing, paint
from edgefas.sensors.simulator.sensor import IR_ELECTRONS_PER_MS, color, expose, infrared

SIMULATOR_VERSION = 1
"""Bumped whenever an image changes: figures of two versions are never compared."""


def render(episode: Episode, index: int, window: Window = WHOLE) -> Frame:
    """Frame `index` (>= 0) of an episode with all four streams, 30 frames a second of device time.

    Lit and unlit infrared are given as if taken at once, with one exposure, as interleaved frames share it. Of a
    window alone, exposure looks at the window alone, too.
    """
    scene, camera = build(episode), read_out(calibration(episode.site, episode.rig), window)
    unit = np.random.default_rng([111, episode.site])
    noise, ir_target, color_target = (float(unit.uniform(*r)) for r in ((0.9, 1.3), (0.30, 0.38), (0.24, 0.30)))
    rng = np.random.default_rng([112, episode.seed, episode.subject, index])
    view = infrared_view(camera)
    left = look(scene, episode, index, Layers.INFRARED, view)
    rgb = look(scene, episode, index, Layers.COLOR, color_view(camera))
    ambient, nir, facing, inside, holes = (np.ascontiguousarray(c) for c in np.moveaxis(left.layers, -1, 0))
    lit = ambient + _projector_light(episode, scene, view, left.z_mm, nir, facing, inside)
    exposure = expose(0.5 * (ambient + lit), IR_ELECTRONS_PER_MS, ir_target)
    ir_lit = infrared(lit, exposure, noise, rng)
    ir_unlit = infrared(ambient, exposure, noise, rng)
    picture, _ = color(rgb.layers, episode, noise, color_target, rng)
    return Frame(
        color=picture,
        ir_lit=ir_lit,
        ir_unlit=ir_unlit,
        depth=measure(left.z_mm, holes, facing, ir_lit, episode, index, camera, window.depth_px),
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


def look(scene: Scene, episode: Episode, index: int, layers: Layers, view: View) -> Seen:
    """What a view sees of a scene, before any sensor."""
    seen = _room(episode, layers, view).copy()
    first, place = pose(episode, 0), pose(episode, index)
    if scene.swaying is not None:
        position = first.position_mm + 0.4 * (place.position_mm - first.position_mm)
        paint(seen, scene.swaying, Pose(np.eye(3), position), view)
    if scene.turning is not None:
        paint(seen, scene.turning, place, view)
    return seen


@lru_cache(maxsize=4)
def _room(episode: Episode, layers: Layers, view: View) -> Seen:
    """The room alone: it does not move."""
    scene, seen = build(episode), nothing(view, layers)
    paint(seen, scene.room, scene.room_pose, view)
    return seen


def _projector_light(episode: Episode, scene: Scene, view: View, z_mm: F32, nir: F32, facing: F32, inside: F32) -> F32:
    """The dots as the left imager sees them, W/m2 in 550 nm terms: partly blurred inside the skin."""
    duty = float(np.random.default_rng([113, episode.seed]).uniform(0.8, 2.0))  # of pulses in the exposure: unpublished
    dots = projected(episode, z_mm, facing, view, duty)
    spread = scatter(dots, inside, episode.distance_mm, view.intrinsics.fx_px, scene.scatter_spread)
    return np.asarray(nir * spread + 0.5 * FRESNEL * dots, np.float32)
