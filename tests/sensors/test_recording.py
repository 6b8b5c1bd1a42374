"""record(): librealsense's recorder, the notes beside it, and what is kept when something goes wrong."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from edgefas.errors import UsageError
from edgefas.sensors import open as open_module
from edgefas.sensors import recording
from edgefas.sensors.notes import Shown, read_notes
from edgefas.sensors.open import open_source
from edgefas.sensors.recording import Limits, record
from edgefas.sensors.simulated import SimulatedSource
from edgefas.sensors.source import CameraError, CameraLost
from tests.sensors import noise_cli
from tests.sensors.noise_cli import open_noise
from tests.sensors.scenes import moment

ARRAYS = ("color", "depth", "ir_lit", "ir_unlit")


@pytest.fixture(autouse=True)
def noise_camera(monkeypatch):
    """`simulated` with small noise frames in place of the rendered people."""
    monkeypatch.setattr(open_module, "_open_simulated", open_noise)


def test_three_seconds_play_back_equal_twice(tmp_path):
    path = tmp_path / "a.db3"
    made = record("simulated", path, limits=Limits(seconds=3))
    first, second = (list(open_source(str(path))) for _ in range(2))
    assert 88 <= len(first) <= 95
    assert (made.framesets, made.size_bytes) == (len(first), path.stat().st_size)
    assert made.seconds == pytest.approx(3, abs=0.1)
    assert [frame.number for frame in first] == list(range(1, len(first) + 1))
    for a, b in zip(first, second, strict=True):
        assert (a.number, a.device_ns, a.calibration, a.camera) == (b.number, b.device_ns, b.calibration, b.camera)
        assert all(np.array_equal(getattr(a, name), getattr(b, name)) for name in ARRAYS)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["a.db3", "a.json"]


def test_alternating_recordings_keep_both_pictures(tmp_path):
    made = record("simulated:emitter=alternate,frames=4", tmp_path / "a.db3", limits=Limits(frames=5))
    frames = list(open_source(str(tmp_path / "a.db3")))
    assert len(frames) == made.framesets // 2
    assert all(frame.ir_unlit is not None and frame.ir_lit is not None for frame in frames)


def test_asked_to_stop_it_keeps_what_it_has(tmp_path):
    calls = iter([False, False, True])
    made = record("simulated:frames=2", tmp_path / "a.db3", limits=Limits(seconds=100), stopped=lambda: next(calls))
    assert made.framesets >= 3
    assert len(list(open_source(str(tmp_path / "a.db3")))) == made.framesets


def test_an_existing_file_needs_force(tmp_path):
    path = tmp_path / "a.db3"
    path.write_bytes(b"precious")
    with pytest.raises(UsageError, match="exists; choose another name, or replace it with --force"):
        record("simulated:frames=2", path, limits=Limits(frames=2))
    assert path.read_bytes() == b"precious"
    record("simulated:frames=2", path, limits=Limits(frames=2), force=True)
    assert len(list(open_source(str(path)))) >= 2


@pytest.mark.parametrize(
    ("name", "wanted", "error", "message"),
    [
        ("a.bag", {"frames": 2}, UsageError, r"recordings are \.db3 files; try: .*a\.db3"),
        ("a", {"frames": 2}, UsageError, r"recordings are \.db3 files"),
        ("a.db3", {}, UsageError, "--seconds S or --frames N"),
        ("a.db3", {"seconds": 0.0}, UsageError, "seconds is 0, must be > 0"),
        ("a.db3", {"seconds": float("nan")}, UsageError, "seconds is nan"),
        ("a.db3", {"frames": 0}, UsageError, "frames is 0, must be at least 1"),
        ("a.db3", {"max_size_bytes": 0}, UsageError, "max size is 0 bytes"),
        ("none/a.db3", {"frames": 2}, CameraError, "no such folder: .*none; make it with: mkdir -p"),
    ],
)
def test_a_wrong_request(tmp_path, name, wanted, error, message):
    with pytest.raises(error, match=message):
        record("simulated:frames=2", tmp_path / name, limits=Limits(**wanted))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("path", "reason"), [("/proc/a.db3", "No such file"), ("x" * 300 + ".db3", "File name too long")]
)
def test_an_unwritable_path(path, reason):
    with pytest.raises(CameraError, match=f"cannot write {path}: {reason}"):
        record("simulated:frames=2", Path(path), limits=Limits(frames=2))


SHOWN = Shown(label="attack", species="flat_print", subject="s7", note="glossy, 300 g/m²")


def test_the_notes_say_what_is_shown_and_by_what(tmp_path):
    made = record("simulated:frames=2", tmp_path / "a.db3", limits=Limits(frames=3), shown=SHOWN)
    notes = read_notes(tmp_path / "a.db3")
    assert notes == made.notes
    assert notes.shown == SHOWN
    assert (notes.source, notes.camera.serial, notes.ended, notes.compressed) == (
        "simulated:frames=2",
        "TEST",
        "frames",
        True,
    )
    assert (notes.framesets, notes.size_bytes, notes.lost) == (made.framesets, made.size_bytes, 0)
    assert notes.started.utcoffset() is not None
    assert json.loads((tmp_path / "a.json").read_text())["shown"]["note"] == "glossy, 300 g/m²"


def test_an_uncompressed_recording_plays_the_same_pictures(tmp_path):
    """What a config records is always compressed, so this one takes another way through librealsense."""
    made = record("simulated:frames=2", tmp_path / "a.db3", limits=Limits(frames=6), compress=False)
    frames = list(open_source(str(tmp_path / "a.db3")))
    assert len(frames) == made.framesets >= 6
    assert made.notes.compressed is False
    for frame in frames:
        sent = moment((frame.number - 1) % 2, alternate=True)  # two rendered frames, to and fro
        assert all(np.array_equal(getattr(frame, name), getattr(sent, name)) for name in ("color", "depth", "ir_lit"))
    with sqlite3.connect(tmp_path / "a.db3") as file:
        topics = [name for (name,) in file.execute("SELECT name FROM topics WHERE name LIKE '%/image/data%'")]
    assert topics
    assert not any("compressed" in name for name in topics)


def test_a_size_limit_ends_it(tmp_path):
    limit = 1_000_000
    made = record("simulated:frames=2", tmp_path / "a.db3", limits=Limits(max_size_bytes=limit, seconds=60))
    assert made.notes.ended == "max_size"
    assert made.trouble is None
    assert limit <= made.size_bytes < 2 * limit
    assert len(list(open_source(str(tmp_path / "a.db3")))) == made.framesets


def test_a_disk_that_fills_ends_the_recording_and_keeps_it(tmp_path, monkeypatch):
    free = iter([1 << 30, 1 << 30, 1 << 20])
    monkeypatch.setattr(recording, "_free_bytes", lambda folder: next(free))
    made = record("simulated:frames=2", tmp_path / "a.db3", limits=Limits(seconds=60), shown=SHOWN)
    assert "is full: less than 16 MiB are free" in made.trouble
    assert read_notes(tmp_path / "a.db3").ended == "disk_full"
    assert len(list(open_source(str(tmp_path / "a.db3")))) == made.framesets >= 1


def test_a_full_disk_is_refused_before_anything_is_recorded(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=1 << 20))
    with pytest.raises(CameraError, match=r"full: 1 MiB free.*free some space"):
        record("simulated:frames=2", tmp_path / "a.db3", limits=Limits(seconds=60))
    assert list(tmp_path.iterdir()) == []


def test_frames_that_librealsense_drops_silently_are_missed(tmp_path, monkeypatch):
    """Its recorder only logs a failed write; the file is the witness."""
    monkeypatch.setattr(recording, "_FLUSH_S", 0.1)
    monkeypatch.setattr(recording, "_count_framesets", lambda path: 1)
    made = record("simulated:frames=2", tmp_path / "a.db3", limits=Limits(frames=3))
    assert "only 1 of 3 framesets could be written: the disk is full" in made.trouble
    assert (made.notes.ended, made.notes.framesets, made.notes.lost) == ("write_failed", 1, 2)


def test_a_file_that_grows_no_more_ends_the_recording(tmp_path, monkeypatch):
    """As on a card that takes no file above 4 GiB: hours could pass before anybody looked."""
    monkeypatch.setattr(recording, "_STUCK_S", 0.3)
    monkeypatch.setattr(recording, "_size", lambda path: 4 << 30)
    made = record("simulated:frames=2", tmp_path / "a.db3", limits=Limits(seconds=86_400))
    assert made.notes.ended == "write_failed"
    assert "nothing more could be written: the disk is full, or a file size limit" in made.trouble
    assert len(list(open_source(str(tmp_path / "a.db3")))) == made.framesets > 0


def test_nothing_written_is_an_error_that_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(recording, "_FLUSH_S", 0.1)
    monkeypatch.setattr(recording, "_count_framesets", lambda path: 0)
    with pytest.raises(CameraError, match="no frame could be written"):
        record("simulated:frames=2", tmp_path / "a.db3", limits=Limits(frames=3))
    assert list(tmp_path.iterdir()) == []


def test_a_lost_camera_leaves_what_it_showed(tmp_path, monkeypatch):
    reads = iter(range(3))

    class Lost(SimulatedSource):
        def read(self, timeout_s=1.0):
            if next(reads, None) is None:
                raise CameraLost("camera TEST: unplugged")
            return super().read(timeout_s)

    monkeypatch.setattr(noise_cli, "SimulatedSource", Lost)
    made = record("simulated:frames=2", tmp_path / "a.db3", limits=Limits(seconds=60))
    assert made.trouble == "the camera was lost: camera TEST: unplugged"
    assert made.notes.ended == "camera_lost"
    assert len(list(open_source(str(tmp_path / "a.db3")))) == made.framesets >= 1


PUBLISH = """
import os, sys
from pathlib import Path
from edgefas.sensors import recording
steps, kill_at = [0], int(sys.argv[2])
def dying(real):
    def step(*arguments, **options):
        if steps[0] == kill_at:
            os._exit(9)
        steps[0] += 1
        return real(*arguments, **options)
    return step
os.replace = dying(os.replace)
Path.unlink = dying(Path.unlink)
folder = Path(sys.argv[1])
recording._publish(folder / ".a.partial.db3", folder / ".a.partial.json", folder / "a.db3")
"""


@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize("kill_at", range(4))
def test_killed_while_publishing_no_label_stands_beside_another_recording(tmp_path, kill_at, old):
    (tmp_path / ".a.partial.db3").write_text("new")
    (tmp_path / ".a.partial.json").write_text("new")
    if old:
        (tmp_path / "a.db3").write_text("old")
        (tmp_path / "a.json").write_text("old")
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", PUBLISH, tmp_path, str(kill_at)], cwd=root, check=False)
    assert done.returncode == (9 if kill_at < 3 else 0)
    found = {entry.name: entry.read_text() for entry in tmp_path.iterdir()}
    if "a.db3" in found:
        assert found["a.json"] == found["a.db3"]
    assert list(found.values()).count("new") == 2  # nothing of the new recording is lost


def test_a_complete_recording_that_cannot_take_its_name_is_kept(tmp_path, monkeypatch):
    real = os.replace

    def fail(source, target):
        if str(target).endswith(".db3"):
            raise OSError(5, "Input/output error")
        real(source, target)

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(CameraError, match=r"Input/output error; the recording is complete and kept as .*partial\.db3"):
        record("simulated:frames=2", tmp_path / "a.db3", limits=Limits(frames=2))
    (kept,) = tmp_path.glob(".*.db3")
    assert len(list(open_source(str(kept)))) >= 2


def test_force_needs_neither_file(tmp_path):
    (tmp_path / "a.json").write_text("someone's own")
    with pytest.raises(UsageError, match=r"a\.json exists"):
        record("simulated:frames=2", tmp_path / "a.db3", limits=Limits(frames=2))
    assert (tmp_path / "a.json").read_text() == "someone's own"
