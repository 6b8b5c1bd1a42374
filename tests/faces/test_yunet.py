"""YuNet through OpenCV's own decoder, on a tiny network that finds bright blobs; no real YuNet is in this suite."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgefas.contracts import Policy, Reason
from edgefas.faces import FaceModelError, YuNet
from edgefas.live.gates import gate, turn_deg
from edgefas.sensors.frame import Calibration, Extrinsics, Frame
from tests.bundles import mean_depth_network
from tests.faces.yunet_file import EYES_APART_PX, WINDOW_PX, write_blob_finder
from tests.scenes import CALIBRATION, GRID, noise_frame, spec

SCALE = 2
"""The frames are 640 px wide, the network's picture 320."""
TOLERANCE_PX = 8 * SCALE
"""Its finest cells are 8 px apart."""


def blob_frame(x: int, y: int, z_mm: int = 500, **changes: object) -> Frame:
    """A bright square around (x, y) of an otherwise dim colour picture, noise enough for the gates."""
    rng = np.random.default_rng(0)
    color = rng.integers(20, 60, (480, 640, 3), dtype=np.uint8)
    half = WINDOW_PX * SCALE // 2
    color[y - half : y + half, x - half : x + half] = rng.integers(190, 256, (2 * half, 2 * half, 3), dtype=np.uint8)
    return noise_frame(z_mm=z_mm, **{"color": color, **changes})


@pytest.fixture(scope="module")
def finder(tmp_path_factory: pytest.TempPathFactory) -> YuNet:
    return YuNet(write_blob_finder(tmp_path_factory.mktemp("yunet") / "blobs.onnx"))


def test_a_face_is_where_its_eyes_say(finder: YuNet) -> None:
    (face,) = finder(blob_frame(300, 200))
    eyes_apart = EYES_APART_PX * SCALE
    assert face.centre_px == pytest.approx((300, 200 + 0.42 * eyes_apart), abs=TOLERANCE_PX)
    assert (face.width_px, face.height_px) == pytest.approx((2.3 * eyes_apart,) * 2, rel=0.01)
    assert face.median_z_mm == pytest.approx(500, abs=5)
    assert face.landmarks_px is not None
    right, left, nose = face.landmarks_px[:3]
    assert left[0] - right[0] == pytest.approx(eyes_apart, rel=0.01)
    assert right[0] < nose[0] < left[0] < face.x_px + face.width_px
    assert nose[1] > right[1]


def test_two_blobs_are_two_faces_nearest_first(finder: YuNet) -> None:
    left, right = blob_frame(150, 200), blob_frame(470, 200)
    color, depth = np.maximum(left.color, right.color), left.depth.copy()
    depth[:, 320:] = np.where(depth[:, 320:] > 0, depth[:, 320:] - 60, 0)
    faces = finder(replace(left, color=color, depth=depth))
    assert [round(face.centre_px[0], -1) > 320 for face in faces] == [True, False]


def test_depth_has_the_last_word(finder: YuNet) -> None:
    assert finder(blob_frame(300, 200, z_mm=1300)) == []  # 138 px are 450 mm there: no head
    frame = blob_frame(300, 200)
    assert finder(replace(frame, depth=np.zeros_like(frame.depth))) == []
    assert finder(replace(frame, depth=None)) == []


def test_a_colour_camera_beside_the_depth_camera(finder: YuNet) -> None:
    """Seen 40 mm to the side, at 500 mm and f = 400 px: 32 px of parallax between the two pictures."""
    beside = Calibration(depth=GRID, color=GRID, depth_to_color=Extrinsics(translation_mm=(40.0, 0.0, 0.0)))
    (same,) = finder(blob_frame(300, 200))
    (moved,) = finder(blob_frame(300, 200, calibration=beside))
    assert moved.x_px == pytest.approx(same.x_px - 32, abs=1)
    assert moved.landmarks_px[2][0] == pytest.approx(same.landmarks_px[2][0] - 32, abs=1)


@pytest.mark.parametrize("colour", ["missing", "dark"])
def test_infrared_serves_where_colour_does_not(finder: YuNet, colour: str) -> None:
    frame = blob_frame(300, 200)
    grey = frame.color.mean(2).astype(np.uint8)
    dark = {"color": None if colour == "missing" else np.zeros_like(frame.color)}
    for infrared in ({"ir_unlit": grey}, {"ir_unlit": np.zeros_like(grey), "ir_lit": grey}):
        (face,) = finder(replace(frame, **dark, **infrared))
        assert face.centre_px[0] == pytest.approx(300, abs=TOLERANCE_PX)


def test_landmarks_tell_a_turned_face(tmp_path: Path) -> None:
    turned = YuNet(write_blob_finder(tmp_path / "turned.onnx", nose_off=0.4))
    frame = blob_frame(300, 200)
    (face,) = turned(frame)
    assert turn_deg(frame, face) > 25
    assert gate(frame, face, spec(), Policy()) is Reason.FACE_TURNED
    frontal = face.model_copy(update={"landmarks_px": None})
    assert gate(frame, frontal, spec(), Policy()) is None


def _missing(path: Path) -> None:
    pass


def _other_network(path: Path) -> None:
    path.write_bytes(mean_depth_network().SerializeToString())


def _cut_off(path: Path) -> None:
    path.write_bytes(write_blob_finder(path).read_bytes()[:-700])


def _too_large(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(20 << 20)


WRONG = {
    "missing": (_missing, "No such file"),
    "empty": (lambda path: path.write_bytes(b""), "empty"),
    "text": (lambda path: path.write_text("hello"), "OpenCV cannot run it"),
    "another network": (_other_network, "OpenCV cannot run it"),
    "cut off": (_cut_off, "OpenCV cannot run it"),
    "too large": (_too_large, "larger than 16 MB"),
    "a folder": (lambda path: path.mkdir(), "directory"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_file_is_told_what_was_expected(case: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    make, words = WRONG[case]
    make(tmp_path / "faces.onnx")
    with pytest.raises(FaceModelError, match=words) as caught:
        YuNet(tmp_path / "faces.onnx")
    text = str(caught.value)
    assert "face_detection_yunet_2023mar.onnx" in text
    assert "faces.onnx" in text
    assert "\n" not in text
    assert "ERROR" not in capfd.readouterr().err  # OpenCV prints its own otherwise


def test_scenes_share_one_grid() -> None:
    assert CALIBRATION.color == CALIBRATION.depth
