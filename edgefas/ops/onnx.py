"""The operators in ONNX: DCNv2 is the standard `DeformConv`, BTE a node of our own with a body in standard operators.

The exporter cannot write a function's body, so `bte_function_body` is appended to `model.functions` after the export.
An engine that knows `EdgefasBTE` runs its kernel; any other runs the body.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
import onnxscript
import torch
from onnx import TensorProto, helper, numpy_helper
from onnxscript import opset22

import edgefas.ops  # registers the operators  # noqa: F401
from edgefas.ops.bte import EPSILON, SOBEL_X

OPSET = 22
"""Opset of the translations and of the function body; DeformConv exists from 19 on."""

DOMAIN = "edgefas"
DOMAIN_VERSION = 1
BTE_NODE = "EdgefasBTE"

_Formal = onnx.defs.OpSchema.FormalParameter
_BTE_SCHEMA = onnx.defs.OpSchema(
    BTE_NODE,
    DOMAIN,
    DOMAIN_VERSION,
    inputs=[_Formal("x", "T"), _Formal("alpha", "T")],
    outputs=[_Formal("y", "T")],
    type_constraints=[("T", ["tensor(float)", "tensor(float16)"], "a float tensor")],
)
_BTE_OP = onnxscript.values.Op(onnxscript.values.Opset(DOMAIN, DOMAIN_VERSION), BTE_NODE, _BTE_SCHEMA)


def onnx_translations() -> dict[Callable[..., Any], Callable[..., Any]]:
    """Torch operator -> ONNX function, for `torch.onnx.export(custom_translation_table=...)` with `OPSET`."""
    return {
        torch.ops.edgefas.bte.default: _bte,
        torch.ops.edgefas.deform_conv2d.default: _deform_conv,
    }


def _bte(x: Any, alpha: Any) -> Any:
    return _BTE_OP(x, alpha)


def _deform_conv(
    x: Any,
    offset: Any,
    mask: Any,
    weight: Any,
    bias: Any,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    groups: int,
    offset_groups: int,
) -> Any:
    return opset22.DeformConv(
        x,
        weight,
        offset,
        bias,
        mask,
        dilations=dilation,
        group=groups,
        kernel_shape=weight.shape[2:],
        offset_group=offset_groups,
        pads=[*padding, *padding],
        strides=stride,
    )


def bte_function_body() -> onnx.FunctionProto:
    """`EdgefasBTE(x, alpha) -> y` in standard operators, FP32 inside whatever the type of `x` (eq. 7-11)."""
    sobel_x = np.array(SOBEL_X, np.float32)

    def constant(name: str, value: np.ndarray) -> onnx.NodeProto:
        return helper.make_node("Constant", [], [name], value=numpy_helper.from_array(value, name))

    nodes = [
        constant("channel_axis", np.array([1])),
        constant("sobel", np.stack([sobel_x, sobel_x.T])[:, None]),
        constant("epsilon", np.array(EPSILON, np.float32)),
        helper.make_node("Cast", ["x"], ["x_fp32"], to=TensorProto.FLOAT),
        helper.make_node("Cast", ["alpha"], ["alpha_fp32"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["x_fp32", "channel_axis"], ["mean"], keepdims=1),
        helper.make_node("Conv", ["mean", "sobel"], ["gradient"], pads=[1, 1, 1, 1]),
        helper.make_node("ReduceL2", ["gradient", "channel_axis"], ["norm"], keepdims=1),
        helper.make_node("Add", ["norm", "epsilon"], ["magnitude"]),
        helper.make_node("Mul", ["magnitude", "alpha_fp32"], ["scaled"]),
        helper.make_node("Sigmoid", ["scaled"], ["attention_fp32"]),
        helper.make_node("CastLike", ["attention_fp32", "x"], ["attention"]),
        helper.make_node("Mul", ["x", "attention"], ["y"]),
    ]
    return helper.make_function(DOMAIN, BTE_NODE, ["x", "alpha"], ["y"], nodes, [helper.make_opsetid("", OPSET)])
