"""Reading an ONNX graph: who makes a tensor, who uses it, what is constant, what a recipe turns into INT8."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Any

import onnx
from onnx import NodeProto, helper

from edgefas.calibration.recipe import Recipe
from edgefas.errors import EdgefasError

WEIGHTED_OPS = frozenset({"Conv", "Gemm", "MatMul"})


class LoweringError(EdgefasError):
    """A graph cannot be brought into the form an engine needs."""


def check_result(model: onnx.ModelProto) -> None:
    """What a lowering made must be valid ONNX.

    Raises:
        LoweringError: it is not, which a source of too old an opset or with odd attributes can cause.
    """
    try:
        onnx.checker.check_model(model)
    except onnx.checker.ValidationError as error:
        raise LoweringError(
            f"this source gives no valid lowered graph: {str(error).strip().splitlines()[0][:300]}; "
            "write the source again with: edgefas export"
        ) from None


def source_sha256(model: onnx.ModelProto) -> str:
    """Identity of a source network, whatever file it lies in."""
    return hashlib.sha256(model.SerializeToString(deterministic=True)).hexdigest()


def producers(nodes: Iterable[NodeProto]) -> dict[str, NodeProto]:
    """Tensor -> the node that makes it."""
    return {output: node for node in nodes for output in node.output}


def consumers(nodes: Iterable[NodeProto]) -> dict[str, list[NodeProto]]:
    """Tensor -> the nodes that use it."""
    users: dict[str, list[NodeProto]] = defaultdict(list)
    for node in nodes:
        for name in node.input:
            users[name].append(node)
    return users


def attributes_of(node: NodeProto) -> dict[str, Any]:
    """Attribute -> value."""
    return {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}


def shapes_of(graph: onnx.GraphProto) -> dict[str, list[int]]:
    """Tensor -> shape, of those whose shape the graph says; 0 for a dimension that is free or not known."""
    values = [*graph.value_info, *graph.input, *graph.output]
    shapes = {v.name: [d.dim_value for d in v.type.tensor_type.shape.dim] for v in values}
    return shapes | {t.name: list(t.dims) for t in graph.initializer}


def replace_nodes(graph: onnx.GraphProto, nodes: Iterable[NodeProto]) -> None:
    """Put these nodes, in an order where each comes after what it reads, in the place of the graph's."""
    kept = list(nodes)
    del graph.node[:]
    graph.node.extend(kept)


def drop_unused_constants(graph: onnx.GraphProto) -> None:
    """Keep only the initialisers a node reads."""
    used = {name for node in graph.node for name in node.input}
    kept = [tensor for tensor in graph.initializer if tensor.name in used]
    del graph.initializer[:]
    graph.initializer.extend(kept)


def quantized_outputs(model: onnx.ModelProto, recipe: Recipe) -> set[str]:
    """First outputs (the identity of a node) of the nodes that become INT8 under this recipe."""
    graph = model.graph
    constant = {tensor.name for tensor in graph.initializer}
    kept = _head(graph, constant) | _first_convs(graph, recipe.float_first_convs)
    chosen = set()
    for node in graph.node:
        if node.domain or node.op_type not in recipe.quantize or node.output[0] in kept:
            continue
        weights = [name for name in node.input if name in constant]
        if any(fnmatchcase(name, pattern) for name in weights for pattern in recipe.float_weights):
            continue
        if node.op_type == "Conv" and node.input[1] not in constant:
            continue
        if node.op_type not in WEIGHTED_OPS and weights:  # a constant summand or factor: not worth a kernel
            continue
        chosen.add(node.output[0])
    return chosen


def _head(graph: onnx.GraphProto, constant: set[str]) -> set[str]:
    """The last weighted layer before each output, and what follows it: INT8 steps there are steps of the score."""
    made_by = producers(graph.node)
    todo = [output.name for output in graph.output]
    found: set[str] = set()
    while todo:
        node = made_by.get(todo.pop())
        if node is None or node.output[0] in found:
            continue
        found.add(node.output[0])
        if node.op_type not in WEIGHTED_OPS or not constant & set(node.input):
            todo.extend(node.input)
    return found


def _first_convs(graph: onnx.GraphProto, count: int) -> set[str]:
    """Convolutions with fewer than `count` others between them and an input."""
    depth = dict.fromkeys((value.name for value in graph.input), 0)
    found = set()
    for node in graph.node:
        before = max((depth[name] for name in node.input if name in depth), default=0)
        if node.op_type == "Conv":
            before += 1
            if before <= count:
                found.add(node.output[0])
        depth.update(dict.fromkeys(node.output, before))
    return found
