"""Export of a small torch network with BTE and DCNv2, and the commands on what it wrote."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from edgefas.benchmarks.onnx_size import count_onnx
from edgefas.cli.main import run
from edgefas.contracts import BoxCrop, DepthInput, InputSpec, IRInput
from edgefas.engines import export
from edgefas.engines.export import ExportError, export_onnx, random_inputs
from edgefas.engines.runtime import load_engine
from edgefas.files import FileWriteError
from edgefas.models import count

SPEC = InputSpec(
    crop=BoxCrop(scale=1.2), ir=IRInput(height_px=16, width_px=16), depth=DepthInput(height_px=16, width_px=16)
)


class Small(nn.Module):
    """IR through BTE, depth through DCNv2, one linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.ir = nn.Sequential(nn.Conv2d(1, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU())
        self.depth = nn.Sequential(nn.Conv2d(1, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU6())
        self.offset = nn.Conv2d(8, 18, 3, 1, 1)
        self.weight = nn.Parameter(torch.randn(8, 1, 3, 3))
        self.alpha = nn.Parameter(torch.ones(1))
        self.head = nn.Linear(16, 1)

    def forward(self, ir: Tensor, depth: Tensor) -> Tensor:
        x = torch.ops.edgefas.bte(self.ir(ir), self.alpha)
        y = self.depth(depth)
        mask = torch.ones_like(y[:, :1]).repeat(1, 9, 1, 1)
        y = torch.ops.edgefas.deform_conv2d(y, self.offset(y), mask, self.weight, None, [1, 1], [1, 1], [1, 1], 8, 1)
        return self.head(torch.cat([x, y], 1).mean((2, 3))).squeeze(1)


@pytest.fixture(scope="module")
def network() -> nn.Module:
    torch.manual_seed(0)
    return Small().eval()


@pytest.fixture(scope="module")
def exported(network: nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("export") / "small.onnx"
    report = export_onnx(network, SPEC, "small", path)
    assert report.parity.max_abs_difference < 1e-5
    return path


@pytest.mark.parametrize("batch", [1, 3])
def test_scores_are_those_of_torch_at_any_batch(network: nn.Module, exported: Path, batch: int) -> None:
    inputs = random_inputs(SPEC, batch, seed=77)
    with torch.inference_mode():
        expected = network(**{name: torch.from_numpy(array) for name, array in inputs.items()}).numpy()
    engine = load_engine(exported)
    assert engine.spec == SPEC
    np.testing.assert_allclose(engine.score(inputs), expected, atol=1e-5)


def test_graph_is_what_the_lowerings_expect(exported: Path) -> None:
    model = onnx.load(exported)
    kinds = [(node.domain, node.op_type) for node in model.graph.node]
    assert [value.name for value in model.graph.input] == ["ir", "depth"]
    assert [value.name for value in model.graph.output] == ["score"]
    assert kinds.count(("edgefas", "EdgefasBTE")) == kinds.count(("", "DeformConv")) == 1
    assert [function.name for function in model.functions] == ["EdgefasBTE"]
    assert ("", "BatchNormalization") not in kinds
    assert next(o.version for o in model.opset_import if not o.domain) == 22
    assert str(Path(__file__).parent) not in str(model), "no path of this machine travels"


def test_onnx_counts_the_macs_torch_counts(network: nn.Module, exported: Path) -> None:
    assert count_onnx(exported)[1] == count(network, SPEC).macs


def test_opset_without_deform_conv_is_refused(network: nn.Module, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="opset 18 has no DeformConv; use 19"):
        export_onnx(network, SPEC, "small", tmp_path / "m.onnx", opset=18)
    assert not list(tmp_path.iterdir())


class TwoColumns(nn.Module):
    """Gives (N, 2): not a score."""

    def forward(self, ir: Tensor, depth: Tensor) -> Tensor:
        return torch.cat([ir.mean((2, 3)), depth.mean((2, 3))], 1)


def test_network_without_one_score_per_face_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"shape \(N,\)"):
        export_onnx(TwoColumns(), SPEC, "two", tmp_path / "m.onnx")
    assert not list(tmp_path.iterdir())


def test_a_wrong_file_is_not_written(network: nn.Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The axes of DCNv2's offsets swapped, as a wrong translation would."""
    simplified = export._simplified

    def swapped(model: onnx.ModelProto) -> onnx.ModelProto:
        done = simplified(model)
        offset = next(n for n in done.graph.node if n.op_type == "DeformConv").input[2]
        weights = next(n for n in done.graph.node if n.output[0] == offset).input[1:]
        for tensor in done.graph.initializer:
            if tensor.name in weights:
                array = numpy_helper.to_array(tensor)
                tensor.CopyFrom(numpy_helper.from_array(array[np.arange(18) ^ 1].copy(), tensor.name))
        return done

    monkeypatch.setattr(export, "_simplified", swapped)
    with pytest.raises(ExportError, match=r"scores differ from torch's by .*; .*m.onnx was not written"):
        export_onnx(network, SPEC, "small", tmp_path / "m.onnx")
    assert not list(tmp_path.iterdir())


class Unexportable(nn.Module):
    """Branches on a value."""

    def forward(self, ir: Tensor, depth: Tensor) -> Tensor:
        return ir.sum((1, 2, 3)) if ir.sum() > 0 else depth.sum((1, 2, 3))


def test_network_torch_cannot_export_gives_one_line(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="torch cannot export") as caught:
        export_onnx(Unexportable(), SPEC, "branch", tmp_path / "m.onnx")
    assert "\n" not in str(caught.value)


def test_unwritable_place_leaves_nothing(network: nn.Module, tmp_path: Path) -> None:
    with pytest.raises(FileWriteError, match="cannot write"):
        export_onnx(network, SPEC, "small", tmp_path / "no" / "such" / "folder.onnx")
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def calibration(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("frames") / "frames.npz"
    np.savez(path, **random_inputs(SPEC, 16, seed=5))
    return path


RECIPE = "quantize: [Conv, Gemm]\n"


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "recipe.yaml"
    path.write_text(RECIPE)
    return path


def test_quantize_command(
    exported: Path, calibration: Path, recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "int8"
    command = ["quantize", str(exported), "--calibration", str(calibration), "-o", str(out), "--recipe", str(recipe)]
    assert run([*command, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert sorted(p.name for p in out.iterdir()) == [
        "golden.npz",
        "model.gridsample.onnx",
        "model.onnx",
        "scales.json",
        "tensorrt",
        "weights.bin",
    ]
    copies = ["fp16-own.onnx", "fp16-stock.onnx", "int8-fp16-own.onnx", "int8-fp16-stock.onnx"]
    assert sorted(p.name for p in (out / "tensorrt").iterdir()) == copies
    assert report["tensorrt_bytes"] == {name: (out / "tensorrt" / name).stat().st_size for name in copies}
    assert sorted(report["reference"]) == ["fp16", "int8+fp16"]
    assert 0 < report["reference"]["fp16"]["max_abs"] < report["reference"]["int8+fp16"]["max_abs"] < 0.2
    assert report["int8_nodes"] == {"Conv": 3}
    assert report["float_layers"] == ["alpha", "weight", "head.weight"]
    assert 0 < report["difference"]["max_abs"] < 0.2
    forms = [load_engine(out / name, reference=True) for name in ("model.onnx", "model.gridsample.onnx")]
    scores = [form.score(random_inputs(SPEC, 4, seed=9)) for form in forms]
    np.testing.assert_allclose(scores[0], scores[1], atol=1e-3)
    assert run(command) == 0, "an earlier result may be replaced"
    assert "centred SQNR" in capsys.readouterr().out


def test_quantize_writes_the_copies_it_is_asked_for(
    exported: Path, calibration: Path, recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "int8"
    command = ["quantize", str(exported), "--calibration", str(calibration), "-o", str(out), "--recipe", str(recipe)]
    assert run([*command, "--precision", "int8", "--precision", "fp32", "--plugins", "stock"]) == 0
    assert sorted(p.name for p in (out / "tensorrt").iterdir()) == ["fp32-stock.onnx", "int8-stock.onnx"]
    assert "TensorRT's int8, reference" in capsys.readouterr().out
    reference = load_engine(out / "tensorrt" / "fp32-stock.onnx", reference=True)
    inputs = random_inputs(SPEC, 4, seed=9)
    np.testing.assert_allclose(reference.score(inputs), load_engine(exported).score(inputs), atol=1e-5)
    assert run([*command, "--precision", "bf16"]) == 2


@pytest.mark.parametrize(
    ("change", "words", "code"),
    [
        ({"source": "absent.onnx"}, "no such model", 1),
        ({"calibration": "absent.npz"}, "cannot be read", 1),
        ({"recipe": None}, "no recipe 'small'", 2),
        ({"recipe": "nosuch"}, "no recipe 'nosuch'", 2),
        ({"out": "."}, "no earlier result", 2),
    ],
)
def test_quantize_refuses(
    exported: Path,
    calibration: Path,
    recipe: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    change: dict[str, str | None],
    words: str,
    code: int,
) -> None:
    good = {"source": str(exported), "calibration": str(calibration), "recipe": str(recipe), "out": "int8"}
    values = {**good, **change}
    flags = ["--calibration", values["calibration"], "-o", str(tmp_path / values["out"])]
    flags += ["--recipe", values["recipe"]] if values["recipe"] else []
    assert run(["quantize", values["source"], *flags]) == code
    assert words in " ".join(capsys.readouterr().err.split())
    assert [p.name for p in tmp_path.iterdir()] == ["recipe.yaml"], "nothing half-written"


def test_quantized_file_is_no_source(
    exported: Path, calibration: Path, recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "int8"
    flags = ["--calibration", str(calibration), "--recipe", str(recipe)]
    assert run(["quantize", str(exported), *flags, "-o", str(out)]) == 0
    assert run(["quantize", str(out / "model.onnx"), *flags, "-o", str(tmp_path / "again")]) == 1
    assert "quantised already" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [[], ["a.safetensors", "--model", "resnet18"]])
def test_export_command_wants_one_source(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["export", *arguments]) == 2
    assert "either a checkpoint or --model" in capsys.readouterr().err


def test_export_command_names_unknown_model(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["export", "--model", "resnet19"]) == 2
    assert "did you mean 'resnet18'" in capsys.readouterr().err
