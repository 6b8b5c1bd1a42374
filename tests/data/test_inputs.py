"""Samples as inputs: where a face that somebody cut out is taken to be."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from edgefas.contracts import BoxCrop, DepthInput, InputSpec, RGBInput
from edgefas.data import Split, open_dataset
from edgefas.data import inputs as inputs_module
from edgefas.data.inputs import encoder
from edgefas.training.encoded import EncodedSamples
from tests.data import trees

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


@pytest.mark.parametrize("asked", [2, 3])
def test_training_makes_the_moments_it_wants_and_no_others(
    asked: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two pictures a clip: asked for three moments of them, it has two."""
    trees.casia_surf_paper(tmp_path, "video")
    for number, path in enumerate(sorted(tmp_path.rglob("color/*.jpg"))):
        path.write_bytes(trees.picture(number))
    table = open_dataset("casia-surf", tmp_path, "paper-video")
    samples = EncodedSamples(table, Split.TRAIN, asked)
    spec = InputSpec(crop=BoxCrop(scale=1.0), rgb=RGBInput(height_px=16, width_px=16))
    encode = encoder(table, spec, asked)
    whole = [inputs for row in table.rows(Split.TRAIN) for inputs in encode(table[int(row)])]
    made = []
    counted = inputs_module.encode_cropped
    monkeypatch.setattr(inputs_module, "encode_cropped", lambda *given: made.append(1) or counted(*given))
    rows = [asked * clip + 1 for clip in range(len(samples) // asked)]
    found = samples.read(rows, spec)
    assert [row for row, _ in found] == rows
    for (_, inputs), wanted in zip(found, whole[1::2], strict=True):
        assert wanted is not None
        np.testing.assert_array_equal(inputs["rgb"], wanted["rgb"][0])
    assert len({float(inputs["rgb"].mean()) for _, inputs in found}) == len(rows)
    assert len(made) == len(rows) * (1 if asked == 2 else 3)
