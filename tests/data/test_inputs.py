"""Samples as inputs: where a face that somebody cut out is taken to be."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from edgefas.contracts import BoxCrop, DepthInput, InputSpec
from edgefas.data import open_dataset
from edgefas.data.inputs import encoder

SPEC = InputSpec(crop=BoxCrop(scale=1.0), depth=DepthInput(height_px=40, width_px=40, clip_mm=60))


@pytest.mark.parametrize("side_px", [22, 40])
def test_millimetres_are_told_from_the_face_not_from_the_room_around_it(tmp_path: Path, side_px: int) -> None:
    """A telephone in the middle of its crop, with a wall a metre behind in most of it."""
    depth = np.full((80, 80), 1600, np.uint16)
    low, high = 40 - side_px, 40 + side_px
    depth[low:high, low:high] = 600
    depth[38:42, 38:42] = 570
    assert cv2.imwrite(str(tmp_path / "d.png"), depth)
    (tmp_path / "captures.csv").write_text("split,label,depth\ntest,attack,d.png\n")
    table = open_dataset("folder", tmp_path)
    (inputs,) = encoder(table, SPEC, 1)(table[0])
    assert inputs is not None
    relief = inputs["depth"][0, 0]
    assert relief[12, 12] == 0, "the telephone"
    assert relief[20, 20] == pytest.approx(0.5), "30 mm before it"
    assert relief[0, 0] == (-1 if side_px < 40 else 0), "the wall"
