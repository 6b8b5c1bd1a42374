"""Facts of frames against their definition, pace by a clock that is ours, and copies as folders."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgefas.errors import UsageError
from edgefas.sensors.folder import FolderSource, write_folder
from edgefas.sensors.frame import Exposure
from edgefas.sensors.notes import RecordingNotes, Shown, notes_path, now_aware, read_notes
from edgefas.sensors.replay import export, frame_facts, open_replay, paced
from tests.sensors.scenes import moment
from tests.sensors.soft_camera import record_moments


def never() -> bool:
    return False


def test_facts_of_a_frame() -> None:
    ir = np.full((120, 160), 40, np.uint8)
    dots = ir.copy()
    dots[10:110:10, 10:160:10] = 200  # 10 x 15 of 120 x 160 pixels
    depth = np.zeros((120, 160), np.uint16)
    depth[:30] = 500
    facts = frame_facts(replace(moment(5, alternate=True), ir_lit=dots, ir_unlit=ir, depth=depth, dropped=3))
    assert facts.lit_specks == round(150 / 19200, 5)
    assert (facts.unlit_specks, facts.depth_fill, facts.dropped) == (0.0, 0.25, 3)
    assert facts.lit_exposure == Exposure(8500.0, 16.0)
    assert facts.streams == ("color", "ir_lit", "ir_unlit", "depth")


def test_a_missing_stream_has_no_facts() -> None:
    facts = frame_facts(replace(moment(1), ir_lit=None, depth=None))
    assert (facts.streams, facts.lit_specks, facts.depth_fill) == (("color",), None, None)


@pytest.mark.parametrize(("speed", "ends_s"), [(1.0, 0.4), (4.0, 0.1), (None, 0.0)])
def test_pace(speed: float | None, ends_s: float) -> None:
    now = [100.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    frames = [replace(moment(n), device_ns=n * 100_000_000) for n in range(5)]
    seen = [(frame.number, now[0]) for frame in paced(frames, speed, clock=lambda: now[0], sleep=sleep)]
    assert [number for number, _ in seen] == [0, 1, 2, 3, 4]
    assert seen[-1][1] - 100.0 == pytest.approx(ends_s)


def test_late_frames_are_not_waited_for_and_not_hurried() -> None:
    """A reader that was slow for one frame gets the next ones at their own time again."""
    now, slept = [0.0], []

    def sleep(seconds: float) -> None:
        slept.append(round(seconds, 6))
        now[0] += seconds

    frames = [replace(moment(n), device_ns=n * 100_000_000) for n in range(5)]
    for frame in paced(frames, 1.0, clock=lambda: now[0], sleep=sleep):
        if frame.number == 1:
            now[0] += 0.15
    assert slept == [0.0, 0.1, 0.0, 0.05, 0.1]


@pytest.mark.parametrize("text", ["realsense", "realsense:1", "simulated:seed=1", "v4l2:0"])
def test_a_camera_has_no_end(text: str) -> None:
    with pytest.raises(UsageError, match=f"is a camera, not a recording; .*--camera {text}"):
        open_replay(text)


def test_a_recording_becomes_a_folder_with_its_notes(tmp_path: Path) -> None:
    path = tmp_path / "a.db3"
    sent = record_moments(path, 4)
    notes = RecordingNotes(
        shown=Shown(label="attack", species="rigid_mask", subject="s1"),
        source="realsense",
        edgefas="0",
        started=now_aware(),
        compressed=True,
        size_bytes=path.stat().st_size,
    )
    notes_path(path).write_text(notes.to_json())
    told: list[int] = []
    assert export(str(path), tmp_path / "clip", progress=told.append, stopped=never) == 4
    assert told == [0, 1, 2, 3]
    assert read_notes(tmp_path / "clip") == notes
    for frame, other in zip(FolderSource(tmp_path / "clip"), sent, strict=True):
        assert all(np.array_equal(getattr(frame, name), getattr(other, name)) for name in ("color", "depth", "ir_lit"))


def test_stopped_it_leaves_nothing(tmp_path: Path) -> None:
    write_folder(tmp_path / "clip", [moment(n) for n in range(3)])
    asked: Iterator[bool] = iter([False, False, True])
    with pytest.raises(KeyboardInterrupt):
        export(f"dir:{tmp_path / 'clip'}", tmp_path / "copy", stopped=lambda: next(asked))
    assert [entry.name for entry in tmp_path.iterdir()] == ["clip"]
