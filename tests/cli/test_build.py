"""`edgefas build` as a user types it: with the fake a table, JSON and exit codes; without TensorRT, what to do."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto

from edgefas.contracts import Policy
from edgefas.deploy.bundle import Manifest, open_bundle, write_bundle
from edgefas.engines.runtime.plan import CURRENT, PlanManifest
from edgefas.live.model import open_model
from tests.conftest import Run
from tests.engines.graphs import IR_SPEC, noise, saved, small_net
from tests.engines.lowered import fake_plugins, golden_of, lowered_folder, lowered_net
from tests.engines.tensorrt_fake import BOARD, Gpu, install


@pytest.fixture
def gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Gpu:
    monkeypatch.setattr("edgefas.engines.plugin_library.import_module", lambda name: PLUGINS)
    return install(monkeypatch, tmp_path / "state", "10.3")


class PLUGINS:
    """Stands for edgefas.engines.plugins.build."""

    build_plugins = staticmethod(fake_plugins)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return lowered_folder(tmp_path / "m", own=True)


def in_use(model: Path) -> PlanManifest:
    return PlanManifest.from_json((model.with_name("m.engines") / CURRENT).read_bytes())


def test_without_tensorrt_it_says_what_to_do(run: Run, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    code, out, err = run("build", model)
    assert (code, out) == (1, "")
    assert err.startswith("error: TensorRT cannot be imported")
    for words in ("sudo apt install nvidia-jetpack", "--system-site-packages", "pip install 'edgefas[tensorrt]'"):
        assert words in err
    assert not model.with_name("m.engines").exists()


def test_without_pycuda_it_says_what_to_do(run: Run, model: Path, gpu: Gpu, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pycuda.driver", None)
    code, _, err = run("build", model)
    assert code == 1
    assert "pip install 'edgefas[jetson]'" in err


def test_best_of_all_as_a_table(run: Run, model: Path, gpu: Gpu) -> None:
    code, out, _ = run("build", model)
    assert code == 0
    assert "built for" in out
    assert out.count("passed") == 5
    assert out.count("in use") == 2  # in the table, and the file
    assert str(model.with_name("m.engines") / in_use(model).plan) in out


def test_the_report_as_json(run: Run, model: Path, gpu: Gpu) -> None:
    code, out, _ = run("build", model, "--precision", "fp16", "--batch", "1", "--batch", "2-8", "--json")
    assert code == 0
    report = json.loads(out)
    assert [(a["precision"], a["plugins"], a["cached"]) for a in report["attempts"]] == [
        ("fp16", "stock", False), ("fp16", "own", False)
    ]  # fmt: skip
    assert report["engine"]["key"]["batches"] == [{"low": 1, "high": 1}, {"low": 2, "high": 8}]
    assert report["engine"]["key"]["device"]["board"] == BOARD
    assert "stamp" not in report["engine"]


def test_a_failed_candidate_is_told_with_its_reason(run: Run, model: Path, gpu: Gpu) -> None:
    saved(lowered_net(seed=3), model / "tensorrt" / "fp32-stock.onnx")
    code, out, err = run("build", model)
    assert code == 0
    assert "failed: fp32, stock: golden frame" in err
    assert in_use(model).precision != "fp32" or in_use(model).plugins == "own"
    assert "failed" in out


def test_scores_that_are_off_end_with_3(run: Run, model: Path, gpu: Gpu) -> None:
    golden_of(lowered_net(seed=3), model / "golden.npz")
    code, out, err = run("build", model, "--precision", "fp32", "--plugins", "stock")
    assert (code, out) == (3, "")
    assert err.startswith("error: golden frame")


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--batch", "0"], "--batch 0: give a size such as 1 or a range such as 2-8"),
        (["--batch", "8-2"], "--batch 8-2"),
        (["--batch", "many"], "--batch many"),
        (["--batch", "2000"], "--batch 2000"),
        (["--precision", "fp8"], "--precision"),
        (["--plugins", "mine"], "--plugins"),
        (["--precision", "int8+fp16"], "nothing for --precision int8+fp16"),
    ],
)
def test_misuse_ends_with_2(words: list[str], text: str, run: Run, model: Path, gpu: Gpu) -> None:
    code, out, err = run("build", model, *words)
    assert (code, out) == (2, "")
    assert text in err


def huge(network: onnx.ModelProto) -> None:
    network.graph.initializer.append(TensorProto(name="huge", data_type=TensorProto.FLOAT, dims=[2**20, 2**20]))


def far(network: onnx.ModelProto) -> None:
    tensor = TensorProto(name="far", data_type=TensorProto.FLOAT, dims=[4], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="../../secret.bin")
    network.graph.initializer.append(tensor)


def unknown_domain(network: onnx.ModelProto) -> None:
    network.graph.node[1].domain = "com.example"


def unknown_operator(network: onnx.ModelProto) -> None:
    network.graph.node[1].op_type = "Convolve"


def without_spec(network: onnx.ModelProto) -> None:
    del network.metadata_props[:]


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (huge, "at most 536870912 are allowed"),
        (far, "only a file beside the model is allowed"),
        (unknown_domain, "unknown operators: com.example::Conv"),
        (unknown_operator, "cannot parse"),
        (without_spec, "carries no InputSpec"),
    ],
)
def test_bad_networks_end_with_1_and_the_old_engine_stays(
    damage: Callable[[onnx.ModelProto], None], words: str, run: Run, model: Path, gpu: Gpu
) -> None:
    assert run("build", model, "--precision", "fp32", "--plugins", "stock")[0] == 0
    folder = model.with_name("m.engines")
    old = {path.name: path.read_bytes() for path in folder.iterdir()}
    network = lowered_net()
    damage(network)
    saved(network, model / "tensorrt" / "fp32-stock.onnx")
    code, out, err = run("build", model, "--precision", "fp32", "--plugins", "stock")
    assert (code, out) == (1, "")
    assert words in err
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == old


@pytest.mark.parametrize("content", [b"", b"not a network\n", small_net().SerializeToString()[:300]])
def test_a_damaged_file_ends_with_1(content: bytes, run: Run, tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(content)
    code, _, err = run("build", tmp_path / "m.onnx")
    assert code == 1
    assert "is not ONNX or is damaged" in err


def changed_plan(model: Path, gpu: Gpu) -> None:
    path = model.with_name("m.engines") / in_use(model).plan
    path.write_bytes(path.read_bytes() + b"\0")


def another_tensorrt(model: Path, gpu: Gpu) -> None:
    gpu.trt.__version__ = "10.7.0"


def another_gpu(model: Path, gpu: Gpu) -> None:
    gpu.compute_capability = (11, 0)


def another_board(model: Path, gpu: Gpu) -> None:
    gpu.board = "NVIDIA Jetson AGX Orin Developer Kit"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (changed_plan, "was changed since it was built: nothing was loaded"),
        (another_tensorrt, "is for tensorrt 10.3.0, here it is 10.7.0"),
        (another_gpu, "is for compute capability 8.7, here it is 11.0"),
        (another_board, "here it is NVIDIA Jetson AGX Orin Developer Kit"),
    ],
)
def test_a_plan_that_does_not_belong_here_ends_live_with_1(
    change: Callable[[Path, Gpu], None], words: str, run: Run, model: Path, gpu: Gpu
) -> None:
    assert run("build", model, "--precision", "fp32")[0] == 0
    change(model, gpu)
    engines = model.with_name("m.engines")
    code, _, err = run("live", "--camera", "simulated", "--model", engines, "--allow-unsigned", "--frames", 1)
    assert code == 1
    assert words in err
    assert "edgefas build" in err


def bundle_of(model: Path, path: Path) -> Path:
    manifest = Manifest(name="small", model="small", release=1, input_spec=IR_SPEC, trained_on="nothing", members={})
    members = {"policy.json": Policy(threshold=0.25).to_json().encode(), "ort/model.onnx": onnx_bytes()}
    members["golden.npz"] = (model / "golden.npz").read_bytes()
    members |= {f"tensorrt/{file.name}": file.read_bytes() for file in (model / "tensorrt").iterdir()}
    write_bundle(path, manifest, members)
    return path


def onnx_bytes() -> bytes:
    return lowered_net().SerializeToString()


def test_a_bundle_is_built_from_its_own_members_with_its_policy(
    run: Run, model: Path, gpu: Gpu, tmp_path: Path
) -> None:
    bundle = bundle_of(model, tmp_path / "m.efas")
    before = bundle.read_bytes()
    assert run("build", bundle)[0] == 1  # nobody vouches for it
    code, _, err = run("build", bundle, "--allow-unsigned", "--precision", "fp16")
    assert code == 0, err
    assert bundle.read_bytes() == before
    manifest = in_use(bundle)
    assert manifest.verified is not None
    assert manifest.verified.threshold == 0.25
    shutil.rmtree(model)
    live = open_model(bundle, allow_unsigned=True)
    assert live.engine.backend == "tensorrt"
    with live.engine as engine, open_bundle(bundle, allow_unsigned=True).engine() as plain:
        assert plain.backend == "onnxruntime"
        np.testing.assert_allclose(engine.score(noise(3, 1)), plain.score(noise(3, 1)), atol=0.01)


def test_a_bundle_for_onnx_runtime_alone_is_said(run: Run, model: Path, gpu: Gpu, tmp_path: Path) -> None:
    for file in (model / "tensorrt").iterdir():
        file.unlink()
    code, _, err = run("build", bundle_of(model, tmp_path / "m.efas"), "--allow-unsigned")
    assert code == 2
    assert "has no tensorrt/ members" in err


def test_engines_go_where_they_are_told(run: Run, model: Path, gpu: Gpu, tmp_path: Path) -> None:
    assert run("build", model, "--precision", "fp32", "-o", tmp_path / "deep" / "e.engines")[0] == 0
    assert (tmp_path / "deep" / "e.engines" / CURRENT).is_file()
    (tmp_path / "file").touch()
    code, _, err = run("build", model, "--precision", "fp32", "-o", tmp_path / "file" / "e")
    assert code == 1
    assert "cannot make" in err
