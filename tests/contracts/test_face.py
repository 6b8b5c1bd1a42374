"""FaceBox overlap, against counted pixels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgefas.contracts import FaceBox
from tests.contracts.strategies import face_boxes

whole_px = st.integers(0, 20)


def box(x: float, y: float, width: float, height: float) -> FaceBox:
    return FaceBox(x_px=x, y_px=y, width_px=width, height_px=height, median_z_mm=500)


small = st.builds(box, whole_px, whole_px, st.integers(1, 20), st.integers(1, 20))


def painted(face: FaceBox) -> np.ndarray:
    picture = np.zeros((40, 40), bool)
    x, y = int(face.x_px), int(face.y_px)
    picture[y : y + int(face.height_px), x : x + int(face.width_px)] = True
    return picture


@given(small, small)
def test_iou_is_that_of_the_painted_boxes(one: FaceBox, other: FaceBox) -> None:
    a, b = painted(one), painted(other)
    assert one.iou(other) == pytest.approx((a & b).sum() / (a | b).sum())


@given(face_boxes, face_boxes)
def test_iou_is_symmetric_and_bounded(one: FaceBox, other: FaceBox) -> None:
    assert 0 <= one.iou(other) <= 1 + 1e-9
    assert one.iou(other) == other.iou(one)


@given(face_boxes)
def test_a_box_covers_itself(face: FaceBox) -> None:
    # An edge far from the origin rounds x + width: a box of 1 px at 1e5 px still agrees to 1e-9.
    assert face.iou(face) == pytest.approx(1, abs=1e-9)


def test_centre() -> None:
    assert box(10, 20, 4, 8).centre_px == (12, 24)
