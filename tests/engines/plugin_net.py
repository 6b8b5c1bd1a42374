"""A small two-input network with every pattern the TensorRT lowering has a rule for; no exporter."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime as ort
from onnx import helper, numpy_helper

from edgefas.calibration.recipe import Recipe
from edgefas.calibration.scale_table import ScaleTable
from edgefas.engines.lowering.graph import source_sha256
from edgefas.engines.lowering.reference import for_cpu, needs_reference
from edgefas.ops.onnx import bte_function_body
from tests.engines.graphs import TWO_SPEC

CHANNELS = 8
RECIPE = Recipe(quantize=("Conv", "Gemm", "Add", "Concat"))


def plugin_net(gain: float = 1.0) -> onnx.ModelProto:
    """IR: stem, variance-weighed branches with DCNv2, batch norm, residual, BTE. Depth: two residual blocks.

    Args:
        gain: factor on the stem of the infrared branch, taken back after its last layer: how far its tensors reach.
    """
    rng = np.random.default_rng(3)
    c = CHANNELS

    def weight(*shape: int) -> np.ndarray:
        fan_in = int(np.prod(shape[1:]))
        return rng.normal(0, (2 / fan_in) ** 0.5, shape)

    values: dict[str, np.ndarray] = {
        "ir.stem.weight": weight(c, 1, 3, 3) * gain,
        "ir.stem.bias": rng.normal(0, 0.1, c) * gain,
        "ir.weigh.weight": weight(3, c, 1, 1) / gain**2,
        "ir.weigh.bias": rng.normal(0, 0.1, 3),
        "ir.separable.weight": weight(c, 1, 3, 3),
        "ir.offset.weight": weight(27, c, 3, 3) * 0.5 / gain,
        "ir.offset.bias": rng.normal(0, 0.3, 27),
        "ir.deform.weight": weight(c, 1, 3, 3),
        "ir.bn.scale": rng.uniform(0.5, 1.5, c),
        "ir.bn.bias": rng.normal(0, 0.1, c) * gain,
        "ir.bn.mean": rng.normal(0, 0.3, c) * gain,
        "ir.bn.variance": rng.uniform(0.5, 2, c),
        "ir.mix.weight": weight(c, c, 1, 1),
        "ir.last.weight": weight(c, c, 1, 1) / gain,
        "alpha": np.array([0.7]),
        "depth.stem.weight": weight(c, 1, 3, 3),
        "depth.first.weight": weight(c, c, 3, 3),
        "depth.second.weight": weight(c, c, 3, 3),
        "depth.main1.weight": weight(c, c, 3, 3),
        "depth.main2.weight": weight(c, c, 3, 3),
        "depth.down.weight": weight(c, c, 1, 1),
        "hidden.weight": weight(6, 2 * c),
        "hidden.bias": rng.normal(0, 0.1, 6),
        "head.weight": weight(1, 6),
        "head.bias": np.array([0.1]),
        "zero": np.array(0.0),
        "six": np.array(6.0 * gain),
        "two": np.array(2.0),
    }
    constants = [numpy_helper.from_array(value.astype(np.float32), name) for name, value in values.items()]
    integers = {"hw": [2, 3], "parts": [18, 9], "one_axis": [1]}
    constants += [numpy_helper.from_array(np.array(value), name) for name, value in integers.items()]
    node, same = helper.make_node, {"pads": [1, 1, 1, 1]}
    nodes = [
        node("Conv", ["ir", "ir.stem.weight", "ir.stem.bias"], ["ir_stem"], **same),
        node("Relu", ["ir_stem"], ["x"]),
        node("ReduceMean", ["x", "hw"], ["mean"]),
        node("Sub", ["x", "mean"], ["centred"]),
        node("Pow", ["centred", "two"], ["squares"]),
        node("ReduceMean", ["squares", "hw"], ["variance"]),
        node("Conv", ["variance", "ir.weigh.weight", "ir.weigh.bias"], ["weigh"]),
        node("Softmax", ["weigh"], ["shares"], axis=1),
        node("Split", ["shares"], ["w1", "w2", "w3"], axis=1, num_outputs=3),
        node("Conv", ["x", "ir.separable.weight"], ["separable"], group=c, **same),
        node("Mul", ["w1", "separable"], ["weighed1"]),
        node("Conv", ["x", "ir.offset.weight", "ir.offset.bias"], ["offset_and_mask"], **same),
        node("Split", ["offset_and_mask", "parts"], ["offset", "mask_logit"], axis=1),
        node("Sigmoid", ["mask_logit"], ["mask"]),
        node(
            "DeformConv",
            ["x", "ir.deform.weight", "offset", "", "mask"],
            ["deformed"],
            "deform",
            kernel_shape=[3, 3],
            group=c,
            **same,
        ),
        node("Mul", ["w2", "deformed"], ["weighed2"]),
        node("Add", ["weighed1", "weighed2"], ["mixed"]),
        node("BatchNormalization", ["mixed", *(f"ir.bn.{k}" for k in ("scale", "bias", "mean", "variance"))], ["bn"]),
        node("Clip", ["bn", "zero", "six"], ["clipped"]),
        node("Conv", ["clipped", "ir.mix.weight"], ["mix"]),
        node("Add", ["x", "mix"], ["residual"]),
        node("Conv", ["residual", "ir.last.weight"], ["ir_last"]),
        node("Relu", ["ir_last"], ["ir_relu"]),
        node("EdgefasBTE", ["ir_relu", "alpha"], ["ir_features"], "bte", domain="edgefas"),
        node("Conv", ["depth", "depth.stem.weight"], ["depth_stem"], **same),
        node("Relu", ["depth_stem"], ["d"]),
        node("Conv", ["d", "depth.first.weight"], ["first"], **same),
        node("Relu", ["first"], ["first_relu"]),
        node("Conv", ["first_relu", "depth.second.weight"], ["second"], **same),
        node("Add", ["second", "d"], ["sum1"]),
        node("Relu", ["sum1"], ["d1"]),
        node("Conv", ["d1", "depth.main1.weight"], ["main1"], strides=[2, 2], **same),
        node("Relu", ["main1"], ["main1_relu"]),
        node("Conv", ["main1_relu", "depth.main2.weight"], ["main2"], **same),
        node("Conv", ["d1", "depth.down.weight"], ["down"], strides=[2, 2]),
        node("Add", ["main2", "down"], ["sum2"]),
        node("Relu", ["sum2"], ["depth_features"]),
        node("ReduceMean", ["ir_features", "hw"], ["ir_mean"], keepdims=0),
        node("ReduceMean", ["depth_features", "hw"], ["depth_mean"], keepdims=0),
        node("Concat", ["ir_mean", "depth_mean"], ["pooled"], axis=1),
        node("Gemm", ["pooled", "hidden.weight", "hidden.bias"], ["hidden"], transB=1),
        node("Relu", ["hidden"], ["hidden_relu"]),
        node("Gemm", ["hidden_relu", "head.weight", "head.bias"], ["logit"], transB=1),
        node("Squeeze", ["logit", "one_axis"], ["score"]),
    ]
    sides = [
        [helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, s) for n, s in group.items()]
        for group in ({"ir": ("N", 1, 16, 16), "depth": ("N", 1, 16, 16)}, {"score": ("N",)})
    ]
    opsets = [helper.make_opsetid("", 22), helper.make_opsetid("edgefas", 1)]
    graph = helper.make_graph(nodes, "plugins", *sides, constants)
    model = helper.make_model(graph, functions=[bte_function_body()], opset_imports=opsets, ir_version=10)
    helper.set_model_props(model, {"edgefas.input_spec": TWO_SPEC.to_json(), "edgefas.model": "plugins"})
    onnx.checker.check_model(model)
    return model


def faces(batch: int, seed: int) -> dict[str, np.ndarray]:
    """Inputs of `plugin_net`."""
    rng = np.random.default_rng(seed)
    return {name: rng.standard_normal((batch, 1, 16, 16), np.float32) for name in ("ir", "depth")}


def table(model: onnx.ModelProto, reach: float = 8.0) -> ScaleTable:
    """A scale table that gives every tensor the same range: for tests that ask where, not how far."""
    names = {name for node in model.graph.node for name in [*node.input, *node.output] if name}
    absmax = dict.fromkeys(sorted(names), reach)
    return ScaleTable(source_sha256=source_sha256(model), method="minmax", frames=1, absmax=absmax)


def run(model: onnx.ModelProto, inputs: dict[str, np.ndarray]) -> np.ndarray:
    """As a CPU can run it: no fusion, no reordering."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    data = (for_cpu(model) if needs_reference(model) else model).SerializeToString()
    return ort.InferenceSession(data, options, providers=["CPUExecutionProvider"]).run(None, inputs)[0]
