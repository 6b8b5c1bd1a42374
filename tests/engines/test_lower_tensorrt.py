"""The TensorRT lowering: its forms against each other and the source, its own nodes, what it refuses.

Nothing here runs TensorRT: no GPU is at hand. What is checked is the file, and what ONNX Runtime computes from it.
"""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgefas.calibration.ranges import collect_ranges
from edgefas.calibration.scale_table import ScaleTable, ScaleTableError
from edgefas.engines.lowering.graph import LoweringError, attributes_of
from edgefas.engines.lowering.tensorrt import lower_tensorrt
from edgefas.engines.precision import PLUGINS, PRECISIONS
from tests.engines.graphs import deform_net, saved, small_net
from tests.engines.plugin_net import RECIPE, faces, plugin_net, run, table


@pytest.fixture(scope="module")
def source() -> onnx.ModelProto:
    return plugin_net()


@pytest.fixture(scope="module")
def scales(source: onnx.ModelProto, tmp_path_factory: pytest.TempPathFactory) -> ScaleTable:
    path = saved(source, tmp_path_factory.mktemp("source") / "m.onnx")
    return collect_ranges(path, [faces(8, seed) for seed in range(3)])


@pytest.mark.parametrize("plugins", PLUGINS)
@pytest.mark.parametrize("batch", [1, 3])
def test_fp32_computes_what_the_source_computes(source: onnx.ModelProto, plugins: str, batch: int) -> None:
    expected = run(source, faces(batch, 1))
    got = run(lower_tensorrt(source, "fp32", plugins), faces(batch, 1))
    assert got.shape == (batch,)
    np.testing.assert_allclose(got, expected, atol=1e-5)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_own_and_stock_compute_the_same(source: onnx.ModelProto, scales: ScaleTable, precision: str) -> None:
    own, stock = (run(lower_tensorrt(source, precision, p, scales, RECIPE), faces(6, 2)) for p in PLUGINS)
    np.testing.assert_allclose(own, stock, atol=1e-6)


@pytest.mark.parametrize(("precision", "tolerance"), [("fp16", 0.01), ("int8", 0.15), ("int8+fp16", 0.15)])
def test_fewer_bits_stay_near_and_show(
    source: onnx.ModelProto, scales: ScaleTable, precision: str, tolerance: float
) -> None:
    """Of the spread of the scores, which is far less than the scores."""
    expected = run(source, faces(32, 3))
    got = run(lower_tensorrt(source, precision, "stock", scales, RECIPE), faces(32, 3))
    difference = np.abs(got - expected).max() / expected.std()
    assert 1e-5 < difference < 4 * tolerance
    assert (got - expected).std() < tolerance * expected.std()


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("plugins", PLUGINS)
def test_file_is_what_tensorrt_10_3_reads(
    source: onnx.ModelProto, scales: ScaleTable, precision: str, plugins: str
) -> None:
    model = lower_tensorrt(source, precision, plugins, scales, RECIPE)
    graph = model.graph
    assert {o.domain: o.version for o in model.opset_import}[""] == 19
    assert not model.functions, "a body of the node's name would win over the plugin"
    assert {n.op_type for n in graph.node}.isdisjoint({"CastLike", "Constant", "BatchNormalization"})
    sides = [(v.name, v.type.tensor_type.elem_type, v.type.tensor_type.shape.dim[0].dim_param) for v in graph.input]
    assert sides == [("ir", TensorProto.FLOAT, "N"), ("depth", TensorProto.FLOAT, "N")]
    assert [(v.name, v.type.tensor_type.elem_type) for v in graph.output] == [("score", TensorProto.FLOAT)]
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    assert (metadata["edgefas.precision"], metadata["edgefas.plugins"]) == (precision, plugins)
    assert metadata["edgefas.input_spec"] == next(p.value for p in source.metadata_props if "spec" in p.key)
    kinds = {n.op_type for n in graph.node}
    assert kinds >= ({"EdgefasBTE", "EdgefasDCNv2"} if plugins == "own" else {"DeformConv", "ReduceL2"})
    assert all(node.name for node in graph.node if node.op_type in ("QuantizeLinear", "DequantizeLinear"))


def test_own_nodes_follow_the_plugins_contract(source: onnx.ModelProto) -> None:
    graph = lower_tensorrt(source, "fp16", "own").graph
    bte = next(node for node in graph.node if node.op_type == "EdgefasBTE")
    dcn = next(node for node in graph.node if node.op_type == "EdgefasDCNv2")
    assert (bte.domain, list(bte.input)) == ("edgefas", ["ir_relu"])
    assert attributes_of(bte) == {
        "alpha": pytest.approx(0.7),
        "epsilon": pytest.approx(1e-6),
        "plugin_namespace": b"edgefas",
        "plugin_version": b"1",
    }
    assert list(dcn.input) == ["x", "offset", "mask", "ir.deform.weight_half", "deformed_bias_half"]
    assert attributes_of(dcn) == {
        "group": 8,
        "deformable_group": 1,
        "stride": [1, 1],
        "padding": [1, 1],
        "dilation": [1, 1],
        "plugin_namespace": b"edgefas",
        "plugin_version": b"1",
    }
    bias = next(t for t in graph.initializer if t.name == "deformed_bias_half")
    assert (bias.data_type, numpy_helper.to_array(bias).tolist()) == (TensorProto.FLOAT16, [0.0] * 8)
    shapes = {v.name: [d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim] for v in graph.value_info}
    assert shapes["deformed"] == shapes["ir_features"] == ["N", 8, 16, 16], "nobody can infer them any more"


@pytest.mark.parametrize("mask", [True, False])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("plugins", PLUGINS)
def test_mask_and_bias_are_always_there(mask: bool, bias: bool, plugins: str) -> None:
    model = deform_net(2, 2, 1, bias=bias, mask=mask, size=(7, 9))
    lowered = lower_tensorrt(model, "fp32", plugins)
    node = next(n for n in lowered.graph.node if n.op_type in ("DeformConv", "EdgefasDCNv2"))
    assert len(node.input) == 5
    assert all(node.input)
    rng = np.random.default_rng(0)
    inputs = {"x": rng.standard_normal((3, 8, 7, 9), np.float32), "offset": rng.standard_normal((3, 18, 4, 5))}
    inputs["offset"] = inputs["offset"].astype(np.float32)
    if mask:
        inputs["mask"] = rng.random((3, 9, 4, 5), np.float32)
    np.testing.assert_allclose(run(lowered, inputs), run(model, inputs), atol=1e-5)


def changed_deform(**fields: list[int]) -> onnx.ModelProto:
    model = deform_net(1, 1, 1, bias=True, mask=False, size=(7, 7))
    kept = [a for a in model.graph.node[0].attribute if a.name not in fields]
    del model.graph.node[0].attribute[:]
    model.graph.node[0].attribute.extend(kept + [helper.make_attribute(k, v) for k, v in fields.items()])
    for value in (model.graph.input[1], model.graph.output[0]):
        value.type.tensor_type.shape.dim[2].dim_param = "H"
        value.type.tensor_type.shape.dim[3].dim_param = "W"
    return model


def test_uneven_axes_are_for_our_plugin_alone() -> None:
    model = changed_deform(strides=[2, 1])
    assert "EdgefasDCNv2" in {n.op_type for n in lower_tensorrt(model, "fp32", "own").graph.node}
    with pytest.raises(LoweringError, match=r"strides \[2, 1\].*plugins='own'"):
        lower_tensorrt(model, "fp32", "stock")


@pytest.mark.parametrize("plugins", PLUGINS)
def test_one_sided_padding_is_refused(plugins: str) -> None:
    with pytest.raises(LoweringError, match=r"pads \[1, 1, 0, 0\]"):
        lower_tensorrt(changed_deform(pads=[1, 1, 0, 0]), "fp32", plugins)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("fp8", "own"), "no precision 'fp8'; allowed: fp32, fp16, int8"),
        (("fp16", "theirs"), "no plugins 'theirs'; allowed: own, stock"),
        (("int8", "own"), "needs a scale table and a recipe"),
    ],
)
def test_impossible_requests(source: onnx.ModelProto, arguments: tuple[str, str], words: str) -> None:
    with pytest.raises(LoweringError, match=words):
        lower_tensorrt(source, *arguments)


def test_table_of_another_network_is_refused(source: onnx.ModelProto) -> None:
    with pytest.raises(ScaleTableError, match="another network"):
        lower_tensorrt(source, "int8", "own", table(small_net()), RECIPE)


@pytest.mark.parametrize(
    ("op", "fields", "words"),
    [("Gelu", {}, "Gelu 'act' does not exist in ONNX opset 19"), ("Cast", {"to": 1, "round_mode": "up"}, "round_mode")],
)
def test_what_opset_19_lacks_is_refused(op: str, fields: dict[str, object], words: str) -> None:
    model = small_net()
    relu = next(node for node in model.graph.node if node.op_type == "Relu")
    relu.CopyFrom(helper.make_node(op, relu.input, relu.output, "act", **fields))
    with pytest.raises(LoweringError, match=words):
        lower_tensorrt(model, "fp32", "stock")


def test_source_is_not_changed(source: onnx.ModelProto, scales: ScaleTable) -> None:
    before = source.SerializeToString()
    for precision in PRECISIONS:
        for plugins in PLUGINS:
            lower_tensorrt(source, precision, plugins, scales, RECIPE)
    assert source.SerializeToString() == before
