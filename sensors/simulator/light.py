"""Light on surfaces: key and fill with soft shadows, and the dots of the camera's own 850 nm projector.

Irradiance is in lux of a white LED; `IR_PER_LUX` turns it into what the infrared imagers collect.
"""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

from edgefas.sensors.simulator.episode import Episode
from edgefas.sensors.simulator.rig import F32, F64, LAYOUTS, View
from edgefas.sensors.simulator.surface import Surface, dot, length

FRESNEL = 0.028
"""Of skin at normal incidence, n = 1.4."""

IR_PER_LUX = {"led": 0.0027, "tungsten": 0.0127, "daylight": 0.0059}
"""Signal of the silicon imager in W/m2 at 550 nm per lux: Planck spectra and a white LED through its QE;
a tungsten lamp gives 4.7 times the LED's signal per lux."""
NIR_SHARE = {"led": 0.02, "tungsten": 0.65, "daylight": 0.34}
"""Share of those electrons above 700 nm."""
IRPASS_SHARE = {"led": 0.003, "tungsten": 0.35, "daylight": 0.13}
"""Share left behind an 800-900 nm filter."""
TINT = {"led": (1.0, 1.0, 0.99), "tungsten": (1.10, 1.0, 0.84), "daylight": (0.98, 1.0, 1.05)}
"""What automatic white balance leaves of the lamp's colour [M]."""
PROJECTOR_W_M2 = 0.21 * 0.70
"""Mean at 600 mm and 150 mW (D400 datasheet power over the field), in 550 nm terms: QE ratio .45, photons per W."""
_PANCHROMATIC = np.array([0.35, 0.40, 0.25], np.float32)
"""Weights of red, green and blue in what an unfiltered silicon imager sees of white light."""
_WRAP = np.array([0.22, 0.10, 0.06, 0.22], np.float32)
"""Light scattered round the terminator, per channel: most where skin lets light travel furthest."""


def key_direction(episode: Episode) -> F64:
    """Unit vector towards the key light in the camera's axes."""
    azimuth, elevation = np.deg2rad(episode.light_azimuth_deg), np.deg2rad(episode.light_elevation_deg)
    return np.array(
        [np.sin(azimuth) * np.cos(elevation), -np.sin(elevation), -np.cos(azimuth) * np.cos(elevation)], np.float64
    )


def visibility(surface: Surface, towards_light: F64) -> F32:
    """(h, w, 2): how much of the key light and of the surrounding light reaches each point of a heightfield.

    `towards_light` is in the object's axes. The key is an area light: shadows soften with the distance to what casts.
    """
    step = max(1.5, surface.step_mm)
    h, w = surface.height_mm.shape
    size = (max(2, int(w * surface.step_mm / step)), max(2, int(h * surface.step_mm / step)))
    height = cv2.resize(np.maximum(surface.height_mm, surface.floor_mm), size, interpolation=cv2.INTER_AREA)
    rise = max(float(-towards_light[2]), 0.15)
    key = np.ones_like(height)
    for distance in np.geomspace(2.0, 90.0, 16):
        shift = towards_light[:2] / rise * distance / step
        moved = cv2.warpAffine(
            height, np.array([[1, 0, -shift[0]], [0, 1, -shift[1]]]), size, borderMode=cv2.BORDER_REPLICATE
        )
        above = (moved - height) - distance  # of the blocker over the ray
        above /= 0.35 * distance + 1.0
        np.subtract(0.5, above, out=above)
        key = np.minimum(key, np.clip(above, 0, 1, out=above))
    ambient = np.ones_like(height)
    for sigma in (3.0, 8.0, 20.0):
        hollow = cv2.GaussianBlur(height, (0, 0), sigma / step) - height
        ambient *= 1 - 0.55 * np.clip(hollow / (1.1 * sigma), 0, 0.85)
    both = np.stack([cv2.GaussianBlur(key, (0, 0), 1.3), ambient], -1).astype(np.float32)
    return np.asarray(cv2.resize(both, (w, h), interpolation=cv2.INTER_LINEAR), np.float32)


def reflected(episode: Episode, surface: Surface, normal: F32, seen: F32, rays: F32) -> F32:
    """Radiance times pi in lux, (h, w, 4): diffuse key with wrap, fill, and a rough surface reflection of the key.

    Unit vectors `normal` (towards the viewer) and `rays` (away) are in the camera's axes; `seen` is `visibility`.
    """
    light = key_direction(episode).astype(np.float32)
    cosine = (normal @ light)[..., None]
    key, fill = episode.illuminance_lx * (1 - episode.fill_share) * 1.35, episode.illuminance_lx * episode.fill_share
    wrap = _WRAP * surface.finish[..., 2:3]
    diffuse = np.clip((cosine + wrap) / (1 + wrap), 0, None) * key * seen[..., :1]
    # rooms are brighter above and in front than below and behind
    around = fill * seen[..., 1:] * (0.80 - 0.22 * normal[..., 1:2] - 0.10 * normal[..., 2:3])
    if not surface.finish[..., 0].any():  # a wall mirrors nothing, and this is half of the work
        return np.asarray(surface.albedo * (diffuse + around), np.float32)
    half = light - rays
    half /= length(half)[..., None]
    lobe = beckmann(np.clip(dot(normal, half), 0.05, 1), surface.roughness)
    outgoing = np.clip(-dot(normal, rays), 0.25, 1)
    gloss = np.pi * FRESNEL * lobe / (4 * outgoing) * key * np.clip(cosine[..., 0], 0, 1) * seen[..., 0]
    mirrored = (gloss + FRESNEL * around[..., 0]) * surface.finish[..., 0]
    return np.asarray(surface.albedo * (diffuse + around) + mirrored[..., None], np.float32)


def infrared_ambient(episode: Episode, light: F32, emission: F32 | None) -> F32:
    """What the left imager collects of ambient and screen light (h, w, 4) without the projector, W/m2 in 550 nm terms.

    A D435's imager sees all of it; behind an 850 nm filter only the lamp's own near infrared is left.
    """
    per_lux, nir = IR_PER_LUX[episode.light], NIR_SHARE[episode.light]
    if episode.camera == "irpass":
        return np.asarray(per_lux * IRPASS_SHARE[episode.light] * light[..., 3], np.float32)
    ambient = per_lux * ((1 - nir) * (light[..., :3] @ _PANCHROMATIC) + nir * light[..., 3])
    if emission is not None:
        ambient = ambient + IR_PER_LUX["led"] * (emission[..., :3] @ _PANCHROMATIC)
    return np.asarray(ambient, np.float32)


def beckmann(cosine: F32, roughness: float) -> F32:
    """Beckmann's microfacet distribution, 1/sr."""
    c2, m2 = cosine**2, roughness**2
    return np.asarray(np.exp((c2 - 1) / (c2 * m2)) / (np.pi * m2 * c2**2), np.float32)


@lru_cache(maxsize=4)
def _dots(site: int) -> F32:
    """The projector's pattern in its own frame, mean 1: about 5000 dots, mean pitch 9.2 px of an 848 px image."""
    rng = np.random.default_rng([61, site])
    pitch, sigma = 9.2 * 640 / 848, rng.uniform(2.2, 3.0) / 2.355 * 640 / 848
    scale = 2  # finer than the imager: dots fall anywhere between its pixels
    width, height = 900, 620
    columns, rows = int(width / pitch), int(height / pitch)
    x, y = np.meshgrid(np.arange(columns), np.arange(rows))
    spots = (np.stack([x + 0.5 * (y % 2), y], -1) + rng.uniform(-0.36, 0.36, (rows, columns, 2))) * pitch * scale
    sheet = np.zeros((height * scale, width * scale), np.float32)
    bright = rng.uniform(0.6, 1.4, (rows, columns))
    px = np.clip(spots.round().astype(int), 0, [width * scale - 1, height * scale - 1])
    np.add.at(sheet, (px[..., 1], px[..., 0]), bright)
    sheet = cv2.GaussianBlur(sheet, (0, 0), sigma * scale)
    return np.asarray(0.04 + 0.96 * sheet / sheet.mean(), np.float32)


def projected(episode: Episode, z_mm: F32, facing: F32, view: View, gain: float) -> F32:
    """Irradiance of the dots on what the left imager sees, W/m2 in 550 nm terms, before any scattering.

    The pattern is fixed to the projector, so in the imager it shifts by f * X / z; it thins out with z squared.
    """
    k = view.intrinsics
    sheet = _dots(episode.site)
    x, y = np.meshgrid(np.arange(k.width_px, dtype=np.float32), np.arange(k.height_px, dtype=np.float32))
    u = (x - k.fx_px * LAYOUTS[episode.rig].projector_x_mm / z_mm - k.ppx_px) * 2 + sheet.shape[1] / 2
    v = (y - k.ppy_px) * 2 + sheet.shape[0] / 2
    pattern = cv2.remap(sheet, u.astype(np.float32), v.astype(np.float32), cv2.INTER_LINEAR)
    return np.asarray(pattern * facing * (PROJECTOR_W_M2 * gain) * (600.0 / z_mm) ** 2, np.float32)


def scatter(light: F32, share: F32, z_mm: float, fx_px: float, spread: float) -> F32:
    """Light re-emitted by a translucent body: .45 G(0.7 mm) + .35 G(2 mm) + .20 G(5 mm), dipole at 850 nm, mus' 1.2/mm.

    `share` 0-1 of each pixel takes part; `spread` scales the widths (0.65-1.4 over the published inputs).
    """
    blurred = np.zeros_like(light)
    for weight, sigma_mm in ((0.45, 0.7), (0.35, 2.0), (0.20, 5.0)):
        blurred += weight * cv2.GaussianBlur(light, (0, 0), max(sigma_mm * spread * fx_px / z_mm, 0.05))
    return np.asarray(light + share * (blurred - light), np.float32)
