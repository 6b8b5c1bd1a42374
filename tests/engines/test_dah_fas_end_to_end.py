"""DAH-FAS by the commands alone: checkpoint, export, quantize, build on the fake, scores; and compare.

The fake runs EdgefasBTE and EdgefasDCNv2 by their definitions in ONNX Runtime: what is tested is the way there and the
golden vectors that guard it, not a kernel.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest

from edgefas.cli.main import run
from edgefas.engines.golden import TOLERANCE
from edgefas.engines.precision import file_name
from edgefas.engines.runtime import load_engine
from tests.engines.lowered import fake_plugins
from tests.engines.small_dah_fas import pictures, write_checkpoint, write_frames
from tests.engines.tensorrt_fake import Gpu, install

RECIPE = """quantize: [Conv, Gemm]
float_weights: ["branches.rgb.*", "branches.ir.*"]
"""
"""INT8 in the depth branch and the fusion alone: through forty random layers one INT8 step becomes a wrong score."""
COPIES = [(p, k) for p in ("fp16", "int8+fp16") for k in ("own", "stock")]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with net.safetensors, net.onnx, frames.npz and net-int8/, all written by the commands."""
    folder = tmp_path_factory.mktemp("dah-fas")
    frames = write_frames(folder / "frames.npz")
    checkpoint = write_checkpoint(folder / "net.safetensors")
    source, out = folder / "net.onnx", folder / "net-int8"
    assert run(["export", str(checkpoint), "-o", str(source)]) == 0
    (folder / "recipe.yaml").write_text(RECIPE)
    options = ["--calibration", str(frames), "--recipe", str(folder / "recipe.yaml"), "-o", str(out)]
    assert run(["quantize", str(source), *options]) == 0
    return folder


@pytest.fixture
def board(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Gpu, Path]:
    """A machine with TensorRT 10.3 and the folder, without engines."""
    monkeypatch.setattr("edgefas.engines.plugins.build.build_plugins", fake_plugins)
    shutil.copytree(made / "net-int8", tmp_path / "net-int8")
    return install(monkeypatch, tmp_path / "state", "10.3"), tmp_path / "net-int8"


def inputs_of(folder: Path) -> dict[str, np.ndarray]:
    return pictures(load_engine(folder / "model.onnx").spec, 3, 21)


def test_own_copies_hold_both_plugins_and_no_bodies(made: Path) -> None:
    for precision, kind in COPIES:
        model = onnx.load(made / "net-int8" / "tensorrt" / file_name(precision, kind))
        kinds = [node.op_type for node in model.graph.node]
        assert [kinds.count(op) for op in ("EdgefasBTE", "EdgefasDCNv2", "DeformConv")] == (
            [1, 2, 0] if kind == "own" else [0, 0, 2]
        )
        assert not model.functions


def test_every_copy_is_built_accepted_and_scores_what_onnxruntime_does(
    board: tuple[Gpu, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    _, folder = board
    inputs = inputs_of(folder)
    for precision, kind in COPIES:
        capsys.readouterr()
        assert run(["build", str(folder), "--precision", precision, "--plugins", kind, "--json"]) == 0
        report = json.loads(capsys.readouterr().out)
        [attempt] = report["attempts"]
        assert (attempt["status"], attempt["precision"], attempt["plugins"]) == ("in use", precision, kind)
        assert attempt["max_abs"] <= TOLERANCE[precision]
        with load_engine(folder) as engine:
            assert engine.backend == "tensorrt"
            scores = engine.score(inputs)
        expected = load_engine(folder / "tensorrt" / file_name(precision, kind), "onnxruntime", reference=True)
        np.testing.assert_allclose(scores, expected.score(inputs), atol=TOLERANCE[precision])
        assert np.ptp(scores) > 0.3, "scores that hardly differ would agree by chance"
        assert report["engine"]["plugin"] is None or kind == "own"


@pytest.mark.parametrize("bug", ["offset axes swapped", "mask lost"])
@pytest.mark.parametrize("precision", ["fp16", "int8+fp16"])
def test_a_plugin_that_computes_something_else_is_refused(
    bug: str, precision: str, board: tuple[Gpu, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    gpu, folder = board
    gpu.plugin_bug = bug  # type: ignore[assignment]
    assert run(["build", str(folder), "--precision", precision, "--plugins", "own"]) == 3
    assert "golden frame" in capsys.readouterr().err
    assert not list(folder.with_name("net-int8.engines").glob("*.plan"))


def test_where_own_plugins_are_wrong_stock_is_taken(
    board: tuple[Gpu, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    gpu, folder = board
    gpu.plugin_bug = "mask lost"
    assert run(["build", str(folder), "--precision", "fp16", "--json"]) == 0
    attempts = {a["plugins"]: a for a in json.loads(capsys.readouterr().out)["attempts"]}
    assert (attempts["own"]["status"], attempts["stock"]["status"]) == ("failed", "in use")
    assert "golden frame" in attempts["own"]["detail"]


def compared(capsys: pytest.CaptureFixture[str], *arguments: object) -> dict:
    capsys.readouterr()
    assert run(["compare", *map(str, arguments), "--json"]) == 0
    document: dict = json.loads(capsys.readouterr().out)
    return document


def test_compare_a_checkpoint_with_its_onnx(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = compared(capsys, made / "net.safetensors", made / "net.onnx", "--no-layers", "--count", 4)
    assert found["max_abs"] < 1e-3
    assert found["backends"] == ["torch", "onnxruntime"]
    assert found["flips"] == 0


def test_compare_the_onnx_with_its_int8_folder_by_layers(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = compared(capsys, made / "net.onnx", made / "net-int8", "--inputs", made / "frames.npz")
    assert found["frames"] == 8
    assert found["max_abs"] > 0.01
    first = found["first_difference"]
    assert first["matched"] > 100
    assert first["at"]["layer"].startswith("Conv branches.depth."), "where INT8 begins"
    assert first["before"]["difference"] <= 1e-3 < first["at"]["difference"]


def test_compare_with_an_engine_of_tensorrt(
    made: Path, board: tuple[Gpu, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """Its inside cannot be read out: scores alone, whether the engines are named or the folder they were built from."""
    _, folder = board
    assert run(["build", str(folder), "--precision", "fp16", "--plugins", "own"]) == 0
    for b in (folder.with_name("net-int8.engines"), folder):
        found = compared(capsys, made / "net.onnx", b, "--count", 4)
        assert found["backends"] == ["onnxruntime", "tensorrt"]
        assert 0 < found["max_abs"] < 1
        assert found["first_difference"] is None
        assert "tensorrt" in found["note"]


def test_compare_the_onnx_with_a_copy_for_tensorrt_as_written(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Matched by name: the copy keeps those of its source; what it cannot be run as is told with the next command."""
    copy = made / "net-int8" / "tensorrt" / file_name("fp16", "own")
    inputs = ["--inputs", made / "frames.npz"]
    found = compared(capsys, made / "net.onnx", copy, *inputs, "--reference", "--layer-tolerance", 0.005)
    assert found["first_difference"]["matched"] > 300
    assert found["first_difference"]["before"]["difference"] <= 0.005
    assert run(["compare", str(made / "net.onnx"), str(copy)]) == 1
    assert "edgefas compare --reference" in capsys.readouterr().err
