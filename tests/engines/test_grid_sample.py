"""The GridSample form of DCNv2 against ONNX Runtime's own DeformConv kernel, and the folder both forms share."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from edgefas.engines.lowering.files import save_ort_files
from edgefas.engines.lowering.grid_sample import LoweringError, deform_conv_to_grid_sample
from edgefas.engines.runtime import load_engine
from tests.engines.graphs import deform_net, noise, small_net


def run(model: onnx.ModelProto, inputs: dict[str, np.ndarray]) -> np.ndarray:
    return ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"]).run(None, inputs)[0]


def deform_inputs(model: onnx.ModelProto, seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    shapes = {v.name: [d.dim_value or 2 for d in v.type.tensor_type.shape.dim] for v in model.graph.input}
    # offsets of several pixels: many taps fall outside the map
    return {name: (3 * rng.standard_normal(shape)).astype(np.float32) for name, shape in shapes.items()}


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("groups", [1, 2, 8])
@pytest.mark.parametrize("mask", [True, False])
@pytest.mark.parametrize(("dilation", "bias", "size"), [(1, True, (9, 13)), (2, False, (7, 7)), (1, False, (1, 5))])
def test_grid_sample_form_equals_deform_conv(
    stride: int, groups: int, mask: bool, dilation: int, bias: bool, size: tuple[int, int]
) -> None:
    model = deform_net(stride, groups, dilation, bias=bias, mask=mask, size=size)
    lowered = deform_conv_to_grid_sample(model)
    inputs = deform_inputs(model, 7)
    assert "DeformConv" not in {node.op_type for node in lowered.graph.node}
    expected = run(model, inputs)
    assert np.abs(run(lowered, inputs) - expected).max() < 1e-5 * np.abs(expected).max() + 1e-5


@pytest.mark.parametrize("order", [[0, 1], [1, 0]])
def test_swapped_axes_are_noticed(order: list[int]) -> None:
    model = deform_net(1, 1, 1, bias=False, mask=True, size=(9, 9))
    lowered = deform_conv_to_grid_sample(model)
    swap = next(t for t in lowered.graph.initializer if t.name.endswith("_swap"))
    swap.CopyFrom(onnx.numpy_helper.from_array(np.array(order), swap.name))
    inputs = deform_inputs(model, 3)
    equal = np.allclose(run(lowered, inputs), run(model, inputs), atol=1e-3)
    assert equal == (order == [1, 0])


def test_several_offset_groups_are_refused() -> None:
    model = deform_net(1, 1, 1, bias=False, mask=False, size=(5, 5))
    model.graph.node[0].attribute.append(onnx.helper.make_attribute("offset_group", 2))
    model.graph.input[1].type.tensor_type.shape.dim[1].dim_value = 36
    with pytest.raises(LoweringError, match="offset_group 1"):
        deform_conv_to_grid_sample(model)


def test_both_forms_share_one_file_of_weights(tmp_path: Path) -> None:
    model = small_net()
    large = np.random.default_rng(0).normal(size=(4, 8, 1, 64)).astype(np.float32)
    unused = onnx.numpy_helper.from_array(large, "large")
    model.graph.initializer.append(unused)
    save_ort_files(model, tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["model.gridsample.onnx", "model.onnx", "weights.bin"]
    assert (tmp_path / "weights.bin").stat().st_size < large.nbytes + 2000, "stored once, not once per form"
    expected = run(model, noise(3, 0))
    for name in ("model.onnx", "model.gridsample.onnx"):
        assert (tmp_path / name).stat().st_size < large.nbytes
        np.testing.assert_allclose(load_engine(tmp_path / name).score(noise(3, 0)), expected, atol=1e-6)


@pytest.mark.parametrize(("opset", "mode"), [(19, b"bilinear"), (20, b"linear"), (22, b"linear")])
def test_the_mode_has_the_name_of_its_opset(opset: int, mode: bytes) -> None:
    model = deform_net(1, 1, 1, bias=True, mask=True, size=(5, 5))
    model.opset_import[0].version = opset
    node = next(n for n in deform_conv_to_grid_sample(model).graph.node if n.op_type == "GridSample")
    assert next(a.s for a in node.attribute if a.name == "mode") == mode
