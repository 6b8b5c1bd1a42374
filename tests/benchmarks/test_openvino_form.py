"""OpenVINO's scores are held against ONNX Runtime's before its time is reported; a stand-in answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from edgefas.benchmarks import all_models, openvino_form
from edgefas.benchmarks.forms import Form
from edgefas.benchmarks.openvino_form import ALLOWED_SHARE, FRAMES, check_scores
from edgefas.errors import CheckFailed
from tests.engines.graphs import saved, small_net


class Request:
    """What OpenVINO's infer request does, by ONNX Runtime; `distort(score, call)` is what it gets wrong."""

    def __init__(self, file: Path, distort: Any) -> None:
        self.session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
        self.distort, self.calls = distort, 0

    def infer(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        self.calls += 1
        return {"score": self.distort(self.session.run(["score"], inputs)[0], self.calls)}


@pytest.fixture
def network(tmp_path: Path) -> Path:
    return saved(small_net(), tmp_path / "small.onnx")


def answering(monkeypatch: pytest.MonkeyPatch, distort: Any) -> None:
    monkeypatch.setattr(
        openvino_form, "_opened", lambda file, threads: (Request(file, distort), {"ir": [1, 1, 16, 16]})
    )


@pytest.mark.parametrize("precision", ALLOWED_SHARE)
def test_equal_scores_pass(network: Path, precision: str, monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch, lambda score, call: score)
    found = check_scores(network, precision)
    assert (found.frames, found.allowed) == (FRAMES, ALLOWED_SHARE[precision] * found.score_range)
    assert found.max_abs_difference < 1e-5 < found.score_range


@pytest.mark.parametrize(
    "distort",
    [
        lambda score, call: score + 10 * (call == FRAMES),
        lambda score, call: score * np.float32(np.nan if call == 3 else 1),
        lambda score, call: -score,
    ],
    ids=["one frame", "nan", "sign"],
)
@pytest.mark.parametrize("precision", ALLOWED_SHARE)
def test_other_scores_are_refused(network: Path, precision: str, distort: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch, distort)
    with pytest.raises(CheckFailed, match=r"scores differ from ONNX Runtime's on the same file"):
        check_scores(network, precision)


def test_a_network_with_wrong_scores_is_shown_as_failed(
    network: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answering(monkeypatch, lambda score, call: -score)
    forms = [Form("small", backend, "fp32", str(network)) for backend in ("openvino", "onnxruntime")]
    monkeypatch.setattr(all_models, "make_forms", lambda *arguments: forms)
    monkeypatch.setattr(all_models, "peak_mb", lambda form, threads: 1.0)
    wrong, right = all_models.benchmark_all(["small"], [1], 0.01, tmp_path)
    assert "scores differ" in wrong["error"]
    assert wrong["median_ms"] is None
    assert right["error"] is None
    answering(monkeypatch, lambda score, call: score)
    row, _ = all_models.benchmark_all(["small"], [1], 0.01, tmp_path)
    assert row["error"] is None
    assert row["median_ms"] > 0
    assert row["score_difference"] < 1e-5
