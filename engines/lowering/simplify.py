"""What every TensorRT copy needs first: an opset that TensorRT 10.3 reads, and batch norms as plain arithmetic."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import NodeProto, helper, numpy_helper

from edgefas.engines.lowering.graph import LoweringError, attributes_of, replace_nodes

OPSET = 19
"""The first with DeformConv and with half scales of Q/DQ; TensorRT 10.0's parser is documented up to 20."""


def to_opset(model: onnx.ModelProto) -> None:
    """Declare opset 19: what the operators in use gained from 20 to 22 are types (bfloat16) that no network here has.

    Raises:
        LoweringError: an operator, or one of its attributes, does not exist in opset 19.
    """
    for node in [*model.graph.node, *(node for function in model.functions for node in function.node)]:
        if not node.domain:
            _check_schema(node)
    for holder in (model, *model.functions):
        for opset in holder.opset_import:
            if not opset.domain:
                opset.version = OPSET


def _check_schema(node: NodeProto) -> None:
    try:
        schema = onnx.defs.get_schema(node.op_type, OPSET, "")
    except onnx.defs.SchemaError:
        raise LoweringError(
            f"{node.op_type} {node.name!r} does not exist in ONNX opset {OPSET}, the one TensorRT 10.3 reads; "
            "write the network without it"
        ) from None
    unknown = sorted(set(attributes_of(node)) - set(schema.attributes))
    if unknown or len(node.input) > schema.max_input:
        raise LoweringError(
            f"{node.op_type} {node.name!r} uses {', '.join(unknown) or 'inputs'} that ONNX opset {OPSET} lacks; "
            f"export it with --opset {OPSET}"
        )


def batch_norms_to_arithmetic(model: onnx.ModelProto) -> None:
    """y = x * s + b with s = scale / sqrt(variance + epsilon) and b = bias - mean * s, both (C, 1, 1), from float64.

    Those inside a convolution are gone already; what is left stands behind a sum. Multiplication and addition join
    their neighbours in one kernel, and in half only s and b are rounded, not the variance beneath the root.
    """
    graph = model.graph
    constants = {tensor.name: tensor for tensor in graph.initializer}
    nodes: list[NodeProto] = []
    for node in graph.node:
        if node.op_type != "BatchNormalization" or not all(name in constants for name in node.input[1:]):
            nodes.append(node)
            continue
        scale, bias, mean, variance = (
            numpy_helper.to_array(constants[name]).astype(np.float64) for name in node.input[1:]
        )
        factor = scale / np.sqrt(variance + attributes_of(node).get("epsilon", 1e-5))
        y = node.output[0]
        for name, value in ((f"{y}_scale", factor), (f"{y}_shift", bias - mean * factor)):
            graph.initializer.append(numpy_helper.from_array(value.astype(np.float32).reshape(-1, 1, 1), name))
        nodes.append(helper.make_node("Mul", [node.input[0], f"{y}_scale"], [f"{y}_scaled"], f"{y}_scale"))
        nodes.append(helper.make_node("Add", [f"{y}_scaled", f"{y}_shift"], [y], f"{y}_shift"))
    replace_nodes(graph, nodes)
