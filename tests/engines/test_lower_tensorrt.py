"""The TensorRT lowering: its placement by rule, its arithmetic against numpy, its forms against each other.

Nothing here runs TensorRT: no GPU is at hand. What is checked is the file, and what ONNX Runtime computes from it.
"""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgefas.calibration.ranges import collect_ranges
from edgefas.calibration.recipe import Recipe
from edgefas.calibration.scale_table import ScaleTable, ScaleTableError
from edgefas.engines.lowering.graph import LoweringError, attributes_of, consumers, producers
from edgefas.engines.lowering.qdq import stored_scales
from edgefas.engines.lowering.reference import for_cpu, needs_reference
from edgefas.engines.lowering.tensorrt import lower_tensorrt
from edgefas.engines.precision import PLUGINS, PRECISIONS
from tests.engines.graphs import deform_net, noise, saved, small_net
from tests.engines.plugin_net import faces, plugin_net, table
from tests.engines.test_lower_ort import conv

RECIPE = Recipe(quantize=("Conv", "Gemm", "Add", "Concat"))


def run(model: onnx.ModelProto, inputs: dict[str, np.ndarray]) -> np.ndarray:
    """As a CPU can run it: no fusion, no reordering."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    data = (for_cpu(model) if needs_reference(model) else model).SerializeToString()
    return ort.InferenceSession(data, options, providers=["CPUExecutionProvider"]).run(None, inputs)[0]


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


# Placement.


@pytest.mark.parametrize("plugins", PLUGINS)
def test_quantised_tensors_are_exactly_these(source: onnx.ModelProto, plugins: str) -> None:
    graph = lower_tensorrt(source, "int8", plugins, table(source), RECIPE).graph
    quantised = {node.input[0] for node in graph.node if node.op_type == "QuantizeLinear"}
    inputs_of_convolutions = {"ir", "x", "variance", "clipped", "residual"}
    inputs_of_convolutions |= {"depth", "d", "first_relu", "d1", "main1_relu"}
    assert quantised == inputs_of_convolutions | {"pooled", "down"}, "`down`: the shorter branch of the second sum"


def test_residual_sums_have_one_quantised_branch(source: onnx.ModelProto) -> None:
    graph = lower_tensorrt(source, "int8", "stock", table(source), RECIPE).graph
    adds = {node.output[0]: list(node.input) for node in graph.node if node.op_type == "Add"}
    assert adds["residual"] == ["x_dequantized", "mix"]
    assert adds["sum1"] == ["second", "d_dequantized"]
    assert adds["sum2"] == ["main2", "down_dequantized"], "the longer branch takes the sum in"
    assert adds["mixed"] == ["weighed1", "weighed2"], "no convolution can take this one in"


def test_nothing_stands_beside_plugins_or_inside_a_fusion(source: onnx.ModelProto) -> None:
    graph = lower_tensorrt(source, "int8", "own", table(source), RECIPE).graph
    made_by, users = producers(graph.node), consumers(graph.node)
    for node in graph.node:
        if node.op_type in ("EdgefasBTE", "EdgefasDCNv2"):
            before = [made_by[name].op_type for name in node.input if name in made_by]
            after = [user.op_type for user in users[node.output[0]]]
            assert not {"DequantizeLinear", "QuantizeLinear"} & {*before, *after}
        if node.op_type in ("Relu", "Clip"):
            assert made_by[node.input[0]].op_type not in ("DequantizeLinear", "QuantizeLinear")
    head = next(node for node in graph.node if "head.weight" in node.input)
    assert list(head.input) == ["hidden_relu", "head.weight", "head.bias"]


def test_a_layer_that_reads_a_plugin_stays_float(source: onnx.ModelProto) -> None:
    model = onnx.ModelProto()
    model.CopyFrom(source)
    for node in model.graph.node:  # BTE directly before the last convolution of its branch
        if list(node.output) == ["residual"]:
            node.output[0] = "sum"
    at = next(i for i, node in enumerate(model.graph.node) if list(node.output) == ["ir_last"])
    between = helper.make_node("EdgefasBTE", ["sum", "alpha"], ["residual"], "between", domain="edgefas")
    model.graph.node.insert(at, between)
    graph = lower_tensorrt(model, "int8", "own", table(model), RECIPE).graph
    last = next(node for node in graph.node if node.output[0] == "ir_last")
    assert list(last.input) == ["residual", "ir.last.weight"]


def test_weights_are_stored_as_int8_per_output_channel(source: onnx.ModelProto) -> None:
    graph = lower_tensorrt(source, "int8", "stock", table(source), RECIPE).graph
    made_by = producers(graph.node)
    constants = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
    given = {t.name: numpy_helper.to_array(t) for t in source.graph.initializer}
    found = 0
    for node in graph.node:
        if node.op_type in ("Conv", "Gemm") and node.input[1] in made_by:
            dequantize = made_by[node.input[1]]
            integers, step, zero = (constants[name] for name in dequantize.input)
            name = node.input[1].removesuffix("_dequantized")
            assert integers.dtype == zero.dtype == np.int8
            assert step.shape == zero.shape == (integers.shape[0],)
            assert not zero.any()
            assert np.abs(integers).max() == 127
            assert attributes_of(dequantize)["axis"] == 0
            back = integers * step.reshape(-1, *[1] * (integers.ndim - 1))
            assert np.abs(back - given[name]).max() <= step.max() / 2 * 1.001
            found += 1
    assert found == 13, "12 convolutions and the hidden layer"


def test_bias_stays_float(source: onnx.ModelProto) -> None:
    graph = lower_tensorrt(source, "int8", "stock", table(source), RECIPE).graph
    stem = next(node for node in graph.node if node.output[0] == "ir_stem")
    assert stem.input[2] == "ir.stem.bias"


# Arithmetic.


def half(value: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):
        return value.astype(np.float16).astype(np.float64)


def transcribed(weights: dict[str, np.ndarray], absmax: dict[str, float] | None, x: np.ndarray, fp16: bool):
    """`small_net` under TensorRT's placement in float64, from the definition; absmax None leaves INT8 out."""
    exact = half if fp16 else lambda value: value

    def up(step: np.ndarray) -> np.ndarray:
        rounded = step.astype(np.float16)
        return np.where(rounded < step, np.nextafter(rounded, np.float16(9)), rounded).astype(np.float64)

    def fake(value: np.ndarray, tensor: str) -> np.ndarray:
        if absmax is None:
            return value
        step = np.array(absmax[tensor] / 127)
        step = up(step) if fp16 else step
        return np.clip(np.rint(value / step), -128, 127) * step

    def weight(name: str) -> np.ndarray:
        w = weights[name].astype(np.float64)
        if absmax is None:
            return exact(w)
        step = np.abs(w).max(axis=(1, 2, 3), keepdims=True) / 127
        step = up(step) if fp16 else step
        return np.rint(w / step).clip(-127, 127) * step

    bias = {name: exact(weights[f"{name}.bias"].astype(np.float64))[:, None, None] for name in ("stem", "deep")}
    x = exact(x)
    stem = np.maximum(exact(conv(fake(x, "ir"), weight("stem.weight")) + bias["stem"]), 0)
    stem_int8 = fake(stem, "stem_relu")
    deep = np.clip(exact(conv(stem_int8, weight("deep.weight"), 8) + bias["deep"]), 0, 6)
    total = exact(stem_int8 + exact(conv(fake(deep, "deep_clip"), weight("mix.weight"))))
    pooled = total.reshape(*total.shape[:2], 8, 2, 8, 2).max(axis=(3, 5))
    last = exact(conv(fake(pooled, "pooled"), weight("last.weight")))
    mean = exact(last.mean(axis=(2, 3)))
    return exact(mean @ exact(weights["head.weight"].T.astype(np.float64)) + exact(weights["head.bias"]))[:, 0]


@pytest.fixture(scope="module")
def small() -> tuple[onnx.ModelProto, ScaleTable, dict[str, np.ndarray]]:
    model = small_net()
    weights = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    return model, table(model, 5.0), weights


# Where a value lies on the edge between two steps, float32 and float64 may fall to different sides: far less than one
# step of one pixel. Half adds roundings of its own.
TOLERANCES = {"int8": 5e-3, "fp16": 5e-3, "int8+fp16": 1e-2}


@pytest.mark.parametrize("precision", TOLERANCES)
def test_matches_numpy_transcription(
    small: tuple[onnx.ModelProto, ScaleTable, dict[str, np.ndarray]], precision: str
) -> None:
    model, scales, weights = small
    x = noise(16, 99)["ir"].astype(np.float64)
    absmax = scales.absmax if "int8" in precision else None
    expected = transcribed(weights, absmax, x, precision.endswith("fp16"))
    got = run(lower_tensorrt(model, precision, "stock", scales, Recipe()), noise(16, 99))
    assert np.abs(got - expected).max() < TOLERANCES[precision]
    if "int8" in precision:
        assert np.abs(got - run(model, noise(16, 99))).max() > 2 * TOLERANCES[precision], "else this test is blind"


@pytest.mark.parametrize("tensor", ["ir", "stem_relu", "deep_clip", "pooled"])
def test_doubled_scale_is_noticed(
    small: tuple[onnx.ModelProto, ScaleTable, dict[str, np.ndarray]], tensor: str
) -> None:
    model, scales, weights = small
    wrong = scales.model_copy(update={"absmax": scales.absmax | {tensor: 10.0}})
    expected = transcribed(weights, scales.absmax, noise(16, 99)["ir"].astype(np.float64), False)
    got = run(lower_tensorrt(model, "int8", "stock", wrong, Recipe()), noise(16, 99))
    assert np.abs(got - expected).max() > TOLERANCES["int8"]


def as_uint8_zero_point_128(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same steps in ONNX Runtime's encoding: the activations' zero point 0 of int8 becomes 128 of uint8."""
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    for tensor in changed.graph.initializer:
        if tensor.name == "int8_zero":
            tensor.CopyFrom(numpy_helper.from_array(np.array(128, np.uint8), tensor.name))
    return changed


def test_reencoded_activations_are_bit_equal(source: onnx.ModelProto, scales: ScaleTable) -> None:
    lowered = lower_tensorrt(source, "int8", "stock", scales, RECIPE)
    unsigned = as_uint8_zero_point_128(lowered)
    assert lowered.SerializeToString() != unsigned.SerializeToString()
    for seed in range(5):
        np.testing.assert_array_equal(run(lowered, faces(4, seed)), run(unsigned, faces(4, seed)))


@pytest.mark.parametrize("step", [1e-9, 3.3e-6, 7.77e-4, 0.1, 3.0, 515.0])
def test_half_scales_clip_nothing(step: float) -> None:
    (stored,) = stored_scales(np.array([step]), True, "x")
    assert np.float16(stored) == stored
    assert stored >= step
    assert stored - step <= max(step * 2**-10, 2**-24), "one step of half at most"


def test_scale_beyond_half_is_refused() -> None:
    with pytest.raises(LoweringError, match=r"tensor 'x' reaches 6.6.*half ends at 65504"):
        stored_scales(np.array(520.0), True, "tensor 'x'")


# Refusals.


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
