"""The assumed pinhole, and frames of one picture."""

from __future__ import annotations

import math

import numpy as np
import pytest

from edgefas.errors import UsageError
from edgefas.sensors.pinhole import assumed_calibration, parse_fov, plain_frame

FACTS = {"number": 1, "device_ns": 5, "clock": "system", "host_ns": 6, "camera": "c"}


@pytest.mark.parametrize("fov_deg", [20.0, 70.0, 150.0])
def test_the_field_of_view_is_what_was_stated(fov_deg: float) -> None:
    """From the edge of the first pixel to that of the last, independent of the formula: the angle between two rays."""
    lens = assumed_calibration(640, 480, fov_deg).depth
    left, right = ((edge - lens.ppx_px) / lens.fx_px for edge in (-0.5, 639.5))
    assert math.degrees(math.atan(right) - math.atan(left)) == pytest.approx(fov_deg)
    assert lens.fx_px == lens.fy_px


def test_both_grids_are_one() -> None:
    cal = assumed_calibration(64, 48, 70)
    assert cal.color == cal.depth
    assert cal.depth_to_color.translation_mm == (0.0, 0.0, 0.0)


def test_each_role_fills_its_stream_alone() -> None:
    cal = assumed_calibration(4, 3, 70)
    picture = np.arange(36, dtype=np.uint8).reshape(3, 4, 3)
    rgb = plain_frame(picture, "rgb", cal, **FACTS)
    assert np.array_equal(rgb.color, picture[..., ::-1])
    assert (rgb.ir_lit, rgb.ir_unlit, rgb.depth) == (None, None, None)
    grey = np.repeat(np.arange(12, dtype=np.uint8).reshape(3, 4, 1), 3, axis=2)
    for role, name in (("ir", "ir_lit"), ("ir_unlit", "ir_unlit")):
        frame = plain_frame(grey, role, cal, **FACTS)
        assert np.array_equal(getattr(frame, name), grey[..., 0])  # exact: no weights of colour in infrared
        assert sum(getattr(frame, other) is not None for other in ("color", "ir_lit", "ir_unlit", "depth")) == 1
        assert np.array_equal(getattr(plain_frame(grey[..., 0], role, cal, **FACTS), name), grey[..., 0])


@pytest.mark.parametrize("picture", [None, np.zeros((3, 4), np.uint16), np.zeros((3, 5, 3), np.uint8)])
def test_other_pictures_are_refused(picture: object) -> None:
    with pytest.raises(ValueError, match=r"picture is|calibration says"):
        plain_frame(picture, "rgb", assumed_calibration(4, 3, 70), **FACTS)


@pytest.mark.parametrize("text", ["", "0", "19", "151", "nan", "wide", "-70"])
def test_a_wrong_field_of_view(text: str) -> None:
    with pytest.raises(UsageError, match="20 to 150 degrees, such as fov=70"):
        parse_fov(text)
