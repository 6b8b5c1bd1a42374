"""Parameters and multiply-accumulates of an ONNX graph, by the rules of `edgefas.models.complexity`."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import onnx
from onnx import NodeProto

Shapes = dict[str, list[int]]
BILINEAR_AND_MASK = 5
"""Multiplications per sample of DCNv2: four neighbours and the mask."""
SOBEL_PAIR = 18
"""Multiplications per pixel of BTE's two 3x3 filters."""
WITH_WEIGHTS = ("Conv", "DeformConv", "Gemm", "MatMul")


def count_onnx(path: Path) -> tuple[int, int]:
    """(weights and biases in the graph, MACs of one face); batch norms are folded into their convolutions there."""
    model = onnx.load(path, load_external_data=False)
    for value in model.graph.input:
        value.type.tensor_type.shape.dim[0].dim_value = 1
    del model.graph.value_info[:]
    graph = onnx.shape_inference.infer_shapes(model).graph
    shapes: Shapes = {
        v.name: [d.dim_value for d in v.type.tensor_type.shape.dim]
        for v in [*graph.value_info, *graph.input, *graph.output]
    } | {t.name: list(t.dims) for t in graph.initializer}
    constant = {tensor.name for tensor in graph.initializer}
    constant |= {n.output[0] for n in graph.node if n.op_type == "DequantizeLinear" and n.input[0] in constant}
    constant |= {n.output[0] for n in graph.node if n.op_type == "Reshape" and n.input[0] in constant}
    weights = {name for n in graph.node if n.op_type in WITH_WEIGHTS for name in n.input if name in constant}
    macs = sum(_MACS[node.op_type](node, shapes) for node in graph.node if node.op_type in _MACS)
    return sum(math.prod(shapes[name]) for name in weights), macs


def _filters(node: NodeProto, shapes: Shapes) -> int:
    return math.prod(shapes[node.output[0]]) * math.prod(shapes[node.input[1]][1:])


def _product(node: NodeProto, shapes: Shapes) -> int:
    return math.prod(shapes[node.output[0]]) * shapes[node.input[0]][-1]


def _deform_conv(node: NodeProto, shapes: Shapes) -> int:
    taps = math.prod(shapes[node.input[1]][2:])
    samples = shapes[node.input[0]][1] * taps * math.prod(shapes[node.output[0]][2:])
    return _filters(node, shapes) + BILINEAR_AND_MASK * samples


def _grid_sample(node: NodeProto, shapes: Shapes) -> int:
    return BILINEAR_AND_MASK * math.prod(shapes[node.output[0]])


def _bte(node: NodeProto, shapes: Shapes) -> int:
    return SOBEL_PAIR * math.prod(shapes[node.input[0]][2:])


_MACS: dict[str, Callable[[NodeProto, Shapes], int]] = {
    "Conv": _filters,
    "Gemm": _product,
    "MatMul": _product,
    "DeformConv": _deform_conv,
    "GridSample": _grid_sample,
    "EdgefasBTE": _bte,
}
