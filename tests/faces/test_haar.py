"""Faces are found where they are, in colour or infrared, and only where depth says that a head fits."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgefas.contracts import FaceBox
from edgefas.faces import detect_faces
from edgefas.faces.haar import largest_face
from edgefas.sensors.frame import Frame
from tests.sensors.simulator.pictures import shown

ROOT = Path(__file__).resolve().parent.parent.parent


def moved(frame: Frame, right_mm: float, z_mm: float) -> Frame:
    """The picture with everything `right_mm` further right, as far as parallel shifts can say it at this distance."""
    k = frame.calibration

    def roll(picture: np.ndarray, fx_px: float) -> np.ndarray:
        return np.roll(picture, round(right_mm * fx_px / z_mm), axis=1)

    on_grid = {name: roll(getattr(frame, name), k.depth.fx_px) for name in ("depth", "ir_lit", "ir_unlit")}
    return replace(frame, color=roll(frame.color, k.color.fx_px), **on_grid)


def test_a_face_is_found_where_it_is() -> None:
    frame, truth = shown("bona_fide", 3)
    (face,) = detect_faces(frame)
    assert face.iou(truth) > 0.5
    assert abs(face.median_z_mm - truth.median_z_mm) < 30


@pytest.mark.parametrize(
    "without", [{"color": None}, {"ir_lit": None, "ir_unlit": None}, {"color": None, "ir_lit": None}]
)
def test_colour_or_infrared_is_enough(without: dict[str, None]) -> None:
    frame, truth = shown("bona_fide", 3)
    (face,) = detect_faces(replace(frame, **without))
    assert face.iou(truth) > 0.5


def test_nobody_is_nobody() -> None:
    assert detect_faces(shown("empty")[0]) == []


def test_without_depth_there_is_no_face() -> None:
    frame, _ = shown("bona_fide", 3)
    assert detect_faces(replace(frame, depth=None)) == []
    assert detect_faces(replace(frame, depth=np.zeros_like(frame.depth))) == []


@pytest.mark.parametrize("factor", [0.36, 2.2])
def test_a_face_of_the_wrong_size_for_its_distance_is_none(factor: float) -> None:
    """A poster at the wall, or a stamp held near: the same picture with other depth."""
    frame, _ = shown("bona_fide", 3)
    depth = np.minimum(frame.depth * factor, 65535).astype(np.uint16)
    assert detect_faces(replace(frame, depth=depth)) == []


def test_a_print_at_a_faces_distance_passes() -> None:
    """Geometry, not liveness: the network must get to see it."""
    frame, truth = shown("flat_print", 3)
    assert detect_faces(frame)[0].iou(truth) > 0.4


def two_people() -> tuple[Frame, FaceBox, FaceBox]:
    """A far one left of a near one."""
    (far, far_box), (near, near_box) = shown("bona_fide", 3, distance_mm=800.0), shown("bona_fide", 4)
    far, near = moved(far, -230, 800), moved(near, 170, 600)
    cut = {"color": 320, "ir_lit": 320, "ir_unlit": 320, "depth": 320}

    def beside(name: str) -> np.ndarray:
        return np.hstack([getattr(far, name)[:, : cut[name]], getattr(near, name)[:, cut[name] :]])

    fx_px = near.calibration.depth.fx_px
    boxes = [
        box.model_copy(update={"x_px": box.x_px + round(mm * fx_px / z)})
        for box, mm, z in ((far_box, -230, 800), (near_box, 170, 600))
    ]
    return replace(near, **{name: beside(name) for name in cut}), *boxes


def test_the_nearest_of_two_comes_first() -> None:
    frame, far, near = two_people()
    faces = detect_faces(frame)
    assert [faces[0].iou(near) > 0.4, faces[1].iou(far) > 0.4] == [True, True]
    assert faces[0].median_z_mm < faces[1].median_z_mm


def test_only_the_old_place_is_searched_when_asked() -> None:
    frame, far, _ = two_people()
    (followed,) = detect_faces(frame, [far])
    assert followed.iou(far) > 0.4


def test_ground_truth_never_reaches_the_pipeline() -> None:
    """Only the simulator, training on it, and what measures against it know where a face truly is."""
    real = [folder for folder in ROOT.joinpath("edgefas").iterdir() if folder.is_dir()]
    files = [path for folder in (*real, ROOT / "edgefas") for path in folder.resolve().rglob("*.py")]
    knowing = {path.relative_to(ROOT).as_posix() for path in files if "true_face" in path.read_text()}
    allowed = (
        "sensors/simulator/",
        "edgefas/training/simulated.py",
        "benchmarks/faces_on_simulated.py",
        "benchmarks/quality_gates.py",
    )
    assert knowing
    assert {name for name in knowing if not name.startswith(allowed)} == set()


def test_threads_search_at_once() -> None:
    """OpenCV's cascade keeps its scales in the object: shared between threads it failed within seconds."""
    pictures = [np.random.default_rng(k).integers(0, 256, (120 + 40 * k, 160 + 60 * k, 3), np.uint8) for k in range(4)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda k: largest_face(pictures[k % 4]), range(200)))
    assert found == [largest_face(pictures[k % 4]) for k in range(200)]


def test_the_widest_face_of_a_picture_without_depth() -> None:
    frame, _ = shown("bona_fide", 0)
    box = largest_face(frame.color)
    assert box is not None
    k = frame.calibration.color
    assert abs(box[0] + box[2] / 2 - k.ppx_px) < 60  # it stands before the camera, 600 mm away
    assert 0.7 < box[2] / (150 * k.fx_px / 600) < 1.3
    assert largest_face(np.full((200, 300, 3), 127, np.uint8)) is None
