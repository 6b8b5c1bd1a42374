"""The half copies for TensorRT: what stays FP32, what overflows, and what a CPU shows of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper

from edgefas.calibration.scale_table import ScaleTable
from edgefas.cli.main import run as command_line
from edgefas.engines.lowering import fp16
from edgefas.engines.lowering.graph import LoweringError
from edgefas.engines.lowering.tensorrt import lower_tensorrt
from edgefas.engines.precision import PLUGINS, PRECISIONS
from edgefas.engines.runtime import load_engine
from tests.engines.graphs import saved
from tests.engines.plugin_net import RECIPE, faces, plugin_net, run, table


@pytest.fixture(scope="module")
def source() -> onnx.ModelProto:
    return plugin_net()


@pytest.fixture(scope="module")
def scales(source: onnx.ModelProto) -> ScaleTable:
    return table(source)


def test_variance_is_fp32_and_the_rest_is_half(source: onnx.ModelProto) -> None:
    typed = onnx.shape_inference.infer_shapes(lower_tensorrt(source, "fp16", "stock"), strict_mode=True).graph
    kinds = {v.name: v.type.tensor_type.elem_type for v in typed.value_info}
    wide = {name for name in ("mean", "centred", "squares", "variance") if kinds[name] == TensorProto.FLOAT}
    assert wide == {"mean", "centred", "squares", "variance"}
    assert {kinds[name] for name in ("x", "weigh", "shares", "mixed", "deformed", "ir_features", "pooled")} == {
        TensorProto.FLOAT16
    }
    norm = next(node for node in typed.node if node.op_type == "ReduceL2")
    assert kinds[norm.output[0]] == TensorProto.FLOAT
    assert not {t.name for t in typed.initializer if t.data_type == TensorProto.FLOAT and "weight" in t.name}


def test_squares_beyond_half_need_fp32(monkeypatch: pytest.MonkeyPatch) -> None:
    """Maps that reach a few hundred: their squares end beyond half, the network does not."""
    model = plugin_net(gain=100.0)
    expected = run(model, faces(4, 0))
    np.testing.assert_allclose(run(lower_tensorrt(model, "fp16", "stock"), faces(4, 0)), expected, atol=0.1)
    monkeypatch.setattr(fp16, "wide_nodes", lambda nodes, constants: set())
    careless = run(lower_tensorrt(model, "fp16", "stock"), faces(4, 0))
    assert not np.isfinite(careless).all() or np.abs(careless - expected).max() > 0.1


def test_overflow_shows_on_a_cpu_only_in_reference(tmp_path: Path) -> None:
    """ONNX Runtime computes half in float32 and drops the casts between: its own run of the file looks well."""
    lowered = lower_tensorrt(plugin_net(gain=3e4), "fp16", "stock")
    path = saved(lowered, tmp_path / "half.onnx")
    assert np.isfinite(load_engine(path).score(faces(4, 0))).all()
    assert not np.isfinite(load_engine(path, reference=True).score(faces(4, 0))).all()


@pytest.mark.parametrize("precision", PRECISIONS)
def test_reference_engine_runs_files_with_plugin_nodes(
    source: onnx.ModelProto, scales: ScaleTable, tmp_path: Path, precision: str
) -> None:
    own, stock = (saved(lower_tensorrt(source, precision, p, scales, RECIPE), tmp_path / f"{p}.onnx") for p in PLUGINS)
    scores = [load_engine(path, reference=True).score(faces(3, 4)) for path in (own, stock)]
    np.testing.assert_allclose(scores[0], scores[1], atol=1e-6)


def test_quantize_writes_no_copy_that_overflows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, recipe, frames = saved(plugin_net(gain=3e4), tmp_path / "m.onnx"), tmp_path / "r.yaml", tmp_path / "f.npz"
    recipe.write_text("quantize: [Conv]\n")
    np.savez(frames, **faces(4, 0))
    command = [
        "quantize",
        str(source),
        "--calibration",
        str(frames),
        "--recipe",
        str(recipe),
        "-o",
        str(tmp_path / "o"),
    ]
    assert command_line([*command, "--precision", "fp16"]) == 1
    assert "fp16 copy gives NaN or infinity" in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "o").exists()
    assert command_line([*command, "--precision", "int8"]) == 0


def with_value(model: onnx.ModelProto, name: str, value: float) -> onnx.ModelProto:
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    tensor = next(t for t in changed.graph.initializer if t.name == name)
    array = numpy_helper.to_array(tensor).copy()
    array.flat[0] = value
    tensor.CopyFrom(numpy_helper.from_array(array, name))
    return changed


@pytest.mark.parametrize("value", [7e4, -1e30, np.inf, np.nan])
def test_weight_beyond_half_is_named(source: onnx.ModelProto, value: float) -> None:
    with pytest.raises(LoweringError, match=r"'ir\.mix\.weight' reaches .*fp32 or int8"):
        lower_tensorrt(with_value(source, "ir.mix.weight", value), "fp16", "stock")


def test_bound_beyond_half_bounds_nothing(source: onnx.ModelProto) -> None:
    graph = lower_tensorrt(with_value(source, "six", 3e38), "fp16", "stock").graph
    assert next(numpy_helper.to_array(t) for t in graph.initializer if t.name == "six_half") == 65504
