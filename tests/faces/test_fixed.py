"""The fixed box: where it was told, at the distance of what is in it, and every wrong text refused."""

from __future__ import annotations

import numpy as np
import pytest

from edgefas.contracts import Policy, Reason
from edgefas.errors import UsageError
from edgefas.faces import FixedBox
from edgefas.live.gates import gate
from tests.scenes import noise_frame, spec


def test_the_box_has_the_distance_of_what_is_in_it() -> None:
    (face,) = FixedBox("250,170,140,120")(noise_frame(z_mm=500), ())
    assert (face.x_px, face.y_px, face.width_px, face.height_px) == (250, 170, 140, 120)
    assert face.median_z_mm == pytest.approx(500, abs=5)


@pytest.mark.parametrize("depth", [0, 150, 1700])
def test_nothing_within_reach_is_no_face(depth: int) -> None:
    frame = noise_frame(depth=np.full((480, 640), depth, np.uint16))
    assert FixedBox("250,170,140,120")(frame, ()) == []


def test_a_box_of_no_heads_size_is_kept_for_the_gate_to_tell() -> None:
    frame = noise_frame(z_mm=1000)
    (face,) = FixedBox("250,170,140,140")(frame, ())  # 350 mm wide there
    assert gate(frame, face, spec(), Policy()) is Reason.FACE_SIZE_IMPLAUSIBLE


@pytest.mark.parametrize(
    "text", ["", "1,2,3", "1,2,30,40,50", "a,b,c,d", "-1,2,30,40", "1.5,2,30,40", "1,2,0,40", "1,2,15,40", "1,2,3e9,40"]
)
def test_wrong_texts_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="face box"):
        FixedBox(text)


def test_a_box_outside_the_picture_names_its_size() -> None:
    with pytest.raises(UsageError, match="640x480"):
        FixedBox("600,10,140,140")(noise_frame(), ())
