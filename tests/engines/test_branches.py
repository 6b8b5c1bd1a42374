"""Parts of a network: cut from the source and from TensorRT's copies, run side by side, equal to the whole."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import helper
from torch import Tensor, nn

from edgefas.calibration.recipe import Recipe
from edgefas.cli.main import run
from edgefas.contracts import InputSpec
from edgefas.engines.export import export_onnx, random_inputs
from edgefas.engines.lowering.branches import cut_branch
from edgefas.engines.lowering.graph import LoweringError
from edgefas.engines.lowering.reference import for_cpu, needs_reference
from edgefas.engines.lowering.tensorrt import lower_tensorrt
from edgefas.engines.precision import PRECISIONS
from edgefas.engines.runtime import EngineError, load_engine
from edgefas.engines.runtime.branches import OnnxRuntimePart, load_branches, open_onnxruntime_part
from edgefas.models import create_model
from tests.engines.graphs import TWO_SPEC, saved, small_net
from tests.engines.plugin_net import faces, plugin_net, table
from tests.engines.plugin_net import run as run_reference

RECIPE = Recipe(quantize=("Conv", "Gemm", "Add"))
PARTS = ("ir", "depth", "fusion")


def write_parts(model: onnx.ModelProto, folder: Path) -> Path:
    for part in PARTS:
        saved(cut_branch(model, part), folder / f"{part}.onnx")
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_parts(plugin_net(), tmp_path_factory.mktemp("parts"))


@pytest.mark.parametrize("overlap", [True, False])
def test_parts_compute_what_the_whole_computes(folder: Path, tmp_path: Path, overlap: bool) -> None:
    whole = load_engine(saved(plugin_net(), tmp_path / "whole.onnx"), threads=1)
    with load_branches(folder, overlap=overlap) as engine:
        assert engine.spec == TWO_SPEC
        assert engine.outputs == ("score",)
        for batch in (1, 3):
            got = engine.score(faces(batch, batch))
            np.testing.assert_allclose(got, whole.score(faces(batch, batch)), atol=1e-5)
            assert got.shape == (batch,)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("plugins", ["own", "stock"])
def test_copies_for_tensorrt_are_cut_alike(precision: str, plugins: str) -> None:
    source = plugin_net()
    whole = lower_tensorrt(source, precision, plugins, table(source), RECIPE)
    parts = {part: cut_branch(whole, part) for part in PARTS}
    maps: dict[str, np.ndarray] = {}
    for branch in ("ir", "depth"):
        maps[f"{branch}_features"] = run_reference(parts[branch], {branch: faces(3, 0)[branch]})
    assert all(value.dtype == np.float32 for value in maps.values())
    np.testing.assert_allclose(run_reference(parts["fusion"], maps), run_reference(whole, faces(3, 0)), atol=1e-6)
    kinds = {node.op_type for node in parts["ir"].graph.node}
    assert ({"EdgefasBTE", "EdgefasDCNv2"} <= kinds) == (plugins == "own")
    for part in parts.values():
        onnx.checker.check_model(for_cpu(part) if needs_reference(part) else part, full_check=True)


def test_each_part_says_what_it_is(folder: Path) -> None:
    source = plugin_net()
    models = {part: onnx.load(folder / f"{part}.onnx") for part in PARTS}
    metadata = {name: {p.key: p.value for p in model.metadata_props} for name, model in models.items()}
    assert [metadata[name]["edgefas.branch"] for name in PARTS] == list(PARTS)
    for name in ("ir", "depth"):
        spec = InputSpec.from_json(metadata[name]["edgefas.input_spec"])
        assert [m.value for m in spec.modalities] == [name]
        assert getattr(spec, name) == getattr(TWO_SPEC, name)
    assert "edgefas.input_spec" not in metadata["fusion"], "it takes no pictures"
    assert json.loads(metadata["fusion"]["edgefas.features"]) == {
        "ir_features": [8, 16, 16],
        "depth_features": [8, 8, 8],
    }
    sizes = [sum(len(t.raw_data) for t in model.graph.initializer) for model in (*models.values(), source)]
    assert sum(sizes[:3]) < 1.1 * sizes[3], "every weight lies in one part"
    assert [bool(models[name].functions) for name in PARTS] == [True, False, False]


def test_a_part_is_no_engine(folder: Path) -> None:
    for part in PARTS:
        with pytest.raises(EngineError, match=f"only the {part} part .*load_branches"):
            load_engine(folder / f"{part}.onnx")


def test_missing_swapped_and_foreign_parts_are_refused(folder: Path, tmp_path: Path) -> None:
    for part in PARTS:
        (tmp_path / f"{part}.onnx").write_bytes((folder / f"{part}.onnx").read_bytes())
    (tmp_path / "ir.onnx").write_bytes((folder / "depth.onnx").read_bytes())
    with pytest.raises(EngineError, match=r"ir\.onnx is depth"):
        load_branches(tmp_path)
    saved(small_net(), tmp_path / "ir.onnx")
    with pytest.raises(EngineError, match=r"ir\.onnx is no part of a network"):
        load_branches(tmp_path)
    outside = onnx.load(folder / "fusion.onnx")
    helper.set_model_props(outside, {"edgefas.branch": "fusion", "edgefas.features": '{"../ir_features": [8, 16, 16]}'})
    saved(outside, tmp_path / "fusion.onnx")
    with pytest.raises(EngineError, match=r"broken metadata .*\.\./ir"):
        load_branches(tmp_path)
    (tmp_path / "fusion.onnx").write_bytes((folder / "fusion.onnx").read_bytes())
    saved(cut_branch(plugin_net(gain=2.0), "ir"), tmp_path / "ir.onnx")
    with pytest.raises(EngineError, match="different networks"):
        load_branches(tmp_path)
    (tmp_path / "ir.onnx").write_bytes(b"nothing")
    with pytest.raises(EngineError, match=r"ir\.onnx is not a network ONNX Runtime can run"):
        load_branches(tmp_path)
    (tmp_path / "ir.onnx").unlink()
    with pytest.raises(EngineError, match=r"ir\.onnx; write it with: edgefas export CHECKPOINT --branch ir"):
        load_branches(tmp_path)


class Meeting:
    """A part that goes on only when its neighbour runs, too."""

    barrier = threading.Barrier(2, timeout=10)

    def __init__(self, part: OnnxRuntimePart) -> None:
        self.metadata: Mapping[str, str] = part.metadata
        self._part = part

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        if self.metadata["edgefas.branch"] != "fusion":
            self.barrier.wait()
        return self._part.run(inputs)

    def close(self) -> None:
        self._part.close()


def test_branches_run_at_the_same_time_through_any_backend(folder: Path) -> None:
    def open_part(path: Path, threads: int) -> Meeting:
        return Meeting(open_onnxruntime_part(path, threads))

    with load_branches(folder, open_part=open_part) as engine:
        assert engine.score(faces(2, 0)).shape == (2,)
    with load_branches(folder, overlap=False, open_part=open_part) as engine:
        Meeting.barrier.reset()
        Meeting.barrier = threading.Barrier(2, timeout=0.1)
        with pytest.raises(threading.BrokenBarrierError):
            engine.score(faces(2, 0))


def test_a_failing_branch_is_reported_after_all_have_ended(folder: Path) -> None:
    ended = []

    class Failing(Meeting):
        def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
            if "ir" in inputs:
                raise EngineError("the infrared branch failed")
            found = self._part.run(inputs)
            ended.append(self.metadata["edgefas.branch"])
            return found

    with load_branches(folder, open_part=lambda path, n: Failing(open_onnxruntime_part(path, n))) as engine:
        with pytest.raises(EngineError, match="infrared branch failed"):
            engine.score(faces(1, 0))
        assert ended == ["depth"]


def test_networks_without_branches_have_no_parts() -> None:
    with pytest.raises(LoweringError, match=r"no feature maps to cut at \(ir_features\)"):
        cut_branch(small_net(), "ir")
    with pytest.raises(LoweringError, match="the ir part already"):
        cut_branch(cut_branch(plugin_net(), "ir"), "ir")
    with pytest.raises(LoweringError, match="no branch 'rgb'; this network has: ir, depth, fusion"):
        cut_branch(plugin_net(), "rgb")


def test_branches_that_read_each_other_are_not_cut() -> None:
    model = plugin_net()
    for node in model.graph.node:
        if list(node.output) == ["hidden"]:
            node.input[0] = "leak"
    at = next(i for i, node in enumerate(model.graph.node) if list(node.output) == ["hidden"])
    leak = [
        helper.make_node("ReduceMean", ["ir_relu", "hw"], ["leaked"], keepdims=0),
        helper.make_node("Concat", ["leaked", "depth_mean"], ["leak"], axis=1),
    ]
    for node in reversed(leak):
        model.graph.node.insert(at, node)
    with pytest.raises(LoweringError, match="'ir' is needed on both sides"):
        cut_branch(model, "fusion")


# From torch.


class Small(nn.Module):
    """Two branches and a fusion, as DAH-FAS has three."""

    def __init__(self) -> None:
        super().__init__()
        ir, depth = (nn.Sequential(nn.Conv2d(1, 4, 3, 2, 1), nn.ReLU()) for _ in range(2))
        self.branches = nn.ModuleDict({"ir": ir, "depth": depth})
        self.fusion = Join()

    def forward(self, ir: Tensor, depth: Tensor) -> Tensor:
        score: Tensor = self.fusion(self.branches["ir"](ir), self.branches["depth"](depth))
        return score


class Join(nn.Module):
    """Means of both maps, one linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(8, 1)

    def forward(self, ir: Tensor, depth: Tensor) -> Tensor:
        score: Tensor = self.head(torch.cat([ir, depth], 1).mean((2, 3))).squeeze(1)
        return score


def test_command_cuts_an_exported_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.manual_seed(0)
    network = Small().eval()
    whole = tmp_path / "whole.onnx"
    export_onnx(network, TWO_SPEC, "small", whole)
    assert [v.name for v in onnx.load(whole).graph.output] == ["score"]
    for part in PARTS:
        assert run(["export", str(whole), "--branch", part, "-o", str(tmp_path / f"{part}.onnx"), "--json"]) == 0
    reports = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert reports[0]["outputs"] == {"ir_features": ["N", 4, 8, 8]}
    assert reports[2]["inputs"] == {"ir_features": ["N", 4, 8, 8], "depth_features": ["N", 4, 8, 8]}
    inputs = random_inputs(TWO_SPEC, 3, 5)
    with torch.inference_mode():
        expected = network(**{name: torch.from_numpy(array) for name, array in inputs.items()}).numpy()
    with load_branches(tmp_path) as engine:
        np.testing.assert_allclose(engine.score(inputs), expected, atol=1e-5)


def test_command_needs_a_source(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["export", "--branch", "rgb", "-o", str(tmp_path / "rgb.onnx")]) == 2
    assert run(["export", str(tmp_path / "no.onnx"), "--branch", "rgb", "-o", str(tmp_path / "rgb.onnx")]) == 1
    assert "no such model" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_dah_fas_lite_in_parts_and_copies(tmp_path: Path) -> None:
    """The real network, with batch norms that saw some noise: whole = parts, own = stock, copies near the source."""
    torch.manual_seed(0)
    network = create_model("dah-fas-lite").train()
    spec = network.input_spec
    for seed in range(3):
        network(**{name: torch.from_numpy(array) for name, array in random_inputs(spec, 8, seed).items()})
    export_onnx(network, spec, "dah-fas-lite", tmp_path / "whole.onnx")
    source = onnx.load(tmp_path / "whole.onnx")
    for part in ("rgb", "ir", "depth", "fusion"):
        saved(cut_branch(source, part), tmp_path / f"{part}.onnx")
    inputs = random_inputs(spec, 2, 9)
    expected = load_engine(tmp_path / "whole.onnx", threads=1).score(inputs)
    with load_branches(tmp_path) as engine:
        assert engine.spec == spec
        np.testing.assert_allclose(engine.score(inputs), expected, rtol=1e-4, atol=1e-4)
    own, stock = (run_reference(lower_tensorrt(source, "fp16", kind), inputs) for kind in ("own", "stock"))
    np.testing.assert_allclose(own, stock, atol=1e-6)
    np.testing.assert_allclose(run_reference(lower_tensorrt(source, "fp32", "own"), inputs), expected, rtol=1e-4)
