"""How each presentation is put together: who stands there, and what is held or worn."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from edgefas.sensors.simulator.episode import Episode, Presentation
from edgefas.sensors.simulator.expression import expressive
from edgefas.sensors.simulator.eyewear import funny_eyes, glasses
from edgefas.sensors.simulator.identity import Identity, identity
from edgefas.sensors.simulator.masks import FLEXIBLE_SPREAD, flexible_mask, mannequin, rigid_mask
from edgefas.sensors.simulator.motion import Pose, pose
from edgefas.sensors.simulator.person import head_surface, torso_surface
from edgefas.sensors.simulator.portrait import FACE_MM, FaceRect, catchlight
from edgefas.sensors.simulator.prints import bent_print, cut_print, flat_print, paper_mask
from edgefas.sensors.simulator.room import room_surface, wall_distance_mm
from edgefas.sensors.simulator.scene import Lit, lit
from edgefas.sensors.simulator.screens import screen
from edgefas.sensors.simulator.surface import Surface

_WEARER, _PRINTED_EYES = 100_003, 300_017
"""Added to the subject's number: who wears the mask, whose eyes are printed."""


@dataclass(frozen=True, eq=False)
class Scene:
    """What stands before the camera in an episode."""

    room: Lit
    room_pose: Pose
    turning: Lit | None
    """Moves with `motion.pose`: a head, a print, a screen."""
    swaying: Lit | None
    """A body, which follows without turning."""
    face_mm: FaceRect
    """The face on the presented thing."""
    scatter_spread: float
    """Of the light in skin or mask, relative to mean skin."""


@dataclass(frozen=True, eq=False)
class Presented:
    """The bodies of a scene before the room."""

    turning: Surface | None = None
    swaying: Surface | None = None
    face_mm: FaceRect = FACE_MM


@lru_cache(maxsize=2)
def build(episode: Episode) -> Scene:
    """Everything of an episode that does not change from frame to frame."""
    rng = np.random.default_rng([101, episode.seed, episode.subject])
    start = pose(episode, 0)
    wall = Pose(np.eye(3), np.array([0.0, 0.0, wall_distance_mm(episode)]))
    room = lit(room_surface(episode), wall, episode)
    spread = float(rng.uniform(0.65, 1.4))
    if episode.presentation is Presentation.FLEXIBLE_MASK:
        spread = float(rng.uniform(*FLEXIBLE_SPREAD))
    shown = _presented(episode, rng)
    texel = 0.85 * episode.distance_mm / 614.6
    still = Pose(np.eye(3), start.position_mm)
    return Scene(
        room,
        wall,
        None if shown.turning is None else lit(_at(shown.turning, texel), start, episode),
        None if shown.swaying is None else lit(_under_chin(shown.swaying), still, episode),
        shown.face_mm,
        spread,
    )


def _presented(episode: Episode, rng: np.random.Generator) -> Presented:
    kind = episode.presentation
    if kind is Presentation.EMPTY:
        return Presented()
    if kind in (Presentation.FLAT_PRINT, Presentation.BENT_PRINT, Presentation.PHONE_REPLAY):
        make = {Presentation.FLAT_PRINT: flat_print, Presentation.BENT_PRINT: bent_print}.get(kind, screen)
        surface, face = make(episode, rng)
        return Presented(surface, None, face)
    who, wearer = identity(episode.subject), identity(episode.subject + _WEARER)
    body = who if kind in (Presentation.BONA_FIDE, Presentation.MANNEQUIN) else wearer
    return Presented(_head(kind, who, wearer, episode, rng), torso_surface(body, episode.seed))


def _head(kind: Presentation, who: Identity, wearer: Identity, episode: Episode, rng: np.random.Generator) -> Surface:
    if kind is Presentation.BONA_FIDE:
        live = head_surface(expressive(who, episode.expression), catchlight(episode))
        return live if episode.eyewear == "none" else glasses(live, who, episode, rng)
    if kind is Presentation.RIGID_MASK:
        return rigid_mask(who, wearer, episode, rng)
    if kind is Presentation.FLEXIBLE_MASK:
        return flexible_mask(who, wearer, episode, rng)
    if kind is Presentation.MANNEQUIN:
        return mannequin(who, rng)
    behind = head_surface(expressive(wearer, episode.expression), catchlight(episode))
    if kind is Presentation.FUNNY_EYES:
        return funny_eyes(behind, identity(episode.subject + _PRINTED_EYES), wearer, episode, rng)
    return (cut_print if kind is Presentation.CUT_PRINT else paper_mask)(who, behind, episode, rng)


def _at(surface: Surface, texel_mm: float) -> Surface:
    return surface if texel_mm <= surface.step_mm * 1.1 else surface.resized(texel_mm)


def _under_chin(torso: Surface) -> Surface:
    """The head's shadow on the neck, which the torso alone does not know of."""
    h = torso.height_mm.shape[0]
    y = torso.y0_mm + np.arange(h) * torso.step_mm
    dim = np.interp(y, [70, 95, 150], [0.35, 0.45, 1.0]).astype(np.float32)
    return replace(torso, albedo=torso.albedo * dim[:, None, None])
