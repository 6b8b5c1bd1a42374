"""What one pinhole sees of placed surfaces: the nearest point of every pixel, its light and its material."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np

from edgefas.sensors.simulator.episode import Episode
from edgefas.sensors.simulator.light import infrared_ambient, key_direction, reflected, visibility
from edgefas.sensors.simulator.motion import Pose
from edgefas.sensors.simulator.rig import F32, View
from edgefas.sensors.simulator.surface import Surface, dot, intersect, length, look_up, normals


class Layers(Enum):
    """What is looked up per pixel, by camera; the value is the number of channels."""

    COLOR = 3
    """Red, green, blue light, in lux times reflectance."""
    INFRARED = 5
    """Ambient light in W/m2 (550 nm terms), albedo at 850 nm, cosine to the line of sight, share of light that
    enters and scatters, chance that stereo finds nothing."""


@dataclass(frozen=True, eq=False)
class Lit:
    """A surface with the light on it painted in (h, w, channels): nothing turns so far that it would show."""

    surface: Surface
    textures: dict[Layers, F32]


@dataclass(frozen=True, eq=False)
class Seen:
    """What a view sees: true depth (h, w) and the channels of `Layers` (h, w, channels), float32."""

    z_mm: F32
    layers: F32

    def copy(self) -> Seen:
        """A writable copy."""
        return Seen(self.z_mm.copy(), self.layers.copy())


def lit(surface: Surface, place: Pose, episode: Episode) -> Lit:
    """Light a surface at its first pose, with the shadows it casts on itself."""
    h, w = surface.height_mm.shape
    x, y = np.meshgrid(
        surface.x0_mm + (np.arange(w, dtype=np.float32) + 0.5) * surface.step_mm,
        surface.y0_mm + (np.arange(h, dtype=np.float32) + 0.5) * surface.step_mm,
    )
    turn = place.rotation.T.astype(np.float32)
    points = np.stack([x, y, -np.maximum(surface.height_mm, surface.floor_mm)], -1) @ turn + place.position_mm
    rays = (points / length(points)[..., None]).astype(np.float32)
    normal = normals(surface) @ turn
    seen = visibility(surface, place.rotation.T @ key_direction(episode))
    light = reflected(episode, surface, normal, seen, rays)
    infrared = np.stack(
        [
            infrared_ambient(episode, light, surface.emission),
            surface.albedo[..., 3],
            np.clip(-dot(normal, rays), 0, 1),
            surface.finish[..., 2],
            np.zeros((h, w), np.float32) if surface.depth_holes is None else surface.depth_holes,
        ],
        -1,
    )
    color = (light if surface.emission is None else light + surface.emission)[..., :3]
    textures = {Layers.COLOR: np.ascontiguousarray(color), Layers.INFRARED: infrared.astype(np.float32, copy=False)}
    return Lit(surface, textures)


def nothing(view: View, layers: Layers) -> Seen:
    """An empty, dark view."""
    shape = (view.intrinsics.height_px, view.intrinsics.width_px)
    return Seen(np.full(shape, 1e5, np.float32), np.zeros((*shape, layers.value), np.float32))


def paint(seen: Seen, thing: Lit, place: Pose, view: View) -> None:
    """Draw a surface into what is seen, where it is nearer than what is there."""
    hit = intersect(thing.surface, place, view)
    if hit is None:
        return
    nearer = hit.mask & (hit.z_mm < seen.z_mm[hit.window])
    texture = thing.textures[Layers(seen.layers.shape[2])]
    np.copyto(seen.z_mm[hit.window], hit.z_mm, where=nearer)
    area, found = seen.layers[hit.window], look_up(hit, texture)
    area[nearer] = found[nearer]
