"""ONNX Runtime as the arithmetic of the fake: own nodes get a body in standard operators."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper


def session(model: onnx.ModelProto) -> onnxruntime.InferenceSession:
    """ONNX Runtime on the stock form: own BTE nodes get their body back."""
    stock = onnx.ModelProto()
    stock.CopyFrom(model)
    if any(node.domain == "edgefas" for node in stock.graph.node):
        stock.functions.append(bte_function())
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(stock.SerializeToString(), options, providers=["CPUExecutionProvider"])


def bte_function() -> onnx.FunctionProto:
    """EdgefasBTE with alpha and epsilon as attributes: x * sigmoid(alpha * (|Sobel(channel mean of x)| + epsilon))."""
    sobel = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]], np.float32)

    def scalar(name: str, attribute: str) -> onnx.NodeProto:
        node = helper.make_node("Constant", [], [name])
        node.attribute.append(
            onnx.AttributeProto(name="value_float", ref_attr_name=attribute, type=onnx.AttributeProto.FLOAT)
        )
        return node

    def constant(name: str, value: np.ndarray) -> onnx.NodeProto:
        return helper.make_node("Constant", [], [name], value=numpy_helper.from_array(value, name))

    nodes = [
        scalar("alpha", "alpha"),
        scalar("epsilon", "epsilon"),
        constant("axis", np.array([1])),
        constant("sobel", np.stack([sobel, sobel.T])[:, None]),
        helper.make_node("Cast", ["x"], ["x32"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["x32", "axis"], ["mean"], keepdims=1),
        helper.make_node("Conv", ["mean", "sobel"], ["gradient"], pads=[1, 1, 1, 1]),
        helper.make_node("ReduceL2", ["gradient", "axis"], ["norm"], keepdims=1),
        helper.make_node("Add", ["norm", "epsilon"], ["magnitude"]),
        helper.make_node("Mul", ["magnitude", "alpha"], ["scaled"]),
        helper.make_node("Sigmoid", ["scaled"], ["attention32"]),
        helper.make_node("CastLike", ["attention32", "x"], ["attention"]),
        helper.make_node("Mul", ["x", "attention"], ["y"]),
    ]
    names = ["alpha", "epsilon", "plugin_namespace", "plugin_version"]
    return helper.make_function("edgefas", "EdgefasBTE", ["x"], ["y"], nodes, [helper.make_opsetid("", 22)], names)
