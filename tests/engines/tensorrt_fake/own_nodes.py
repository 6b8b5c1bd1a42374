"""ONNX Runtime as the arithmetic of the fake: own nodes get a body in standard operators."""

from __future__ import annotations

from typing import Literal

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

Bug = Literal["offset axes swapped", "mask lost"]
"""What a wrong EdgefasDCNv2 would do."""


def session(model: onnx.ModelProto, bug: Bug | None = None) -> onnxruntime.InferenceSession:
    """ONNX Runtime on the stock form: own BTE nodes get their body back, own DCNv2 nodes become DeformConv.

    Args:
        bug: of the plugin, for tests that must see it refused.
    """
    stock = onnx.ModelProto()
    stock.CopyFrom(model)
    nodes = [
        one for node in model.graph.node for one in (_deform_conv(stock, node, bug) if _is_dcnv2(node) else [node])
    ]
    del stock.graph.node[:]
    stock.graph.node.extend(nodes)
    if any(node.op_type == "EdgefasBTE" for node in stock.graph.node):
        stock.functions.append(bte_function())
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    # x86 without VNNI adds INT8 products in int16, which saturates; no GPU does.
    options.add_session_config_entry("session.x64quantprecision", "1")
    return onnxruntime.InferenceSession(stock.SerializeToString(), options, providers=["CPUExecutionProvider"])


def _is_dcnv2(node: onnx.NodeProto) -> bool:
    return node.domain == "edgefas" and node.op_type == "EdgefasDCNv2"


def _deform_conv(model: onnx.ModelProto, node: onnx.NodeProto, bug: Bug | None) -> list[onnx.NodeProto]:
    """The node as its plugin's README defines it: other order of inputs, one padding per axis, else DeformConv."""
    x, offset, mask, weight, bias = node.input
    fields = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
    before = []
    if bug == "offset axes swapped":
        kernel = next(tensor.dims for tensor in model.graph.initializer if tensor.name == weight)[2:]
        channels = np.arange(2 * fields["deformable_group"] * kernel[0] * kernel[1])
        model.graph.initializer.append(numpy_helper.from_array(channels ^ 1, f"{node.name}_other_axis"))
        before = [helper.make_node("Gather", [offset, f"{node.name}_other_axis"], [f"{node.name}_offset"], axis=1)]
        offset = f"{node.name}_offset"
    elif bug == "mask lost":
        mask = ""
    deform = helper.make_node(
        "DeformConv",
        [x, weight, offset, bias, mask],
        node.output,
        node.name,
        group=fields["group"],
        offset_group=fields["deformable_group"],
        strides=fields["stride"],
        pads=[*fields["padding"], *fields["padding"]],
        dilations=fields["dilation"],
    )
    return [*before, deform]


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
