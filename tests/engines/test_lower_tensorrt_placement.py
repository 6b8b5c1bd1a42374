"""The TensorRT lowering: where Q/DQ stand, by rule.

Nothing here runs TensorRT: no GPU is at hand. What is checked is the file, and what ONNX Runtime computes from it.
"""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from edgefas.engines.lowering.graph import attributes_of, consumers, producers
from edgefas.engines.lowering.tensorrt import lower_tensorrt
from edgefas.engines.precision import PLUGINS
from tests.engines.plugin_net import RECIPE, plugin_net, table


@pytest.fixture(scope="module")
def source() -> onnx.ModelProto:
    return plugin_net()


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
