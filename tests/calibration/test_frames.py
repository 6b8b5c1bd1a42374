"""Calibration sets that are refused, and the comparison of scores."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgefas.calibration.compare import compare_scores
from edgefas.calibration.frames import CalibrationSetError, batches, load_frames
from tests.engines.graphs import IR_SPEC

GOOD = np.zeros((3, 1, 16, 16), np.float32)


def test_frames_come_back_in_batches(tmp_path: Path) -> None:
    frames = np.random.default_rng(0).standard_normal((5, 1, 16, 16), np.float32)
    np.savez(tmp_path / "f.npz", ir=frames)
    read = list(batches(load_frames(tmp_path / "f.npz", IR_SPEC), 2))
    assert [len(batch["ir"]) for batch in read] == [2, 2, 1]
    np.testing.assert_array_equal(np.concatenate([batch["ir"] for batch in read]), frames)


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"rgb": GOOD}, r"holds \['rgb'\], this network takes \['ir'\]"),
        ({"ir": GOOD, "depth": GOOD}, "this network takes"),
        ({"ir": GOOD.astype(np.float64)}, "must be float32"),
        ({"ir": GOOD[:, :, :8]}, "must be float32"),
        ({"ir": GOOD[:0]}, "N >= 1"),
        ({"ir": np.float32(1)}, "must be float32"),
        ({"ir": np.full_like(GOOD, np.nan)}, "NaN"),
        ({"ir": np.array([{"a": 1}], dtype=object)}, "cannot be read"),
    ],
)
def test_wrong_sets_are_refused(tmp_path: Path, arrays: dict[str, np.ndarray], words: str) -> None:
    np.savez(tmp_path / "f.npz", **arrays)
    with pytest.raises(CalibrationSetError, match=words):
        load_frames(tmp_path / "f.npz", IR_SPEC)


@pytest.mark.parametrize("content", [None, b"", b"no archive", b"PK\x03\x04broken"])
def test_files_that_are_no_archive(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "f.npz").write_bytes(content)
    with pytest.raises(CalibrationSetError, match="cannot be read"):
        load_frames(tmp_path / "f.npz", IR_SPEC)


def test_a_single_array_is_no_set(tmp_path: Path) -> None:
    np.save(tmp_path / "f.npy", GOOD)
    with pytest.raises(CalibrationSetError, match="cannot be read"):
        load_frames(tmp_path / "f.npy", IR_SPEC)


def test_centred_sqnr_does_not_flatter_a_constant_network() -> None:
    reference = (100 + 0.1 * np.random.default_rng(0).standard_normal(500)).astype(np.float32)
    noisy = (reference + 0.1 * np.random.default_rng(1).standard_normal(500)).astype(np.float32)
    found = compare_scores(reference, noisy)
    assert found.sqnr_db is not None
    assert abs(found.sqnr_db) < 1, "uncentred it would read 60 dB"


def test_differences_and_flips_are_counted() -> None:
    reference = np.array([-1, -0.1, 0, 2], np.float32)
    found = compare_scores(reference, reference + np.array([0, 0.2, -0.1, 0.1], np.float32))
    assert (found.frames, found.flips) == (4, 2)
    assert found.max_abs == pytest.approx(0.2)
    assert found.mean_abs == pytest.approx(0.1)
    assert found.p99_abs == pytest.approx(np.percentile([0, 0.2, 0.1, 0.1], 99))
    assert compare_scores(reference, reference).sqnr_db is None
