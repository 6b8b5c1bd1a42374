"""Golden vectors: what passes, what flips, and files that are none."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

from edgefas.engines import golden as golden_module
from edgefas.engines.golden import TOLERANCE, Golden, check_golden, make_golden, read_golden, write_golden
from edgefas.engines.runtime import Engine, EngineError
from edgefas.errors import CheckFailed
from tests.engines.graphs import IR_SPEC, noise

EXPECTED = np.array([-2.0, 0.3, 4.0], np.float32)


class Scores(Engine):
    """Gives the scores it was made with."""

    spec, backend, outputs = IR_SPEC, "test", ("score",)

    def __init__(self, scores: np.ndarray) -> None:
        self.scores = scores.astype(np.float32)

    def _run(self, inputs: dict[str, np.ndarray], outputs: tuple[str, ...]) -> dict[str, np.ndarray]:
        return {"score": self.scores}


def golden_file(path: Path, **change: np.ndarray) -> Path:
    np.savez(path, **{"ir": noise(3, 0)["ir"], "score": EXPECTED} | change)
    return path


@pytest.mark.parametrize("precision", TOLERANCE)
def test_the_tolerance_is_kept_to(precision: str, tmp_path: Path) -> None:
    golden = read_golden(golden_file(tmp_path / "g.npz"), IR_SPEC)
    near, far = TOLERANCE[precision] * 0.99, TOLERANCE[precision] * 1.02
    threshold = -10.0
    verified = check_golden(Scores(np.add(EXPECTED, [0, 0, near])), golden, precision, threshold)
    assert verified.max_abs == pytest.approx(near, rel=1e-3)
    assert (verified.frames, verified.tolerance, verified.threshold) == (3, TOLERANCE[precision], threshold)
    with pytest.raises(CheckFailed, match=r"golden frame 1: log-odds .*, must be 0\.3 within"):
        check_golden(Scores(EXPECTED - [0, far, 0]), golden, precision, threshold)


def test_a_flipped_decision_is_refused_within_the_tolerance(tmp_path: Path) -> None:
    golden = read_golden(golden_file(tmp_path / "g.npz"), IR_SPEC)
    check_golden(Scores(EXPECTED - [0, 0.2, 0]), golden, "int8", 0.0)
    with pytest.raises(CheckFailed, match=r"golden frame 1: .* flips the decision at threshold 0\.2"):
        check_golden(Scores(EXPECTED - [0, 0.2, 0]), golden, "int8", 0.2)
    with pytest.raises(CheckFailed, match=r"golden frame 0: .* flips"):
        check_golden(Scores(np.add(EXPECTED, [0.2, 0, 0])), golden, "int8", -1.9)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_score_that_is_no_number_is_refused(value: float, tmp_path: Path) -> None:
    golden = read_golden(golden_file(tmp_path / "g.npz"), IR_SPEC)
    with pytest.raises(CheckFailed, match="golden frame 2"):
        check_golden(Scores(np.array([-2.0, 0.3, value])), golden, "int8", 0.0)


def test_a_precision_with_a_reference_of_its_own_is_held_to_it(tmp_path: Path) -> None:
    golden = read_golden(golden_file(tmp_path / "g.npz", **{"score-int8-fp16": EXPECTED + 3}), IR_SPEC)
    check_golden(Scores(EXPECTED + 3), golden, "int8+fp16", -10.0)
    check_golden(Scores(EXPECTED), golden, "int8", -10.0)
    with pytest.raises(CheckFailed):
        check_golden(Scores(EXPECTED), golden, "int8+fp16", -10.0)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    inputs = {"ir": noise(2, 1)["ir"].astype(np.float16).astype(np.float32)}
    write_golden(tmp_path / "g.npz", inputs, {"score": EXPECTED[:2]})
    read = read_golden(tmp_path / "g.npz", IR_SPEC)
    assert isinstance(read, Golden)
    np.testing.assert_array_equal(read.inputs["ir"], inputs["ir"])
    np.testing.assert_array_equal(read.expected("fp32"), EXPECTED[:2])


@pytest.mark.parametrize(("count", "kept"), [(1, [0]), (3, [0, 1, 2]), (15, [0, 2, 4, 6, 8, 10, 12, 14])])
def test_made_vectors_are_spread_and_scored_as_they_are_stored(count: int, kept: list[int], tmp_path: Path) -> None:
    class Mean(Scores):
        def _run(self, inputs: dict[str, np.ndarray], outputs: tuple[str, ...]) -> dict[str, np.ndarray]:
            return {"score": inputs["ir"].mean((1, 2, 3)) * self.scores[0]}

    frames = noise(count, 2)
    make_golden(tmp_path / "g.npz", frames, {"score": Mean(np.ones(1)), "score-int8": Mean(np.full(1, 2.0))})
    read = read_golden(tmp_path / "g.npz", IR_SPEC)
    np.testing.assert_array_equal(read.inputs["ir"], frames["ir"][kept].astype(np.float16))
    np.testing.assert_array_equal(read.expected("fp32"), read.inputs["ir"].mean((1, 2, 3)))
    np.testing.assert_array_equal(read.expected("int8"), 2 * read.inputs["ir"].mean((1, 2, 3)))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"score": EXPECTED[:2]}, "wanted are"),
        ({"score": EXPECTED[:, None]}, "wanted are"),
        ({"ir": np.zeros((3, 1, 16, 15), np.float32)}, "wanted are"),
        ({"rgb": np.zeros((3, 3, 16, 16), np.float32)}, "wanted are"),
        ({"ir": np.zeros((0, 1, 16, 16), np.float32), "score": EXPECTED[:0]}, "wanted are"),
        ({"ir": np.zeros((65, 1, 16, 16), np.float32), "score": np.zeros(65, np.float32)}, "wanted are"),
        ({"score-int8": EXPECTED[:1]}, "wanted are"),
        ({"score": np.array([0, np.nan, 1], np.float32)}, "finite float16 or float32"),
        ({"ir": np.zeros((3, 1, 16, 16), np.float64)}, "finite float16 or float32"),
        ({"score": np.array(["a", "b", "c"])}, "finite float16 or float32|not an .npz"),
        ({"score": np.array([{}, 1, 2], object)}, "not an .npz file"),
    ],
)
def test_files_that_are_no_golden_vectors(change: dict[str, np.ndarray], words: str, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=words):
        read_golden(golden_file(tmp_path / "g.npz", **change), IR_SPEC)


def test_damage_and_absence_are_said(tmp_path: Path) -> None:
    content = golden_file(tmp_path / "g.npz").read_bytes()
    for broken in (b"", b"x", content[:200], content[:-30]):
        (tmp_path / "g.npz").write_bytes(broken)
        with pytest.raises(EngineError, match=r"not an .npz file or is damaged|wanted are"):
            read_golden(tmp_path / "g.npz", IR_SPEC)
    with pytest.raises(EngineError, match=r"no golden vectors: .*edgefas quantize"):
        read_golden(tmp_path / "absent.npz", IR_SPEC)


def test_a_file_that_unpacks_to_too_much_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("ir.npy", bytes(10_000))
    (tmp_path / "g.npz").write_bytes(buffer.getvalue())
    monkeypatch.setattr(golden_module, "MAX_BYTES", 9_999)
    monkeypatch.setattr(np, "load", None)
    with pytest.raises(EngineError, match="unpacks to 10000 bytes"):
        read_golden(tmp_path / "g.npz", IR_SPEC)
