"""The TensorRT backend on the fake: numbers, memory, graphs, threads, and which plans are loaded at all."""

from __future__ import annotations

import logging
import shutil
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from edgefas.contracts import InputSpec
from edgefas.engines.build import build
from edgefas.engines.runtime import EngineError, load_engine
from edgefas.engines.runtime import machine_key as key_module
from edgefas.engines.runtime.plan import CURRENT, BatchRange, ForeignPlan, PlanError, PlanManifest
from edgefas.engines.runtime.tensorrt_engine import TensorRTEngine, load_tensorrt
from edgefas.errors import MissingExtra
from edgefas.files import write_atomically
from tests.engines.graphs import IR_SPEC, noise, saved
from tests.engines.lowered import fake_plugins, golden_of, lowered_folder, lowered_net
from tests.engines.tensorrt_fake import RELEASES, Gpu, install
from tests.engines.tensorrt_fake.own_nodes import session

RANGES = (BatchRange(low=1, high=1), BatchRange(low=2, high=4))


every_release = pytest.mark.parametrize("gpu", RELEASES, indirect=True)


@pytest.fixture
def gpu(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Gpu:
    """A board with TensorRT 10.16, or with `every_release` in turn."""
    return install(monkeypatch, tmp_path / "state", getattr(request, "param", "10.16"))


@pytest.fixture
def model(gpu: Gpu, tmp_path: Path) -> Path:
    """A folder with an own-plugin engine for batches 1 and 2-4, in use."""
    folder = lowered_folder(tmp_path / "m", own=True)
    build(folder, tmp_path / "m.engines", "fp32", "own", batches=RANGES, make_plugins=fake_plugins, seconds=0.1)
    return folder


def expected(count: int, seed: int) -> np.ndarray:
    """By ONNX Runtime alone."""
    return session(lowered_net()).run(["score"], noise(count, seed))[0]


@every_release
def test_scores_are_those_of_onnxruntime_for_every_batch(model: Path) -> None:
    with load_tensorrt(model) as engine:
        assert (engine.spec, engine.backend, engine.outputs) == (IR_SPEC, "tensorrt", ("score",))
        for count in (1, 3, 1, 4, 2, 9, 5, 1):  # 9 = 4 + 4 + 1: the last piece goes to the profile of 1
            got = engine.score(noise(count, count))
            assert got.dtype == np.float32
            np.testing.assert_allclose(got, expected(count, count), atol=1e-6)


def test_results_are_the_callers_own(model: Path) -> None:
    with load_tensorrt(model) as engine:
        first = engine.score(noise(1, 1))
        kept = first.copy()
        engine.score(noise(1, 2))
        np.testing.assert_array_equal(first, kept)


@every_release
def test_runs_are_replayed_as_graphs_from_the_second_of_a_size_on(model: Path, gpu: Gpu) -> None:
    before = gpu.launches  # the build measured with graphs, too
    with load_tensorrt(model) as engine:
        assert engine.graph_replay
        launches = []
        for count in (1, 1, 1, 3, 3, 2, 3):
            np.testing.assert_allclose(engine.score(noise(count, 7)), expected(count, 7), atol=1e-6)
            launches.append(gpu.launches - before)
    # 1 is run, then replayed twice; 3 likewise once; another size ends its graph.
    assert launches == [0, 1, 2, 2, 3, 3, 3]
    assert not gpu.graphs


def test_without_cuda_python_runs_are_enqueued(model: Path, gpu: Gpu, monkeypatch: pytest.MonkeyPatch) -> None:
    before = gpu.launches
    monkeypatch.setitem(sys.modules, "cuda.bindings.driver", None)
    with load_tensorrt(model) as engine:
        assert not engine.graph_replay
        for _ in range(3):
            np.testing.assert_allclose(engine.score(noise(2, 3)), expected(2, 3), atol=1e-6)
    assert gpu.launches == before


def test_a_refused_capture_is_no_failure(model: Path, gpu: Gpu, caplog: pytest.LogCaptureFixture) -> None:
    gpu.refuse_capture = True
    with load_tensorrt(model) as engine:
        for _ in range(3):
            np.testing.assert_allclose(engine.score(noise(1, 3)), expected(1, 3), atol=1e-6)
        assert not engine.graph_replay
    assert caplog.text.count("no CUDA graph: cuStreamEndCapture failed") == 1


@every_release
def test_close_gives_everything_back(model: Path, gpu: Gpu) -> None:
    engine = load_tensorrt(model)
    engine.score(noise(3, 0))
    engine.score(noise(3, 0))
    assert gpu.memory
    assert gpu.graphs
    engine.close()
    engine.close()
    assert (dict(gpu.memory), list(gpu.streams), list(gpu.contexts), gpu.graphs) == ({}, [], [], {})
    with pytest.raises(EngineError, match="this engine is closed"):
        engine.score(noise(1, 0))


def test_the_context_is_current_in_the_running_thread_alone(model: Path, gpu: Gpu) -> None:
    scores: list[np.ndarray] = []
    depths: list[int] = []

    def work() -> None:
        scores.append(engine.score(noise(2, 4)))
        depths.append(len(gpu.stack))

    with load_tensorrt(model) as engine:
        assert gpu.stack == []
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        assert gpu.stack == []
    np.testing.assert_allclose(scores[0], expected(2, 4), atol=1e-6)
    assert depths == [0]


def test_nothing_is_allocated_during_runs(model: Path, gpu: Gpu) -> None:
    with load_tensorrt(model) as engine:
        before = set(gpu.memory)
        for count in (1, 4, 2, 9):
            engine.score(noise(count, 0))
        assert set(gpu.memory) == before


def test_wrong_inputs_are_refused_in_the_words_of_every_backend(model: Path) -> None:
    with load_tensorrt(model) as engine:
        with pytest.raises(EngineError, match=r"needs \['ir'\]"):
            engine.score({})
        with pytest.raises(EngineError, match="no output 'feature'"):
            engine.run(noise(1, 0), ("feature",))


def test_a_batch_no_profile_holds_is_refused(gpu: Gpu, tmp_path: Path) -> None:
    folder = lowered_folder(tmp_path / "m")
    with pytest.raises(EngineError, match="a batch of 3, and this plan is for 4-4; build it with --batch 3"):
        build(folder, tmp_path / "m.engines", "fp32", batches=(BatchRange(low=4, high=4),), seconds=0.1)


def test_auto_prefers_the_engine_built_here(model: Path, tmp_path: Path) -> None:
    with load_engine(model) as engine:
        assert engine.backend == "tensorrt"
    with load_engine(tmp_path / "m.engines") as engine:
        assert engine.backend == "tensorrt"
    with load_engine(model / "tensorrt" / "fp32-stock.onnx") as engine:  # nothing was built for this path
        assert engine.backend == "onnxruntime"
    saved(lowered_net(), model / "model.onnx")
    assert load_engine(model, reference=True).backend == "onnxruntime"
    assert load_engine(model, "onnxruntime").backend == "onnxruntime"


def test_auto_passes_over_an_engine_of_another_device(model: Path, gpu: Gpu, caplog: pytest.LogCaptureFixture) -> None:
    saved(lowered_net(), model / "model.onnx")
    gpu.board = "NVIDIA Jetson AGX Orin Developer Kit"
    assert load_engine(model).backend == "onnxruntime"
    assert "board NVIDIA Jetson Orin Nano" in caplog.text
    assert "here it is NVIDIA Jetson AGX Orin" in caplog.text
    assert not list(gpu.contexts)


def test_auto_passes_over_an_engine_of_another_model(model: Path, caplog: pytest.LogCaptureFixture) -> None:
    saved(lowered_net(), model / "model.onnx")
    saved(lowered_net(own=True, seed=1), model / "tensorrt" / "fp32-own.onnx")
    assert load_engine(model).backend == "onnxruntime"
    assert "another version of the model" in caplog.text
    with pytest.raises(ForeignPlan, match="another version of the model"):
        load_engine(model, "tensorrt")


def test_auto_without_tensorrt_says_so_and_goes_on(
    model: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    saved(lowered_net(), model / "model.onnx")
    assert load_engine(model).backend == "onnxruntime"
    assert "TensorRT cannot be imported" in caplog.text
    with pytest.raises(MissingExtra, match=r"nvidia-jetpack.*--system-site-packages.*edgefas\[tensorrt\]"):
        load_engine(model, "tensorrt")


@pytest.mark.parametrize("field", ["tensorrt", "compute_capability", "board"])
def test_a_plan_of_another_device_is_refused(field: str, model: Path, gpu: Gpu) -> None:
    if field == "tensorrt":
        gpu.trt.__version__ = "10.7.0"
    elif field == "compute_capability":
        gpu.compute_capability = (11, 0)
    else:
        gpu.board = "NVIDIA Jetson AGX Thor Developer Kit"
    with pytest.raises(ForeignPlan, match=rf"is for {field.replace('_', ' ')} .*, here it is .*edgefas build"):
        load_tensorrt(model)
    assert not list(gpu.contexts)


def in_use(model: Path) -> tuple[Path, PlanManifest]:
    folder = model.with_name("m.engines")
    return folder, PlanManifest.from_json((folder / CURRENT).read_bytes())


@pytest.mark.parametrize("which", ["plan", "plugin"])
def test_a_tampered_file_is_never_given_to_tensorrt(
    which: str, model: Path, gpu: Gpu, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, manifest = in_use(model)
    name = getattr(manifest, which)
    data = bytearray((folder / name).read_bytes())
    data[-1] ^= 1
    (folder / name).write_bytes(data)
    monkeypatch.setattr(gpu.trt, "Runtime", None)
    for backend in ("tensorrt", "auto"):
        with pytest.raises(PlanError, match=rf"{name} was changed since it was built: nothing was loaded"):
            load_engine(model, backend)
    (folder / name).unlink()
    with pytest.raises(PlanError, match="cannot read"):
        load_tensorrt(model)


def test_a_changed_manifest_is_refused(model: Path, gpu: Gpu) -> None:
    folder, manifest = in_use(model)
    other = manifest.model_copy(update={"precision": "int8"})
    write_atomically(folder / CURRENT, other.to_json().encode())
    with pytest.raises(PlanError, match="was changed, or was not built by this user"):
        load_engine(model)
    write_atomically(folder / CURRENT, manifest.to_json().encode())
    load_engine(model).close()
    for text in (b"{}", b"not json", manifest.to_json().encode()[:-40]):
        write_atomically(folder / CURRENT, text)
        with pytest.raises(PlanError, match=f"{CURRENT} is damaged"):
            load_engine(model)


def test_a_folder_of_engines_from_another_machine_is_refused(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Plan, manifest and hashes fit each other: only the machine's key is missing."""
    monkeypatch.setenv(key_module.STATE_DIR, str(tmp_path / "another"))
    with pytest.raises(PlanError, match="was not built by this user on this machine"):
        load_tensorrt(model)
    build(lowered_folder(tmp_path / "n"), tmp_path / "n.engines", "fp32", seconds=0.1)  # makes that machine a key
    with pytest.raises(PlanError, match="was not built by this user on this machine"):
        load_tensorrt(model)


def test_a_manifest_cannot_name_a_file_elsewhere(model: Path) -> None:
    folder, manifest = in_use(model)
    text = manifest.to_json().replace(manifest.plan, "../" + manifest.plan)
    write_atomically(folder / CURRENT, text.encode())
    with pytest.raises(PlanError, match="is damaged: PlanManifest: plan"):
        load_tensorrt(model)


def test_a_key_others_can_read_is_refused(model: Path) -> None:
    key = key_module.state_dir() / "plan.key"
    assert key.stat().st_mode & 0o777 == 0o600
    key.chmod(0o644)
    with pytest.raises(EngineError, match=r"can be read by others \(mode 644\)"):
        load_tensorrt(model)


def test_a_plan_that_contradicts_its_manifest_is_refused(model: Path, gpu: Gpu) -> None:
    folder, manifest = in_use(model)
    spec = InputSpec.from_json(manifest.input_spec.to_json().replace('"height_px":16', '"height_px":32'))
    write_atomically(folder / CURRENT, manifest.model_copy(update={"input_spec": spec}).stamped().to_json().encode())
    with pytest.raises(PlanError, match="is not what its manifest says"):
        load_tensorrt(model)
    assert not list(gpu.contexts)


@every_release
def test_a_plan_tensorrt_refuses_gives_its_reason(model: Path, gpu: Gpu, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.engines.tensorrt_fake.behaviour.MAGIC", b"another")
    with pytest.raises(PlanError, match=r"TensorRT refuses .*Serialization assertion failed"):
        load_tensorrt(model)
    assert not list(gpu.contexts)
    assert not gpu.memory


def test_the_plugins_are_loaded_once_in_a_process(model: Path) -> None:
    for _ in range(2):  # the fake fails on a second registration
        load_tensorrt(model).close()


def test_a_folder_that_was_never_built_says_how(gpu: Gpu, tmp_path: Path) -> None:
    folder = lowered_folder(tmp_path / "m")
    with pytest.raises(PlanError, match=r"no engine in .*: engine.json: .*edgefas build"):
        load_engine(folder, "tensorrt")


def test_one_lowered_file_has_engines_of_its_own(gpu: Gpu, tmp_path: Path) -> None:
    path = saved(lowered_net(half=True), tmp_path / "fp16.onnx")
    golden_of(lowered_net(), tmp_path / "golden.npz")
    build(path, tmp_path / "fp16.engines", seconds=0.1)
    with load_engine(path) as engine:
        assert isinstance(engine, TensorRTEngine)
        assert engine.manifest.precision == "fp16"
        np.testing.assert_allclose(engine.score(noise(2, 2)), expected(2, 2), atol=0.01)
    shutil.rmtree(tmp_path / "fp16.engines")
    with load_engine(path) as engine:
        assert engine.backend == "onnxruntime"


def test_an_engine_in_use_is_not_looked_for_where_none_was_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    path = saved(lowered_net(), tmp_path / "m.onnx")
    monkeypatch.setattr("edgefas.engines.runtime.tensorrt_engine.require_tensorrt", None)
    assert load_engine(path).backend == "onnxruntime"
    assert caplog.text == ""
