"""`benchmark --all` where `edgefas build` left an engine: on the fake TensorRT, each row is run by what it says."""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest

from edgefas.benchmarks import all_models
from edgefas.benchmarks.forms import Form, make_forms, open_form
from edgefas.benchmarks.live_pipeline import LiveFigures
from edgefas.engines.build import build
from edgefas.engines.lowering.files import save_ort_files
from edgefas.engines.runtime import load_engine
from edgefas.errors import EdgefasError
from tests.engines.lowered import fake_plugins, lowered_folder, lowered_net
from tests.engines.tensorrt_fake import Gpu, install


@pytest.fixture
def gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Gpu:
    gpu = install(monkeypatch, tmp_path / "state", "10.16")
    sys.modules["tensorrt"].__spec__ = ModuleSpec("tensorrt", None)
    monkeypatch.setattr(all_models, "peak_mb", lambda form, threads: 1.0)
    return gpu


@pytest.fixture
def folder(gpu: Gpu, tmp_path: Path) -> Path:
    """As of `edgefas quantize`, and an engine built of it."""
    folder = lowered_folder(tmp_path / "net-int8", own=True)
    save_ort_files(lowered_net(), folder)
    build(folder, tmp_path / "net-int8.engines", "fp16", "own", make_plugins=fake_plugins, seconds=0.1)
    return folder


def live(calls: list[Path], fails: bool = False) -> object:
    def measure(camera: str, model: Path, seconds: float, threads: int) -> LiveFigures:
        calls.append(model)
        if fails:
            raise EdgefasError("40 frames and 0 scores came; is there a face before the camera?")
        return LiveFigures(**dict.fromkeys(LiveFigures.__dataclass_fields__, 9.0))  # type: ignore[arg-type]

    return measure


def test_a_folder_has_a_row_for_onnxruntime_and_one_for_its_engine(
    gpu: Gpu, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engines = folder.with_name("net-int8.engines")
    forms = make_forms(str(folder), tmp_path, None, lambda text: None)
    assert [(form.backend, form.precision, form.file) for form in forms] == [
        ("onnxruntime", "as it is", str(folder)),
        ("tensorrt", "as built", str(engines)),
    ]
    needed = sum((folder / name).stat().st_size for name in ("model.onnx", "weights.bin"))
    assert forms[0].bytes == needed, "TensorRT's copies and the golden vectors are not what ONNX Runtime needs"
    launches = gpu.launches
    open_form(forms[0], 1).run()
    assert gpu.launches == launches, "the row of ONNX Runtime ran on the GPU"
    models: list[Path] = []
    monkeypatch.setattr(all_models, "measure_live", live(models))
    rows = all_models.benchmark_all([str(folder)], [1], 0.01, tmp_path, camera="clip.db3")
    assert [(row["backend"], row["error"], row["camera_to_decision_fps"]) for row in rows] == [
        ("onnxruntime", None, 9.0),
        ("tensorrt", None, 9.0),
    ]
    assert gpu.launches > launches
    assert all(row["macs"] == rows[0]["macs"] > 0 for row in rows)
    assert models == [folder / "model.onnx", engines]
    assert [load_engine(model).backend for model in models] == ["onnxruntime", "tensorrt"]


def test_a_camera_without_a_face_leaves_the_latency(
    gpu: Gpu, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(all_models, "measure_live", live([], fails=True))
    rows = all_models.benchmark_all([str(folder)], [1], 0.01, tmp_path, camera="clip.db3")
    assert [row["error"] for row in rows] == [None, None]
    assert all(row["median_ms"] > 0 and row["camera_to_decision_fps"] is None for row in rows)
    assert all("is there a face" in row["note"] for row in rows)


def test_an_engine_that_was_changed_fails_in_its_row_alone(gpu: Gpu, folder: Path, tmp_path: Path) -> None:
    [plan] = folder.with_name("net-int8.engines").glob("*.plan")
    plan.write_bytes(plan.read_bytes()[:-1] + b"!")
    rows = all_models.benchmark_all([str(folder)], [1], 0.01, tmp_path)
    assert [row["backend"] for row in rows if row["error"] is None] == ["onnxruntime"]
    assert "changed" in rows[1]["error"]


def test_other_boards_have_no_row_of_it(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    forms = make_forms(str(folder), tmp_path, None, lambda text: None)
    assert forms == [Form("net-int8", "onnxruntime", "as it is", str(folder), forms[0].bytes)]
