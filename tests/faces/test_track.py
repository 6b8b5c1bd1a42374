"""Following: boxes move with the picture, ids stay with faces, and the costly detector is asked only when it must."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
import pytest

from edgefas.contracts import FaceBox
from edgefas.faces import FixedBox, Tracks, YuNet, detect_faces, follow
from edgefas.sensors.frame import Frame
from tests.scenes import noise_frame

FRAME_NS = 33_333_333
SIZE = 140


class Scripted(YuNet):
    """A costly detector that says what it is told and counts how often it was asked."""

    def __init__(self) -> None:
        self.faces: list[FaceBox] = []
        self.asked: list[tuple[FaceBox, ...]] = []

    def __call__(self, frame: Frame, near: Sequence[FaceBox] = (), /) -> list[FaceBox]:
        self.asked.append(tuple(near))
        return self.faces


def texture(seed: int) -> np.ndarray:
    """A smooth random picture, as a face is to a small template."""
    noise = np.random.default_rng(seed).normal(size=(SIZE, SIZE))
    smooth = cv2.GaussianBlur(noise, (0, 0), 9)
    return np.clip(130 + 45 * smooth / smooth.std(), 0, 255).astype(np.uint8)


def picture(number: int, faces: dict[int, tuple[int, int]], z_mm: int = 500, lit_only: bool = False) -> Frame:
    """Textured squares (by seed, at x, y) before a dim wall; colour and unlit infrared see the same."""
    grey = np.random.default_rng(99).integers(30, 50, (480, 640), dtype=np.uint8)
    for seed, (x, y) in faces.items():
        grey[y : y + SIZE, x : x + SIZE] = texture(seed)
    streams = {"color": None, "ir_unlit": None} if lit_only else {"color": np.dstack([grey] * 3), "ir_unlit": grey}
    return noise_frame(number, z_mm=z_mm, depth=np.full((480, 640), z_mm, np.uint16), ir_lit=grey, **streams)


def box(x: float, y: float, z_mm: float = 500) -> FaceBox:
    return FaceBox(x_px=x, y_px=y, width_px=SIZE, height_px=SIZE, median_z_mm=z_mm)


@pytest.mark.parametrize("stream", ["color", "infrared"])
def test_a_moving_face_is_followed_without_a_search(stream: str) -> None:
    detect, tracks, worst = Scripted(), Tracks(), 0.0
    detect.faces = [box(200, 150)]
    for number in range(9):
        x, y = 200 + 11 * number, 150 - 5 * number
        frame = picture(number, {1: (x, y)})
        tracks = follow(tracks, frame if stream == "color" else replace(frame, color=None), detect)
        (track,) = tracks.visible
        assert track.id == 1
        worst = max(worst, abs(track.face.x_px - x), abs(track.face.y_px - y))
    assert len(detect.asked) == 1
    assert worst < 2.5  # a pixel of the template is 4.4 of these


def test_a_full_search_comes_three_times_a_second_whatever_the_numbers() -> None:
    """With an alternating projector every number of a stream can be odd."""
    detect, tracks, asked = Scripted(), Tracks(), []
    detect.faces = [box(200, 150)]
    for number in range(31):
        frame = replace(picture(number, {1: (200, 150)}), number=2 * number + 1)
        tracks = follow(tracks, frame, detect)
        asked.append(len(detect.asked))
    assert asked[-1] == 4
    assert all(near == () for near in detect.asked)


def test_another_picture_in_its_place_is_looked_at_again() -> None:
    detect = Scripted()
    detect.faces = [box(200, 150)]
    tracks = follow(Tracks(), picture(0, {1: (200, 150)}), detect)
    tracks = follow(tracks, picture(1, {2: (200, 150)}), detect)
    assert [len(near) for near in detect.asked] == [0, 1]  # first where it was
    detect.faces = []
    tracks = follow(tracks, picture(2, {3: (200, 150)}), detect)
    assert [len(near) for near in detect.asked] == [0, 1, 1, 0]  # then everywhere
    assert tracks.visible == ()


def test_size_comes_from_the_distance() -> None:
    """Nearer between two searches: the box keeps its millimetres."""
    detect = Scripted()
    detect.faces = [box(200, 150)]
    tracks = follow(Tracks(), picture(0, {1: (200, 150)}), detect)
    (track,) = follow(tracks, picture(1, {1: (200, 150)}, z_mm=480), detect).visible
    assert track.face.width_px * 480 == pytest.approx(SIZE * 500)
    assert track.face.centre_px == pytest.approx((270, 220), abs=3)


def test_two_faces_keep_their_ids_and_a_newcomer_gets_its_own() -> None:
    detect, tracks, ids = Scripted(), Tracks(), []
    for number in range(24):
        places = {1: (60 + 3 * number, 100), 2: (440 - 3 * number, 240)}
        faces = [box(*places[1]), box(*places[2])]
        if number >= 3:
            places[3] = (270, 99)
            faces.append(box(270, 99))
        detect.faces = faces[:: 1 if number % 2 else -1]
        tracks = follow(tracks, picture(number, places), detect)
        where = {t.id: min(places, key=lambda k: abs(places[k][0] - t.face.x_px)) for t in tracks.visible}
        ids.append(where)
    first = ids[0]
    assert sorted(first.values()) == [1, 2]
    assert all(where[k] == seed for where in ids for k, seed in first.items())
    assert 3 not in ids[8].values()  # not searched for yet
    assert ids[11][3] == 3
    assert len(detect.asked) == 3


@pytest.mark.parametrize(("away", "same"), [(14, True), (17, False)])
def test_a_face_away_for_half_a_second_is_another(away: int, same: bool) -> None:
    detect, tracks = Scripted(), Tracks()
    detect.faces = [box(200, 150)]
    tracks = follow(tracks, picture(0, {1: (200, 150)}), detect)
    detect.faces = []
    for number in range(1, 1 + away):
        tracks = follow(tracks, picture(number, {}), detect)
        assert tracks.visible == ()
    detect.faces = [box(200, 150)]
    (track,) = follow(tracks, picture(1 + away, {1: (200, 150)}), detect).visible
    assert (track.id == 1) is same


def test_a_clock_running_backwards_forgets_ids() -> None:
    detect = Scripted()
    detect.faces = [box(200, 150)]
    tracks = follow(Tracks(), picture(5, {1: (200, 150)}), detect)
    assert [t.id for t in follow(tracks, picture(4, {1: (200, 150)}), detect).visible] == [2]


def test_dots_are_never_matched() -> None:
    """Lit infrared alone: the pattern stands still in the picture while the face moves."""
    detect = Scripted()
    detect.faces = [box(200, 150)]
    tracks = follow(Tracks(), picture(0, {1: (200, 150)}, lit_only=True), detect)
    follow(tracks, picture(1, {1: (210, 150)}, lit_only=True), detect)
    assert [len(near) for near in detect.asked] == [0, 1]


def test_cheap_detectors_are_asked_every_frame() -> None:
    tracks = Tracks()
    for number in range(4):
        tracks = follow(tracks, picture(number, {1: (200 + 20 * number, 150)}), FixedBox("200,150,140,140"))
        assert [(t.id, t.face.x_px) for t in tracks.visible] == [(1, 200)]


def test_at_the_edge_of_the_picture_the_detector_is_asked() -> None:
    detect = Scripted()
    detect.faces = [box(20, 150)]
    tracks = follow(Tracks(), picture(0, {1: (20, 150)}), detect)
    follow(tracks, picture(1, {1: (15, 150)}), detect)
    assert [len(near) for near in detect.asked] == [0, 1]


def test_the_same_frames_give_the_same_tracks() -> None:
    frames = [picture(number, {1: (200 + 9 * number, 150)}) for number in range(5)]
    plays = []
    for _ in range(2):
        detect, tracks = Scripted(), Tracks()
        detect.faces = [box(200, 150)]
        for frame in frames:
            tracks = follow(tracks, frame, detect)
        plays.append([(t.id, t.face) for t in tracks.visible])
    assert plays[0] == plays[1]


def test_the_cascade_is_spared_too() -> None:
    assert follow(Tracks(), picture(0, {}), detect_faces).visible == ()
