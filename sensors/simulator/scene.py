"""What one pinhole sees of placed surfaces: the nearest point of every pixel, its light and its material."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgefas.sensors.simulator.episode import Episode
from edgefas.sensors.simulator.light import key_direction, reflected, visibility
from edgefas.sensors.simulator.motion import Pose
from edgefas.sensors.simulator.rig import F32, View
from edgefas.sensors.simulator.surface import Surface, intersect, look_up, normals


@dataclass(frozen=True, eq=False)
class Lit:
    """A surface ready to be seen: normals, and shadows cast by the key light at its first pose."""

    surface: Surface
    normal: F32
    seen: F32


@dataclass(frozen=True, eq=False)
class Seen:
    """Per pixel of a view. Float32; arrays are (h, w) or (h, w, channels)."""

    z_mm: F32
    radiance: F32
    """Reflected ambient light at (red, green, blue, 850 nm): lux times reflectance."""
    emitted: F32
    """Light of screens, in the same unit."""
    nir: F32
    """Albedo at 850 nm."""
    facing: F32
    """Cosine between normal and line of sight."""
    inside: F32
    """Share of light that enters and scatters."""
    holes: F32
    """Chance that stereo finds nothing."""

    def copy(self) -> Seen:
        """A writable copy."""
        return Seen(*(getattr(self, name).copy() for name in self.__dataclass_fields__))


def lit(surface: Surface, place: Pose, episode: Episode) -> Lit:
    """Prepare a surface: done once per episode, since nothing turns far."""
    return Lit(surface, normals(surface), visibility(surface, place.rotation.T @ key_direction(episode)))


def empty_view(view: View) -> Seen:
    """Nothing, infinitely far and dark."""
    shape = (view.intrinsics.height_px, view.intrinsics.width_px)
    flat = [np.zeros(shape, np.float32) for _ in range(4)]
    four = [np.zeros((*shape, 4), np.float32) for _ in range(2)]
    return Seen(np.full(shape, 1e5, np.float32), four[0], four[1], *flat)


def paint(seen: Seen, thing: Lit, place: Pose, view: View, episode: Episode) -> None:
    """Draw a surface into what is seen, where it is nearer than what is there."""
    hit = intersect(thing.surface, place, view)
    if hit is None:
        return
    surface = thing.surface
    nearer = hit.mask & (hit.z_mm < seen.z_mm[hit.window])
    _, rays = view.rays(hit.window[1].start, hit.window[0].start, hit.window[1].stop, hit.window[0].stop)
    normal = look_up(hit, thing.normal) @ place.rotation.T.astype(np.float32)
    albedo, finish = look_up(hit, surface.albedo), look_up(hit, surface.finish)
    radiance = reflected(episode, albedo, finish, surface.roughness, normal, look_up(hit, thing.seen), rays)
    facing = np.clip(-(normal * rays).sum(-1) / np.linalg.norm(rays, axis=-1), 0, 1)
    layers = (
        (seen.z_mm, hit.z_mm),
        (seen.radiance, radiance),
        (seen.emitted, 0.0 if surface.emission is None else look_up(hit, surface.emission)),
        (seen.nir, albedo[..., 3]),
        (seen.facing, facing),
        (seen.inside, finish[..., 2]),
        (seen.holes, 0.0 if surface.depth_holes is None else look_up(hit, surface.depth_holes)),
    )
    for target, value in layers:
        area = target[hit.window]
        area[nearer] = value[nearer] if isinstance(value, np.ndarray) else value
