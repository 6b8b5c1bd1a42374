"""A TensorRT lowering as a CPU can run it: what accuracy for a board is quoted from.

- Nodes of our plugins become the standard operators they are defined by.
- Half becomes float32 with a rounding to half, and its overflow, behind every node that computes. ONNX Runtime has few
  half kernels on a CPU: it runs the others in float32 and drops the casts between them, so a half file run as it is
  hides what is asked for.

A node still accumulates in float32, as tensor cores do, and a fused layer on a board rounds once where this rounds
after each node. FP16 on a CPU thus shows rounding and overflow, no more. What DequantizeLinear gives is not rounded:
INT8 kernels multiply the integers themselves.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper

from edgefas.engines.lowering.graph import attributes_of, replace_nodes
from edgefas.engines.lowering.own_nodes import OWN_NODES, without_plugins

EXACT_OPS = frozenset(
    {"Relu", "Clip", "MaxPool", "Concat", "Split", "Slice", "Gather", "Pad", "Reshape", "Flatten", "Transpose"}
    | {"Squeeze", "Unsqueeze", "Identity", "Expand", "DequantizeLinear"}
)
"""They give values they were given, so there is nothing to round."""


def needs_reference(model: onnx.ModelProto) -> bool:
    """Whether ONNX Runtime on a CPU would refuse this file, or run it in other types than it says."""
    plugins = any(_is_plugin(node) for node in model.graph.node)
    return plugins or any(tensor.data_type == TensorProto.FLOAT16 for tensor in model.graph.initializer)


def for_cpu(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy in standard operators and float32, rounded to half wherever the file is half."""
    if any(_is_plugin(node) for node in model.graph.node):
        model = without_plugins(model)
    return _with_rounding(model)


def _is_plugin(node: NodeProto) -> bool:
    return node.op_type in OWN_NODES and "plugin_namespace" in attributes_of(node)


def _with_rounding(model: onnx.ModelProto) -> onnx.ModelProto:
    rounded = onnx.ModelProto()
    rounded.CopyFrom(model)
    graph = rounded.graph
    typed = onnx.shape_inference.infer_shapes(model).graph
    halves = {v.name for v in typed.value_info if v.type.tensor_type.elem_type == TensorProto.FLOAT16}
    for tensor in graph.initializer:
        if tensor.data_type == TensorProto.FLOAT16:
            halves.add(tensor.name)
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float32), tensor.name))
    nodes: list[NodeProto] = []
    for node in graph.node:
        (y, *_) = node.output
        if node.op_type == "Cast" and y in halves:
            nodes.extend(_rounding(node.input[0], y))
        elif node.op_type == "Cast" and node.input[0] in halves:
            nodes.append(helper.make_node("Identity", node.input, node.output, node.name))
        elif y in halves and node.op_type not in EXACT_OPS:
            node.output[0] = f"{y}_unrounded"
            nodes.extend([node, *_rounding(f"{y}_unrounded", y)])
        else:
            nodes.append(node)
    replace_nodes(graph, nodes)
    del graph.value_info[:]
    return rounded


def _rounding(x: str, y: str) -> list[NodeProto]:
    """Two Casts written out stay: they lose something, and ONNX Runtime drops only those it put in itself."""
    return [
        helper.make_node("Cast", [x], [f"{y}_as_half"], f"{y}_to_half", to=TensorProto.FLOAT16),
        helper.make_node("Cast", [f"{y}_as_half"], [y], f"{y}_from_half", to=TensorProto.FLOAT),
    ]
