"""Frame: one moment seen by one camera, copied out of the driver."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Literal

import numpy as np
import numpy.typing as npt

U8 = npt.NDArray[np.uint8]
U16 = npt.NDArray[np.uint16]

Clock = Literal["hardware", "global", "system"]
"""Domain of `Frame.device_ns`: the camera's own clock, that clock mapped to the host's, or the host's alone."""


class Flaw(str, Enum):
    """What is wrong with a frame that was handed on all the same; nothing may be decided about such a frame."""

    BLANK = "blank"
    """Colour or infrared is zero in every pixel: no imager is that dark."""
    FROZEN = "frozen"
    """A picture repeats the one before, byte for byte, under a new number: no imager is that quiet."""
    DEPTH_EMPTY = "depth_empty"
    """Hardly a pixel has depth."""
    CLOCK_JUMP = "clock_jump"
    """The camera's time went back, leapt, or changed its domain since the frame before."""


@dataclass(frozen=True)
class Intrinsics:
    """A pinhole with Brown-Conrady distortion, in pixels of its own grid."""

    width_px: int
    height_px: int
    fx_px: float
    fy_px: float
    ppx_px: float
    ppy_px: float
    distortion: tuple[float, float, float, float, float] = (0.0, 0.0, 0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Extrinsics:
    """Maps a point of the depth camera to the colour camera: p_color = R p_depth + t."""

    rotation: tuple[float, ...] = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
    """Row-major 3x3 (librealsense's own order is column-major)."""
    translation_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Calibration:
    """Geometry of one camera. Left IR and depth share one rectified grid: same intrinsics, no extrinsics."""

    depth: Intrinsics
    color: Intrinsics
    depth_to_color: Extrinsics = Extrinsics()
    baseline_mm: float = 50.0


@dataclass(frozen=True)
class Exposure:
    """What the IR imager did; lets the unlit picture be matched to the lit one."""

    time_us: float
    gain: float


@dataclass(frozen=True, eq=False)
class Frame:
    """Colour (H,W,3) RGB uint8 on the colour grid; infrared (h,w) uint8 and depth (h,w) uint16 on the depth grid.

    A stream the camera does not have is None: missing is never a black picture. Depth 0 means no return.
    Arrays own their memory and are read-only: no driver buffer escapes (librealsense stops after 16 held frames).
    """

    color: U8 | None
    ir_lit: U8 | None
    ir_unlit: U8 | None
    depth: U16 | None
    depth_scale_m: float
    calibration: Calibration
    number: int
    device_ns: int
    clock: Clock
    host_ns: int
    camera: str
    """Serial number: a frame of another camera is another witness."""
    dropped: int = 0
    """Frames lost before this one."""
    ir_lit_exposure: Exposure | None = None
    ir_unlit_exposure: Exposure | None = None
    flaws: tuple[Flaw, ...] = ()
    """In the order of `Flaw`."""

    def __post_init__(self) -> None:
        color, grid = self.calibration.color, self.calibration.depth
        _own(self, "color", np.uint8, (color.height_px, color.width_px, 3))
        for name in ("ir_lit", "ir_unlit"):
            _own(self, name, np.uint8, (grid.height_px, grid.width_px))
        _own(self, "depth", np.uint16, (grid.height_px, grid.width_px))
        if not 0 < self.depth_scale_m < 1:
            raise ValueError(f"depth_scale_m is {self.depth_scale_m}, must be above 0 and below 1 metre per unit")


def _own(frame: Frame, name: str, dtype: type, shape: tuple[int, ...]) -> None:
    """Check one stream against the calibration, copy it when it is a view, and lock it."""
    array = getattr(frame, name)
    if array is None:
        return
    if not isinstance(array, np.ndarray) or array.dtype != dtype or array.shape != shape:
        got = f"{array.dtype} {array.shape}" if isinstance(array, np.ndarray) else type(array).__name__
        raise ValueError(f"{name} is {got}, the calibration says {np.dtype(dtype)} {shape}")
    if array.base is not None or not array.flags.c_contiguous:
        array = array.copy(order="C")
        object.__setattr__(frame, name, array)
    array.flags.writeable = False
