"""From light to pixels: exposure, photon and read noise, gain, white balance, gamma, 8 bits."""

from __future__ import annotations

import cv2
import numpy as np

from edgefas.sensors.frame import U8, Exposure
from edgefas.sensors.simulator.episode import Episode
from edgefas.sensors.simulator.grain import grain
from edgefas.sensors.simulator.light import TINT
from edgefas.sensors.simulator.rig import F32

IR_ELECTRONS_PER_MS = 823.0
"""Per W/m2 (550 nm terms) times albedo: 11000 e- in 33 ms under 300 lx of LED on albedo .5, f/2."""
FULL_WELL, READ_NOISE = 7000.0, 4.5
"""Electrons; full well 6-8 ke-, read noise 3-6 e- [M]."""
MAX_EXPOSURE_MS, MAX_GAIN = 33.0, 15.5
COLOR_ELECTRONS_PER_LUX_MS = 0.85
"""Times albedo; chosen so that 300 lx need about 20 ms, as with a D435's OV2740 [M]."""

_CROSSTALK = np.array([[0.90, 0.07, 0.01], [0.09, 0.86, 0.11], [0.01, 0.07, 0.88]], np.float32)
"""Rows are the light at 619, 550, 460 nm, columns the colour channels: filters overlap [M]."""


def expose(signal: F32, electrons_per_ms: float, target: float) -> Exposure:
    """Automatic exposure: brings the centre-weighted mean of a picture to `target` of full scale, as far as it can."""
    h, w = signal.shape
    mean = 0.35 * float(signal.mean()) + 0.65 * float(signal[h // 5 : h * 4 // 5, w // 4 : w * 3 // 4].mean())
    wanted = target * FULL_WELL / max(mean * electrons_per_ms, 1e-6)
    time_ms = min(max(wanted, 0.02), MAX_EXPOSURE_MS)
    return Exposure(time_us=time_ms * 1e3, gain=min(max(wanted / time_ms, 1.0), MAX_GAIN))


def infrared(signal: F32, exposure: Exposure, noise: float, rng: np.random.Generator) -> U8:
    """Y8 of the left imager, linear in light.

    Variance in DN: shot + read + 1 % fixed pattern: var = DN G 255/FW + (r G 255/FW)^2 + (.01 DN)^2.
    """
    unit = exposure.gain * 255 / FULL_WELL
    blurred = cv2.GaussianBlur(signal, (0, 0), 0.45)  # lens and pixel
    dn = blurred * (IR_ELECTRONS_PER_MS * exposure.time_us * 1e-3 * unit)
    sigma = np.sqrt(dn * unit + (READ_NOISE * unit) ** 2 + (0.01 * dn) ** 2) * noise
    dn = dn + sigma * grain(rng, signal.shape)
    return np.asarray(np.clip(np.rint(dn + 1.0), 0, 255), np.uint8)  # black level 1


def color(
    radiance: F32, episode: Episode, noise: float, target: float, rng: np.random.Generator
) -> tuple[U8, Exposure]:
    """RGB of the colour camera: sRGB-like curve with a shoulder, white balance not quite perfect."""
    green = radiance[..., 1]
    exposure = expose(green, COLOR_ELECTRONS_PER_LUX_MS, target)
    unit = exposure.gain / FULL_WELL
    scale = COLOR_ELECTRONS_PER_LUX_MS * exposure.time_us * 1e-3 * unit
    mixed = cv2.transform(cv2.GaussianBlur(radiance, (0, 0), 0.55), _CROSSTALK.T * scale)
    sigma = np.sqrt(np.maximum(mixed[..., 1], 0) * unit + (READ_NOISE * unit) ** 2) * noise
    mixed += sigma[..., None] * grain(rng, radiance.shape, 0.6)  # demosaicing and denoising smear the noise
    mixed *= np.array(TINT[episode.light], np.float32)
    return tone(mixed), exposure


def tone(linear: F32) -> U8:
    """Linear light (1 = white) to 8 bits."""
    return np.asarray(_CURVE[np.clip(linear * np.float32(2047), 0, 4095).astype(np.uint16)], np.uint8)


def _curve() -> U8:
    """sRGB with a shoulder: highlights roll off from .7 and reach white at about twice that."""
    linear = np.arange(4096) / 2047
    rolled = np.where(linear > 0.7, 0.7 + 0.3 * (1 - np.exp(-(linear - 0.7) / 0.3)), linear)
    srgb = np.where(rolled < 0.0031308, rolled * 12.92, 1.055 * np.maximum(rolled, 1e-6) ** (1 / 2.4) - 0.055)
    return np.asarray(np.clip(np.rint(srgb * 255), 0, 255), np.uint8)


_CURVE = _curve()
