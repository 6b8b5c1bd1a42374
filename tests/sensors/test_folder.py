"""`dir:PATH`: the folder layout, there and back, and everything that can be wrong with it."""

from __future__ import annotations

import json
import weakref
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgefas.sensors.folder import FolderSource, write_folder
from edgefas.sensors.notes import RecordingNotes, Shown, now_aware, read_notes
from edgefas.sensors.open import open_source
from edgefas.sensors.source import CameraError, EndOfStream
from tests.sensors.scenes import SMALL, moment


@pytest.fixture
def folder(tmp_path):
    write_folder(tmp_path / "clip", [moment(n, alternate=True) for n in (3, 4, 7)])
    return tmp_path / "clip"


def test_there_and_back(folder):
    with open_source(f"dir:{folder}") as source:
        got = list(source)
        with pytest.raises(EndOfStream):
            source.read()
    assert [frame.dropped for frame in got] == [0, 0, 2]
    for frame, number in zip(got, (3, 4, 7), strict=True):
        sent = moment(number, alternate=True)
        for name in ("color", "ir_lit", "ir_unlit", "depth"):
            assert np.array_equal(getattr(frame, name), getattr(sent, name))
        for name in ("number", "device_ns", "clock", "camera", "calibration", "depth_scale_m", "ir_unlit_exposure"):
            assert getattr(frame, name) == getattr(sent, name)


def test_colour_files_are_ordinary_rgb(folder):
    bgr = cv2.imread(str(folder / "color" / "000003.png"))
    assert np.array_equal(bgr[..., ::-1], moment(3).color)


def test_without_facts_the_pace_is_fps(folder):
    file = folder / "camera.json"
    facts = json.loads(file.read_text())
    del facts["frames"]
    file.write_text(json.dumps(facts | {"fps": 10}))
    assert [frame.device_ns for frame in FolderSource(folder)] == [0, 100_000_000, 200_000_000]


def test_the_documented_camera_json_works(folder):
    page = (Path(__file__).parents[2] / "docs" / "cameras.md").read_text()
    example = page.split("```json\n")[1].split("```")[0]
    (folder / "camera.json").write_text(example)
    with pytest.raises(CameraError, match=r"the calibration says uint8 \(480, 640, 3\)"):  # ours are smaller
        FolderSource(folder).read()


def test_a_missing_stream_is_none(tmp_path):
    write_folder(tmp_path / "clip", [replace(moment(1), ir_lit=None)])
    got = FolderSource(tmp_path / "clip").read()
    assert (got.ir_lit, got.ir_unlit) == (None, None)
    assert got.color is not None


def test_unequal_counts(folder):
    (folder / "depth" / "000004.png").unlink()
    with pytest.raises(
        CameraError, match=r"000004\.png has no partner in depth/ \(pictures: color 3, ir_lit 3, ir_unlit 3, depth 2\)"
    ):
        FolderSource(folder)


def test_other_names(folder):
    (folder / "depth" / "000004.png").rename(folder / "depth" / "000005.png")
    with pytest.raises(CameraError, match=r"color/000004\.png has no partner in depth/"):
        FolderSource(folder)


def test_a_name_that_is_no_number(tmp_path, folder):
    for name in ("color", "ir_lit", "ir_unlit", "depth"):
        (folder / name / "000004.png").rename(folder / name / "four.png")
    with pytest.raises(CameraError, match=r"four\.png: the name must be the frame number"):
        FolderSource(folder)


def test_names_of_different_length_are_numbers_all_the_same(folder):
    for name in ("color", "ir_lit", "ir_unlit", "depth"):
        (folder / name / "000007.png").rename(folder / name / "10.png")
    assert [frame.number for frame in FolderSource(folder)] == [3, 4, 10]
    (folder / "color" / "0004.png").write_bytes(b"")
    with pytest.raises(CameraError, match=r"are both frame 4; remove one"):
        FolderSource(folder)


def test_a_frame_without_one_of_the_streams(tmp_path):
    """An alternating emitter whose unlit frameset was lost; the gap is written down, else the folder is damaged."""
    path = tmp_path / "clip"
    sent = [replace(moment(1, alternate=True), ir_unlit=None, ir_unlit_exposure=None), moment(2, alternate=True)]
    assert write_folder(path, sent) == 2
    first, second = FolderSource(path)
    assert first.ir_unlit is None
    assert np.array_equal(second.ir_unlit, sent[1].ir_unlit)
    facts = json.loads((path / "camera.json").read_text())
    facts["frames"]["1"]["missing"] = []
    (path / "camera.json").write_text(json.dumps(facts))
    with pytest.raises(CameraError, match=r"color/000001\.png has no partner in ir_unlit/"):
        FolderSource(path)


def test_frames_are_taken_one_by_one(tmp_path):
    alive = weakref.WeakSet()

    def stream():
        for number in range(1, 12):
            frame = moment(number)
            alive.add(frame)
            yield frame
            assert len(alive) <= 3  # the first, whose calibration is written last, the one just written, and this one

    assert write_folder(tmp_path / "clip", stream()) == 11


def test_the_notes_of_a_recording_go_with_it(tmp_path):
    notes = RecordingNotes(
        shown=Shown(label="attack", species="phone_replay"),
        source="realsense",
        edgefas="0",
        started=now_aware(),
        compressed=True,
        size_bytes=123,
    )
    write_folder(tmp_path / "clip", [moment(1)], notes=notes)
    assert read_notes(tmp_path / "clip") == notes
    assert FolderSource(tmp_path / "clip").read().number == 1


@pytest.mark.parametrize("content", [b"", b"not a picture"])
def test_an_unreadable_picture(folder, content):
    (folder / "ir_lit" / "000004.png").write_bytes(content)
    source = FolderSource(folder)
    source.read()
    with pytest.raises(CameraError, match=r"ir_lit/000004\.png is not a readable PNG"):
        source.read()


def test_a_picture_of_the_wrong_type(folder):
    cv2.imwrite(str(folder / "depth" / "000003.png"), np.zeros((120, 160), np.uint8))
    with pytest.raises(CameraError, match=r"000003\.png is uint8 \(120, 160\), a depth picture is uint16"):
        FolderSource(folder).read()


def test_a_picture_of_the_wrong_size(folder):
    cv2.imwrite(str(folder / "depth" / "000003.png"), np.zeros((60, 80), np.uint16))
    with pytest.raises(CameraError, match=r"frame 3: depth is uint16 \(60, 80\), the calibration says"):
        FolderSource(folder).read()


def test_no_camera_json(folder):
    (folder / "camera.json").unlink()
    with pytest.raises(CameraError, match=r"camera\.json is missing"):
        FolderSource(folder)


@pytest.mark.parametrize(("key", "value"), [("depth_scale_m", 0), ("fps", -1), ("colour", 1), ("calibration", {})])
def test_a_wrong_camera_json_names_the_field(folder, key, value):
    file = folder / "camera.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {key: value}))
    with pytest.raises(CameraError, match=rf"camera\.json: FolderCamera: {key}"):
        FolderSource(folder)


def test_no_folder_and_no_pictures(tmp_path, folder):
    with pytest.raises(CameraError, match="no such folder"):
        FolderSource(tmp_path / "none")
    (tmp_path / "bare").mkdir()
    (tmp_path / "bare" / "camera.json").write_bytes((folder / "camera.json").read_bytes())
    with pytest.raises(CameraError, match="has no pictures: expected PNG files in color, ir_lit"):
        FolderSource(tmp_path / "bare")


def test_writing_is_all_or_nothing(tmp_path, folder, monkeypatch):
    with pytest.raises(CameraError, match="exists and is not an empty folder"):
        write_folder(folder, [moment(1)])
    with pytest.raises(CameraError, match="two frames have the number 1"):
        write_folder(tmp_path / "new", [moment(1), moment(1)])
    with pytest.raises(CameraError, match="different cameras: TEST, then OTHER"):
        write_folder(tmp_path / "new", [moment(1), replace(moment(2), camera="OTHER")])
    with pytest.raises(CameraError, match="different cameras"):
        write_folder(tmp_path / "new", [moment(1), replace(moment(2), calibration=replace(SMALL, baseline_mm=1.0))])
    with pytest.raises(CameraError, match="no frames"):
        write_folder(tmp_path / "new", [])

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("edgefas.sensors.folder._write_picture", full)
    with pytest.raises(CameraError, match="No space left"):
        write_folder(tmp_path / "new", [moment(1)])
    assert {entry.name for entry in tmp_path.iterdir()} == {"clip"}
