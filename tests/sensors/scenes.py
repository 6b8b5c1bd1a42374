"""Analytic scenes for the sensor tests, ray-cast in float64; knows nothing of `edgefas.sensors.alignment`."""

from __future__ import annotations

import numpy as np

from edgefas.sensors.frame import Calibration, Exposure, Extrinsics, Frame, Intrinsics

SMALL = Calibration(
    Intrinsics(160, 120, 95.5, 95.2, 79.9, 60.2),
    Intrinsics(160, 120, 153.6, 153.2, 80.7, 59.7),
    Extrinsics(translation_mm=(14.75, 0.15, 0.3)),
    49.95,
)


def turned(axis: tuple[float, float, float], angle: float) -> tuple[float, ...]:
    """Row-major rotation matrix about `axis` (Rodrigues)."""
    x, y, z = np.array(axis) / np.linalg.norm(axis)
    K = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    R = np.eye(3) + np.sin(angle) * K + (1 - np.cos(angle)) * K @ K
    return tuple(float(r) for r in R.ravel())


def moment(number: int, calibration: Calibration = SMALL, *, alternate: bool = False, seed: int = 0) -> Frame:
    """A frame of noise: no two are alike, so a mixed-up or repeated picture shows. Lit infrared has dots."""
    rng = np.random.default_rng((seed, number))
    grid, color = calibration.depth, calibration.color
    shape = (grid.height_px, grid.width_px)
    return Frame(
        color=rng.integers(0, 256, (color.height_px, color.width_px, 3), np.uint8),
        ir_lit=unlit(number, calibration, seed=seed)
        + (rng.random(shape) < 0.06) * rng.integers(60, 200, shape, np.uint8),
        ir_unlit=unlit(number, calibration, seed=seed) if alternate else None,
        depth=rng.integers(0, 2000, shape, np.uint16),
        depth_scale_m=0.001,
        calibration=calibration,
        number=number,
        device_ns=number * 33_333_000,
        clock="hardware",
        host_ns=number,
        camera="TEST",
        ir_lit_exposure=Exposure(8500.0, 16.0),
        ir_unlit_exposure=Exposure(8500.0, 16.0) if alternate else None,
    )


def unlit(number: int, calibration: Calibration = SMALL, *, seed: int = 0) -> np.ndarray:
    """The infrared picture of `moment(number)` without the dots: dim noise, no two alike."""
    grid = calibration.depth
    return np.random.default_rng((seed, number, 1)).integers(0, 9, (grid.height_px, grid.width_px), np.uint8)


def render_moment(episode: str, index: int) -> Frame:
    """The render function of the tests' simulated camera; `episode` "broken" fails at frame 2."""
    if episode == "broken" and index == 2:
        raise ValueError("this scene cannot be rendered")
    return moment(index, alternate=True)
