"""librealsense's intrinsics and extrinsics <-> ours: metres become millimetres, column-major becomes row-major."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgefas.sensors.frame import Calibration, Extrinsics, Intrinsics
from edgefas.sensors.realsense.sdk import load


def read_calibration(grid: Any, color: Any | None, baseline_mm: float) -> Calibration:
    """The geometry of two stream profiles.

    Args:
        grid: the depth stream's profile, or left infrared's when there is no depth: they share one grid.
        color: the colour stream's profile; None repeats the grid's, as there is no picture to apply it to.
        baseline_mm: distance of the two infrared imagers.
    """
    depth = _from_rs_intrinsics(grid.as_video_stream_profile().get_intrinsics())
    if color is None:
        return Calibration(depth, depth, baseline_mm=baseline_mm)
    to_color = grid.get_extrinsics_to(color)
    rotation = np.reshape(to_color.rotation, (3, 3)).T  # column-major
    extrinsics = Extrinsics(
        tuple(float(r) for r in rotation.ravel()),
        (to_color.translation[0] * 1000, to_color.translation[1] * 1000, to_color.translation[2] * 1000),
    )
    return Calibration(
        depth, _from_rs_intrinsics(color.as_video_stream_profile().get_intrinsics()), extrinsics, baseline_mm
    )


def _from_rs_intrinsics(given: Any) -> Intrinsics:
    # D400 colour is labelled "inverse Brown-Conrady", yet librealsense projects with the forward polynomial too.
    k1, k2, p1, p2, k3 = (float(c) for c in given.coeffs)
    return Intrinsics(
        given.width, given.height, given.fx, given.fy, given.ppx, given.ppy, distortion=(k1, k2, p1, p2, k3)
    )


def to_rs_intrinsics(given: Intrinsics) -> Any:
    """Ours as `rs.intrinsics`."""
    rs = load()
    result = rs.intrinsics()
    result.width, result.height = given.width_px, given.height_px
    result.fx, result.fy, result.ppx, result.ppy = given.fx_px, given.fy_px, given.ppx_px, given.ppy_px
    result.model, result.coeffs = rs.distortion.brown_conrady, list(given.distortion)
    return result


def to_rs_extrinsics(given: Extrinsics) -> Any:
    """Ours as `rs.extrinsics`."""
    result = load().extrinsics()
    result.rotation = list(np.reshape(given.rotation, (3, 3)).T.ravel())
    result.translation = [t / 1000 for t in given.translation_mm]
    return result
