"""record(): librealsense's recorder, and what is left when something goes wrong (nothing)."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from edgefas.errors import UsageError
from edgefas.sensors import open as open_module
from edgefas.sensors import recording
from edgefas.sensors.open import open_source
from edgefas.sensors.recording import record
from edgefas.sensors.source import CameraError
from tests.sensors.noise_cli import open_noise

ARRAYS = ("color", "depth", "ir_lit", "ir_unlit")


@pytest.fixture(autouse=True)
def noise_camera(monkeypatch):
    """`simulated` with small noise frames in place of the rendered people."""
    monkeypatch.setattr(open_module, "_open_simulated", open_noise)


def test_three_seconds_play_back_equal_twice(tmp_path):
    path = tmp_path / "a.db3"
    made = record("simulated", path, seconds=3)
    first, second = (list(open_source(str(path))) for _ in range(2))
    assert 88 <= len(first) <= 95
    assert (made.framesets, made.size_bytes) == (len(first), path.stat().st_size)
    assert made.seconds == pytest.approx(3, abs=0.1)
    assert [frame.number for frame in first] == list(range(1, len(first) + 1))
    for a, b in zip(first, second, strict=True):
        assert (a.number, a.device_ns, a.calibration, a.camera) == (b.number, b.device_ns, b.calibration, b.camera)
        assert all(np.array_equal(getattr(a, name), getattr(b, name)) for name in ARRAYS)
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.db3"]


def test_alternating_recordings_keep_both_pictures(tmp_path):
    made = record("simulated:emitter=alternate,frames=4", tmp_path / "a.db3", frames=5)
    frames = list(open_source(str(tmp_path / "a.db3")))
    assert len(frames) == made.framesets // 2
    assert all(frame.ir_unlit is not None and frame.ir_lit is not None for frame in frames)


def test_asked_to_stop_it_keeps_what_it_has(tmp_path):
    calls = iter([False, False, True])
    made = record("simulated:frames=2", tmp_path / "a.db3", seconds=100, stopped=lambda: next(calls))
    assert made.framesets >= 3
    assert len(list(open_source(str(tmp_path / "a.db3")))) == made.framesets


def test_an_existing_file_needs_force(tmp_path):
    path = tmp_path / "a.db3"
    path.write_bytes(b"precious")
    with pytest.raises(UsageError, match="exists; choose another name, or replace it with --force"):
        record("simulated:frames=2", path, frames=2)
    assert path.read_bytes() == b"precious"
    record("simulated:frames=2", path, frames=2, force=True)
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
        ("none/a.db3", {"frames": 2}, CameraError, "no such folder: .*none; make it with: mkdir -p"),
    ],
)
def test_a_wrong_request(tmp_path, name, wanted, error, message):
    with pytest.raises(error, match=message):
        record("simulated:frames=2", tmp_path / name, **wanted)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("path", "reason"), [("/proc/a.db3", "No such file"), ("x" * 300 + ".db3", "File name too long")]
)
def test_an_unwritable_path(path, reason):
    with pytest.raises(CameraError, match=f"cannot write {path}: {reason}"):
        record("simulated:frames=2", Path(path), frames=2)


def test_a_full_disk_is_seen_before_it_is_full(tmp_path, monkeypatch):
    free = iter([1 << 30, 1 << 30, 1 << 30, 1 << 20])
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=next(free)))
    with pytest.raises(CameraError, match=r"full: 1 MiB free.*free some space"):
        record("simulated:frames=2", tmp_path / "a.db3", seconds=60)
    assert list(tmp_path.iterdir()) == []


def test_frames_that_librealsense_drops_silently_are_missed(tmp_path, monkeypatch):
    """Its recorder only logs a failed write; the file is the witness."""
    monkeypatch.setattr(recording, "_FLUSH_S", 0.1)
    monkeypatch.setattr(recording, "_count_framesets", lambda path: 1)
    with pytest.raises(CameraError, match=r"only 1 of 3 frames could be written: the disk is full"):
        record("simulated:frames=2", tmp_path / "a.db3", frames=3)
    assert list(tmp_path.iterdir()) == []
