"""Half precision, written into the graph: strongly typed TensorRT computes in the types it reads, and in no other.

Weights and activations become half, inputs and outputs of the network stay float32 behind a Cast. What squares or
exponentiates stays FP32 with Casts around it, since 256 squared is beyond half: the variance of VA-MSRB (from the mean
it subtracts to the mean of the squares), norms, and normalisations that hold a variance inside. BTE is such a case,
and keeps it to itself: the plugin and the inlined body take half and compute in FP32. Softmax may be half: it
subtracts the largest value first, and gives shares.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper

from edgefas.engines.lowering.graph import LoweringError, consumers, drop_unused_constants, producers, replace_nodes
from edgefas.engines.lowering.qdq import HALF_MAX

WIDE_OPS = frozenset(
    {"Exp", "Log", "ReduceL2", "ReduceSumSquare", "ReduceLogSumExp", "LpNormalization"}
    | {"LayerNormalization", "InstanceNormalization", "GroupNormalization", "MeanVarianceNormalization"}
)
FLOAT_CONSTANTS = {"EdgefasBTE": (1,)}
"""Inputs that stay float32 beside half ones: alpha, which the plugin has as an attribute and the body casts."""


def to_half(model: onnx.ModelProto) -> None:
    """Rewrite a float graph, with or without Q/DQ, in half.

    Raises:
        LoweringError: a weight is beyond half, or not finite; it is named.
    """
    _Half(model).rewrite()


def wide_nodes(nodes: list[NodeProto], constants: dict[str, TensorProto]) -> set[str]:
    """First outputs of the nodes that stay FP32."""
    made_by, users = producers(nodes), consumers(nodes)
    wide = {node.output[0] for node in nodes if node.op_type in WIDE_OPS}
    for node in nodes:
        if not _squares(node, constants):
            continue
        wide.add(node.output[0])
        wide |= {user.output[0] for user in users[node.output[0]] if user.op_type.startswith("Reduce")}
        centred = made_by.get(node.input[0])
        if centred is not None and centred.op_type == "Sub":
            wide.add(centred.output[0])
            means = [made_by[name] for name in centred.input if name in made_by]
            wide |= {mean.output[0] for mean in means if mean.op_type.startswith("Reduce")}
    return wide


def _squares(node: NodeProto, constants: dict[str, TensorProto]) -> bool:
    if node.op_type == "Pow":
        return True
    return node.op_type == "Mul" and node.input[0] == node.input[1] and node.input[0] not in constants


@dataclass
class _Half:
    model: onnx.ModelProto
    nodes: list[NodeProto] = field(default_factory=list)
    casts: dict[tuple[str, int], str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        graph = self.model.graph
        self.constants = {tensor.name: tensor for tensor in graph.initializer}
        typed = onnx.shape_inference.infer_shapes(self.model).graph
        values = [*typed.value_info, *graph.input, *graph.output]
        self.floats = {v.name for v in values if v.type.tensor_type.elem_type == TensorProto.FLOAT}
        self.inputs, self.outputs = ({v.name for v in side} for side in (graph.input, graph.output))
        self.wide = wide_nodes(list(graph.node), self.constants)

    def rewrite(self) -> None:
        graph = self.model.graph
        for node in graph.node:
            wanted = TensorProto.FLOAT if node.output[0] in self.wide else TensorProto.FLOAT16
            kept = FLOAT_CONSTANTS.get(node.op_type, ())
            for i, name in enumerate(node.input):
                if i not in kept:
                    node.input[i] = self._as(name, wanted, is_bound=node.op_type == "Clip" and i > 0)
            for attribute in node.attribute:
                if node.op_type == "Cast" and attribute.name == "to" and attribute.i == TensorProto.FLOAT:
                    attribute.i = wanted
            self._emit(node, wanted)
        replace_nodes(graph, self.nodes)
        drop_unused_constants(graph)
        del graph.value_info[:]

    def _emit(self, node: NodeProto, kind: int) -> None:
        """The node; where an output of the network would be half, a Cast gives it its name and float32."""
        results = [name for name in node.output if name in self.outputs and kind == TensorProto.FLOAT16]
        node.output[:] = [f"{name}_half" if name in results else name for name in node.output]
        self.nodes.append(node)
        for name in results:
            self.casts[name, TensorProto.FLOAT16] = f"{name}_half"
            self.nodes.append(helper.make_node("Cast", [f"{name}_half"], [name], f"{name}_cast", to=TensorProto.FLOAT))

    def _as(self, name: str, kind: int, is_bound: bool) -> str:
        """`name` in this type: itself, a cast made once, or a constant in half."""
        tensor = self.constants.get(name)
        if tensor is not None:
            return self._half_constant(name, is_bound) if kind == TensorProto.FLOAT16 else name
        if name not in self.floats or self._type(name) == kind:
            return name
        if (name, kind) not in self.casts:
            suffix = "half" if kind == TensorProto.FLOAT16 else "fp32"
            self.casts[name, kind] = f"{name}_{suffix}"
            self.nodes.append(helper.make_node("Cast", [name], [f"{name}_{suffix}"], f"{name}_{suffix}", to=kind))
        return self.casts[name, kind]

    def _type(self, name: str) -> int:
        wide = name in self.inputs or name in self.outputs or name in self.wide
        return TensorProto.FLOAT if wide else TensorProto.FLOAT16

    def _half_constant(self, name: str, is_bound: bool) -> str:
        tensor = self.constants[name]
        if tensor.data_type != TensorProto.FLOAT:
            return name
        half_name = f"{name}_half"
        if half_name not in self.constants:
            value = numpy_helper.to_array(tensor)
            if is_bound:  # a bound beyond half bounds nothing there
                value = value.clip(-HALF_MAX, HALF_MAX)
            reach = float(np.abs(value).max(initial=0))
            if not reach <= HALF_MAX:
                raise LoweringError(
                    f"weight {name!r} reaches {reach:.4g}, half ends at {HALF_MAX:.0f}; "
                    "lower this network with precision fp32 or int8 (edgefas quantize --precision)"
                )
            self.constants[half_name] = numpy_helper.from_array(value.astype(np.float16), half_name)
            self.model.graph.initializer.append(self.constants[half_name])
        return half_name
