"""`build` on the fake: what is kept, what is cached, and that a failure leaves the engine in use as it was."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

from edgefas.engines import build as build_module
from edgefas.engines.build import BuildReport, build
from edgefas.engines.runtime import EngineError
from edgefas.engines.runtime.plan import CURRENT, BatchRange
from edgefas.engines.runtime.tensorrt_engine import load_tensorrt
from edgefas.engines.tensorrt_builder import PlanBuildError
from edgefas.errors import CheckFailed, EdgefasError, UsageError
from edgefas.files import FileWriteError
from tests.engines.graphs import noise, saved
from tests.engines.lowered import fake_plugins, golden_of, lowered_folder, lowered_net
from tests.engines.tensorrt_fake import BOARD, RELEASES, Gpu, install

every_release = pytest.mark.parametrize("gpu", RELEASES, indirect=True)
ALL = [(p, k) for p in ("fp32", "fp16", "int8") for k in ("stock", "own")]


@pytest.fixture
def gpu(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Gpu:
    """A board with TensorRT 10.3, or with `every_release` in turn."""
    return install(monkeypatch, tmp_path / "state", getattr(request, "param", "10.3"))


@pytest.fixture
def model(gpu: Gpu, tmp_path: Path) -> Path:
    return lowered_folder(tmp_path / "m", own=True)


def made(model: Path, *arguments: object, **options: object) -> BuildReport:
    return build(
        model, model.with_name("m.engines"), *arguments, **{"make_plugins": fake_plugins, "seconds": 0.1} | options
    )  # type: ignore[arg-type]


def sha(model: Path, name: str) -> str:
    return hashlib.sha256((model / "tensorrt" / f"{name}.onnx").read_bytes()).hexdigest()


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def kept(model: Path) -> tuple[str, str]:
    manifest = json.loads((model.with_name("m.engines") / CURRENT).read_text())
    return manifest["precision"], manifest["plugins"]


@every_release
def test_best_keeps_the_fastest_that_passes(gpu: Gpu, model: Path) -> None:
    gpu.run_ms = {sha(model, "int8-own"): 5.0, sha(model, "fp16-own"): 10.0, sha(model, "fp32-stock"): 2.0}
    gpu.score_offset = {sha(model, "fp32-stock"): 0.02}  # fast and wrong
    before = files(model)
    report = made(model)
    assert [(a.precision, a.plugins) for a in report.attempts] == ALL
    assert {(a.precision, a.plugins): a.status for a in report.attempts} == {
        **dict.fromkeys(ALL, "passed"), ("int8", "own"): "in use", ("fp32", "stock"): "failed"
    }  # fmt: skip
    assert "must be" in report.attempts[0].detail
    assert kept(model) == ("int8", "own")
    assert report.attempts[-1].median_ms == pytest.approx(5.0, abs=0.01)
    manifest = report.manifest
    assert (manifest.key.device.board, manifest.key.device.compute_capability) == (BOARD, "8.7")
    assert manifest.key.device.tensorrt == gpu.trt.__version__
    assert manifest.key.model_sha256 == sha(model, "int8-own")
    assert files(model) == before, "the signed bytes were edited"
    with load_tensorrt(model) as engine:
        assert engine.manifest == manifest


def test_own_plugins_must_be_faster_not_as_fast(gpu: Gpu, model: Path) -> None:
    made(model, "fp16")
    assert kept(model) == ("fp16", "stock")
    gpu.run_ms = {sha(model, "fp16-own"): 49.9}
    made(model, "fp16")
    assert kept(model) == ("fp16", "own")
    made(model, "fp16", "stock")
    assert kept(model) == ("fp16", "stock")


def test_a_network_without_own_nodes_needs_no_compiler(gpu: Gpu, tmp_path: Path) -> None:
    folder = lowered_folder(tmp_path / "m")
    for path in (folder / "tensorrt").iterdir():  # equal files under both names
        path.with_name(path.name.replace("stock", "own")).write_bytes(path.read_bytes())
    report = made(folder, make_plugins=None)
    assert [(a.precision, a.plugins) for a in report.attempts] == [(p, "stock") for p in ("fp32", "fp16", "int8")]
    assert report.manifest.plugin is None


def no_compiler(out: Path, include_dir: Path | None, architectures: tuple[str, ...]) -> Path:
    assert architectures == ("87",)
    raise EdgefasError("nvcc is missing: sudo apt install cuda-nvcc-12-6")


def test_without_a_compiler_stock_is_taken_and_the_reason_told(model: Path) -> None:
    report = made(model, "fp32", make_plugins=no_compiler)
    assert kept(model) == ("fp32", "stock")
    assert [a.status for a in report.attempts] == ["in use", "failed"]
    assert "sudo apt install cuda-nvcc-12-6" in report.attempts[1].detail
    with pytest.raises(EdgefasError, match="nvcc is missing"):
        made(model, "fp32", "own", make_plugins=no_compiler)


@every_release
def test_a_second_build_comes_from_the_cache(gpu: Gpu, model: Path) -> None:
    first = made(model, "fp32")
    built = gpu.builds
    second = made(model, "fp32", make_plugins=None)  # the compiled plugins are known, too
    assert gpu.builds == built
    assert [a.cached for a in first.attempts + second.attempts] == [False, False, True, True]
    assert second.manifest.plan == first.manifest.plan


@pytest.mark.parametrize("change", ["board", "tensorrt", "compute capability", "model", "batches", "plugins"])
def test_what_the_cache_is_keyed_by(change: str, gpu: Gpu, model: Path) -> None:
    made(model, "fp32", "own")
    built = gpu.builds
    options: dict[str, object] = {}
    if change == "board":
        gpu.board = "NVIDIA Jetson AGX Orin Developer Kit"
    elif change == "tensorrt":
        gpu.trt.__version__ = "10.3.1"
    elif change == "compute capability":
        gpu.compute_capability = (9, 0)
    elif change == "model":
        path = model / "tensorrt" / "fp32-own.onnx"
        network = onnx.load(path)
        network.doc_string = "another"
        saved(network, path)
    elif change == "batches":
        options = {"batches": (BatchRange(low=1, high=2),)}
    else:
        for record in model.with_name("m.engines").glob("plugins-*"):
            record.unlink()

        def other(out: Path, include_dir: Path | None, architectures: tuple[str, ...]) -> Path:
            library = fake_plugins(out, include_dir, architectures)
            library.write_text(library.read_text() + " ")
            return library

        options = {"make_plugins": other}
    report = made(model, "fp32", "own", **options)
    assert gpu.builds == built + 1
    assert not report.attempts[0].cached


def test_golden_scores_are_checked_again_when_cached(model: Path) -> None:
    made(model, "fp32", "stock")
    golden_of(lowered_net(seed=1), model / "golden.npz")
    with pytest.raises(CheckFailed, match="golden frame"):
        made(model, "fp32", "stock")


def test_a_tampered_cached_plan_is_built_again(gpu: Gpu, model: Path, caplog: pytest.LogCaptureFixture) -> None:
    report = made(model, "fp32", "stock")
    path = report.folder / report.manifest.plan
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    again = made(model, "fp32", "stock")
    assert (gpu.builds, again.attempts[0].cached) == (2, False)
    assert "was changed since it was built" in caplog.text
    load_tensorrt(model).close()


def fails_golden(gpu: Gpu, model: Path, monkeypatch: pytest.MonkeyPatch) -> type[Exception]:
    gpu.score_offset = {sha(model, "fp16-stock"): 0.5}
    return CheckFailed


def fails_in_the_builder(gpu: Gpu, model: Path, monkeypatch: pytest.MonkeyPatch) -> type[Exception]:
    gpu.refuse_build = True
    return PlanBuildError


def fails_on_disk(gpu: Gpu, model: Path, monkeypatch: pytest.MonkeyPatch) -> type[Exception]:
    write = build_module.write_atomically

    def full(path: Path, data: bytes) -> None:
        if path.name == CURRENT:
            raise FileWriteError("cannot write: No space left on device")
        write(path, data)

    monkeypatch.setattr(build_module, "write_atomically", full)
    return FileWriteError


def fails_by_ctrl_c(gpu: Gpu, model: Path, monkeypatch: pytest.MonkeyPatch) -> type[BaseException]:
    return KeyboardInterrupt


def interrupted(phase: str, done: int, total: int) -> None:
    if done == 1:
        raise KeyboardInterrupt


@pytest.mark.parametrize("failure", [fails_golden, fails_in_the_builder, fails_on_disk, fails_by_ctrl_c])
def test_a_failure_leaves_the_engine_in_use(
    failure: object, gpu: Gpu, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = made(model, "fp32", "stock")
    with load_tensorrt(model) as engine:
        before = engine.score(noise(2, 1))
    old = files(report.folder)
    kind = failure(gpu, model, monkeypatch)  # type: ignore[operator]
    with pytest.raises(kind):
        made(model, "fp16", "stock", **({"progress": interrupted} if kind is KeyboardInterrupt else {}))
    assert {name: content for name, content in files(report.folder).items() if name in old} == old
    assert not [name for name in files(report.folder) if name.startswith(".")]
    assert not gpu.memory
    assert not list(gpu.contexts)
    with load_tensorrt(model) as engine:
        np.testing.assert_array_equal(engine.score(noise(2, 1)), before)


def test_no_plan_that_failed_its_golden_scores_is_on_disk(gpu: Gpu, model: Path) -> None:
    gpu.score_offset = {sha(model, "fp16-stock"): 0.5}
    with pytest.raises(CheckFailed):
        made(model, "fp16", "stock")
    assert not list(model.with_name("m.engines").glob("*.plan"))


def test_when_nothing_passes_every_reason_is_told(gpu: Gpu, model: Path) -> None:
    gpu.score_offset = {sha(model, f"{p}-{k}"): 9.0 for p, k in ALL}
    with pytest.raises(CheckFailed, match=r"no engine passed; fp32-stock: golden.*int8-own: golden"):
        made(model)
    gpu.score_offset = {}
    gpu.refuse_build = True
    with pytest.raises(EngineError, match=r"no engine passed; fp32-stock: .* no implementation for node mix"):
        made(model)


def test_a_decision_that_flips_at_the_policys_threshold_is_refused(gpu: Gpu, model: Path) -> None:
    scores = np.load(model / "golden.npz")["score"]
    gpu.score_offset = {sha(model, "fp32-stock"): -0.005}  # within the tolerance
    made(model, "fp32", "stock", threshold=float(scores[0]) - 1)
    with pytest.raises(CheckFailed, match="flips the decision"):
        made(model, "fp32", "stock", threshold=float(scores[0]) - 0.001)


@every_release
def test_the_parsers_words_reach_the_user(gpu: Gpu, tmp_path: Path) -> None:
    network = lowered_net()
    network.graph.node[1].op_type = "Convolve"
    golden_of(lowered_net(), tmp_path / "golden.npz")
    path = saved(network, tmp_path / "m.onnx")
    with pytest.raises(PlanBuildError, match=r"TensorRT .* cannot parse .*m.onnx: Convolve conv_1: no importer"):
        build(path, tmp_path / "m.engines", seconds=0.1)


def test_an_own_node_whose_plugin_is_not_in_the_library_is_said(model: Path) -> None:
    def empty(out: Path, include_dir: Path | None, architectures: tuple[str, ...]) -> Path:
        (out / "l.so").write_text('{"creators": []}')
        return out / "l.so"

    with pytest.raises(PlanBuildError, match=r"EdgefasBTE bte: getPluginCreator could not find plugin"):
        made(model, "fp32", "own", make_plugins=empty)


def test_a_library_tensorrt_refuses_is_said(model: Path) -> None:
    def broken(out: Path, include_dir: Path | None, architectures: tuple[str, ...]) -> Path:
        (out / "l.so").write_bytes(b"\x7fELF")
        return out / "l.so"

    with pytest.raises(EngineError, match="TensorRT cannot load the plugins"):
        made(model, "fp32", "own", make_plugins=broken)


def test_a_planted_library_is_not_loaded(model: Path) -> None:
    """A library with a fitting record, yet without this machine's stamp, is compiled again."""
    made(model, "fp32", "own")
    folder = model.with_name("m.engines")
    [record] = folder.glob("plugins-*.json")
    facts = json.loads(record.read_text())
    evil = b'{"creators": [["Evil", "1", "edgefas"]]}'
    (folder / "evil.so").write_bytes(evil)
    facts.update(library="evil.so", sha256=hashlib.sha256(evil).hexdigest())
    record.write_text(json.dumps(facts))
    report = made(model, "fp32", "own")
    assert report.manifest.plugin != "evil.so"


def test_the_timing_cache_is_kept_and_a_strange_one_ignored(
    gpu: Gpu, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[bytes] = []
    original = build_module.build_plan

    def spied(trt: object, file: object, spec: object, batches: object, cache: bytes, progress: object) -> object:
        given.append(cache)
        return original(trt, file, spec, batches, cache, progress)  # type: ignore[arg-type]

    monkeypatch.setattr(build_module, "build_plan", spied)
    report = made(model, "fp32", "stock")
    made(model, "fp16", "stock")
    [cache] = report.folder.glob("timing-*.cache")
    cache.write_bytes(b"x" + cache.read_bytes()[1:])
    made(model, "int8", "stock")
    assert given == [b"", b"fake timing cache 10.3.0", b""]


@every_release
def test_the_layer_report_tells_precision_reformats_and_time(gpu: Gpu, model: Path) -> None:
    report = made(model, "int8", "stock")
    [path] = report.folder.glob("*.layers.json")
    layers = json.loads(path.read_text())
    assert layers["summary"] == {
        "layers": 4, "by_precision": {"fp32": 1, "int8": 2, "fp16": 1}, "reformats": 1, "reformat_ms": 0.5,
        "total_ms": 2.5, "timed_runs": 20,
    }  # fmt: skip
    assert [(layer["name"], layer["ms"]) for layer in layers["layers"]] == [
        ("stem", 0.25), ("reformat before mix", 0.5), ("mix", 0.75), ("head", 1.0)
    ]  # fmt: skip
    assert layers["inspector"]["Layers"]


def test_progress_has_begin_steps_and_end(model: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    made(model, "fp32", "own", progress=lambda *step: seen.append(step))
    assert seen == [
        ("compiling the plugins", 0, 1), ("compiling the plugins", 1, 1),
        ("building", 0, 2), ("building", 1, 2), ("building", 2, 2), ("building", 2, 2),
    ]  # fmt: skip


def test_profiles_are_those_asked_for(gpu: Gpu, model: Path) -> None:
    ranges = (BatchRange(low=1, high=1), BatchRange(low=2, high=8))
    report = made(model, "fp32", "stock", batches=ranges)
    header = json.loads((report.folder / report.manifest.plan).read_bytes().split(b"\n")[1])
    assert header["profiles"] == [
        {"ir": [[1, 1, 16, 16]] * 3}, {"ir": [[2, 1, 16, 16], [8, 1, 16, 16], [8, 1, 16, 16]]}
    ]  # fmt: skip
    assert not header["tf32"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("int8+fp16",), r"nothing for --precision int8\+fp16; there is: .*fp32 \(stock\)"),
        (("int8+fp16", "own"), r"nothing for --precision int8\+fp16 --plugins own"),
    ],
)
def test_what_is_not_there_is_listed(arguments: tuple[str, ...], words: str, model: Path) -> None:
    with pytest.raises(UsageError, match=words):
        made(model, *arguments)


def test_paths_that_are_nothing_to_build_from(gpu: Gpu, tmp_path: Path) -> None:
    (tmp_path / "m.txt").touch()
    (tmp_path / "empty").mkdir()
    for name, words in (("absent", "no such file or folder"), ("m.txt", "cannot be built from")):
        with pytest.raises(UsageError, match=words):
            build(tmp_path / name, tmp_path / "e")
    with pytest.raises(UsageError, match=r"no tensorrt/\*.onnx"):
        build(tmp_path / "empty", tmp_path / "e")
    assert not (tmp_path / "e").exists()


def test_a_model_without_golden_vectors_is_not_built(gpu: Gpu, model: Path) -> None:
    (model / "golden.npz").unlink()
    with pytest.raises(EngineError, match="no golden vectors"):
        made(model)
    assert gpu.builds == 0


def test_a_file_named_stock_with_own_nodes_is_refused(gpu: Gpu, model: Path) -> None:
    saved(lowered_net(own=True), model / "tensorrt" / "fp32-stock.onnx")
    with pytest.raises(EngineError, match="is named stock, and needs EdgefasBTE"):
        made(model)


def test_an_own_domain_helper_is_not_in_the_stock_form() -> None:
    """The two forms of the test's network compute the same: else the comparisons above mean nothing."""
    stock, own = lowered_net(), lowered_net(own=True)
    assert {node.domain for node in stock.graph.node} == {""}
    assert [node.op_type for node in own.graph.node if node.domain] == ["EdgefasBTE"]
    assert helper.get_attribute_value(own.graph.node[2].attribute[0]) is not None
