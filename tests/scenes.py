"""Small analytic frames for tests: one camera whose colour grid is its depth grid, so every pixel can be foretold."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgefas.contracts import DepthInput, FaceBox, InputSpec, IRInput, MetricCrop, RGBInput
from edgefas.sensors.frame import Calibration, Frame, Intrinsics

GRID = Intrinsics(640, 480, 400.0, 400.0, 320.0, 240.0)
CALIBRATION = Calibration(depth=GRID, color=GRID)


def noise_frame(number: int = 1, seed: int = 0, z_mm: int = 500, **changes: Any) -> Frame:
    """Random colour and infrared, a flat depth of `z_mm` with random bumps and holes."""
    rng = np.random.default_rng(seed)
    depth = (z_mm + rng.integers(-40, 40, (480, 640))).astype(np.uint16)
    depth[rng.random((480, 640)) < 0.1] = 0
    fields: dict[str, Any] = {
        "color": rng.integers(0, 256, (480, 640, 3), dtype=np.uint8),
        "ir_lit": rng.integers(0, 256, (480, 640), dtype=np.uint8),
        "ir_unlit": rng.integers(0, 256, (480, 640), dtype=np.uint8),
        "depth": depth,
        "depth_scale_m": 0.001,
        "calibration": CALIBRATION,
        "number": number,
        "device_ns": number * 33_333_333,
        "clock": "hardware",
        "host_ns": 0,
        "camera": "TEST",
    }
    return Frame(**(fields | changes))


def face(x: float = 250, y: float = 170, size: float = 140, z_mm: float = 500) -> FaceBox:
    """A box near the middle."""
    return FaceBox(x_px=x, y_px=y, width_px=size, height_px=size, median_z_mm=z_mm)


def spec(side_px: int = 112, crop_mm: float = 280, **changes: Any) -> InputSpec:
    """At 500 mm and f = 400 px, 280 mm are 224 px: exactly two pixels of the camera per pixel of the input."""
    parts: dict[str, Any] = {
        "crop": MetricCrop(width_mm=crop_mm, height_mm=crop_mm),
        "rgb": RGBInput(height_px=side_px, width_px=side_px),
        "ir": IRInput(height_px=side_px, width_px=side_px),
        "depth": DepthInput(height_px=side_px, width_px=side_px),
    }
    return InputSpec(**(parts | changes))
