"""What TensorRT will make of the Q/DQ in an ONNX file, whoever wrote it: which layers run INT8, which not and why.

Read from the rules of explicit quantisation (TensorRT's documentation and the sources of its ONNX parser), not from a
builder: it says what a placement allows. Which kernel wins is the builder's choice; the layer report of a board shows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, numpy_helper

from edgefas.engines.lowering.graph import attributes_of, consumers, producers
from edgefas.engines.runtime import EngineError

Verdict = Literal["int8", "float", "refused"]
LAYER_OPS = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})
INTEGER_OPS = frozenset({"QLinearConv", "QLinearMatMul", "QGemm", "ConvInteger", "MatMulInteger", "QLinearAdd"})
ACTIVATIONS = frozenset({"Relu", "Clip", "LeakyRelu", "Sigmoid", "HardSigmoid", "HardSwish", "Tanh", "Elu"})
CROSSED_OPS = frozenset({"MaxPool", "Reshape", "Flatten", "Transpose", "Slice", "Squeeze", "Unsqueeze", "Identity"})
"""TensorRT moves Q and DQ across these."""
INT8_READERS = LAYER_OPS | {"Add", "GlobalAveragePool", "AveragePool", "Concat", "QuantizeLinear"} | CROSSED_OPS


@dataclass(frozen=True)
class LayerPlacement:
    """One Conv, ConvTranspose, Gemm or MatMul."""

    name: str
    op: str
    weight: str
    verdict: Verdict
    reasons: tuple[str, ...]
    """Why it is not INT8; empty if it is."""
    notes: tuple[str, ...]
    """What costs time although it is."""


@dataclass(frozen=True)
class AddPlacement:
    """One sum of two activations."""

    name: str
    quantised_branches: int
    note: str


@dataclass(frozen=True)
class Boundary:
    """A tensor between INT8 and float layers, where TensorRT may insert a reformat."""

    tensor: str
    why: str


@dataclass(frozen=True)
class Placement:
    """A whole file; `refused` says why TensorRT will not take it, or would compute something else."""

    layers: tuple[LayerPlacement, ...]
    adds: tuple[AddPlacement, ...]
    boundaries: tuple[Boundary, ...]
    refused: tuple[str, ...]

    def count(self, verdict: Verdict) -> int:
        """Layers with this verdict."""
        return sum(layer.verdict == verdict for layer in self.layers)


def load_graph(path: Path) -> onnx.ModelProto:
    """Read any ONNX file.

    Raises:
        EngineError: no such file, not ONNX, or its external data is missing or outside its folder.
    """
    if not path.is_file():
        raise EngineError(f"no such model: {path}; make one with: edgefas quantize")
    try:
        model = onnx.load(path)
        onnx.checker.check_model(model)
    except Exception as error:  # protobuf, and onnx for external data, raise what they like
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)[:300]
        raise EngineError(f"{path} cannot be read as ONNX: {reason}") from None
    if not model.graph.node:
        raise EngineError(f"{path} holds no network; give an .onnx file")
    return model


def check_placement(model: onnx.ModelProto) -> Placement:
    """Judge every weighted layer, sum and INT8-to-float boundary of a graph."""
    return _Check(model).run()


class _Check:
    def __init__(self, model: onnx.ModelProto) -> None:
        self.nodes = list(model.graph.node)
        self.made_by, self.users = producers(self.nodes), consumers(self.nodes)
        self.constants: dict[str, TensorProto] = {tensor.name: tensor for tensor in model.graph.initializer}
        for node in self.nodes:
            value = next((a.t for a in node.attribute if node.op_type == "Constant" and a.name == "value"), None)
            if value is not None:
                self.constants[node.output[0]] = value
        self.refused = {id(node): why for node in self.nodes if (why := self._refusal(node))}

    def run(self) -> Placement:
        layers = tuple(self._layer(node) for node in self.nodes if node.op_type in LAYER_OPS and not node.domain)
        self.int8 = {layer.name for layer in layers if layer.verdict == "int8"}
        adds = [n for n in self.nodes if n.op_type == "Add" and not any(name in self.constants for name in n.input)]
        refused = tuple(f"{_name(node)}: {self.refused[id(node)]}" for node in self.nodes if id(node) in self.refused)
        return Placement(layers, tuple(map(self._add, adds)), tuple(self._boundaries()), refused)

    # What TensorRT does not take.

    def _refusal(self, node: NodeProto) -> str | None:
        if node.op_type in INTEGER_OPS:
            return f"{node.op_type} is no Q/DQ; quantise to the QDQ format"
        if node.op_type not in ("QuantizeLinear", "DequantizeLinear"):
            return None
        kind, zero = self._zero_point(node)
        if kind == TensorProto.INT32:
            return "int32 behind DequantizeLinear (a quantised bias); leave biases float"
        if kind is None:
            return "no zero point: ONNX reads uint8, TensorRT int8"
        if kind != TensorProto.INT8:
            return f"{TensorProto.DataType.Name(kind).lower()}; INT8 layers take int8 alone"
        if zero.any():
            return f"zero point {int(zero.flat[np.abs(zero.astype(int)).argmax()])}; it must be 0 (symmetric)"
        return None

    def _zero_point(self, node: NodeProto) -> tuple[int | None, np.ndarray[tuple[int, ...], np.dtype[np.generic]]]:
        """(type, values); the type is None where neither a zero point nor what is dequantised says it."""
        name = node.input[2] if len(node.input) > 2 else ""
        if name in self.constants:
            return self.constants[name].data_type, numpy_helper.to_array(self.constants[name])
        given = self.constants.get(node.input[0]) if node.op_type == "DequantizeLinear" else None
        source = self.made_by.get(node.input[0])
        if given is None and node.op_type == "DequantizeLinear" and source and source.op_type == "QuantizeLinear":
            return self._zero_point(source)
        return (given.data_type if given is not None else None), np.zeros(1, np.int8)

    # Layers.

    def _layer(self, node: NodeProto) -> LayerPlacement:
        reasons: list[str] = []
        refused = False
        names = list(node.input)
        weight_at = 1 if len(names) > 1 and self._is_weight(names[1]) else None
        for i, name in enumerate(names[:2]):
            problem, fatal = self._weight(node, name) if i == weight_at else self._activation(name)
            reasons += [problem] if problem else []
            refused |= fatal
        if len(names) > 2 and names[2] in self.made_by and id(self.made_by[names[2]]) in self.refused:
            reasons.append(f"bias: {self.refused[id(self.made_by[names[2]])]}")
            refused = True
        verdict: Verdict = "refused" if refused else "float" if reasons else "int8"
        notes = tuple(self._notes(node)) if verdict == "int8" else ()
        weight = self._weight_name(names[1]) if len(names) > 1 else ""
        return LayerPlacement(_name(node), node.op_type, weight, verdict, tuple(reasons), notes)

    def _is_weight(self, name: str) -> bool:
        """Constant, also through Q, DQ and moves of values."""
        while name not in self.constants:
            node = self.made_by.get(name)
            if node is None or node.op_type not in CROSSED_OPS | {"QuantizeLinear", "DequantizeLinear", "Cast"}:
                return False
            name = node.input[0]
        return True

    def _weight_name(self, name: str) -> str:
        while name in self.made_by and name not in self.constants and self._is_weight(name):
            name = self.made_by[name].input[0]
        return name

    def _pair(self, name: str) -> tuple[NodeProto, NodeProto | None] | None:
        """(DQ, the Q before it, None for stored integers) that a layer's input comes from."""
        node = self.made_by.get(name)
        while node is not None and node.op_type in CROSSED_OPS:
            node = self.made_by.get(node.input[0])
        if node is None or node.op_type != "DequantizeLinear":
            return None
        before = self.made_by.get(node.input[0])
        while before is not None and before.op_type in CROSSED_OPS | {"Clip"}:
            before = self.made_by.get(before.input[0])
        return node, before if before is not None and before.op_type == "QuantizeLinear" else None

    def _activation(self, name: str) -> tuple[str | None, bool]:
        """(what is wrong, whether TensorRT refuses the file for it)."""
        pair = self._pair(name)
        if pair is None:
            return f"its input {name!r} is not quantised", False
        for node in pair:
            if node is not None and id(node) in self.refused:
                return f"its input {name!r}: {self.refused[id(node)]}", True
        if any(node is not None and self._scale_count(node) > 1 for node in pair):
            return f"its input {name!r} has a scale per channel; INT8 layers take one for the tensor", False
        return None, False

    def _weight(self, node: NodeProto, name: str) -> tuple[str | None, bool]:
        pair = self._pair(name)
        if pair is None:
            return f"its weight {self._weight_name(name)!r} is float: no DequantizeLinear", False
        for part in pair:
            if part is not None and id(part) in self.refused:
                return f"its weight: {self.refused[id(part)]}", True
        axis = attributes_of(pair[0]).get("axis", 1)
        rank = len(self.constants[self._weight_name(name)].dims)
        if self._scale_count(pair[0]) > 1 and axis % rank != _output_axis(node, rank):
            return f"its weight's scales lie along axis {axis}, output channels along {_output_axis(node, rank)}", False
        return None, False

    def _scale_count(self, node: NodeProto) -> int:
        scale = self.constants.get(node.input[1])
        return 1 if scale is None else int(np.prod(scale.dims, dtype=int))

    def _notes(self, node: NodeProto) -> Iterator[str]:
        for user in self.users[node.output[0]]:
            if user.op_type == "QuantizeLinear":
                after = {n.op_type for dq in self.users[user.output[0]] for n in self.users[dq.output[0]]}
                inside = sorted(after & (ACTIVATIONS | {"BatchNormalization"}))
                if inside:
                    yield f"Q/DQ between it and its {inside[0]}: that runs alone"

    # Sums and boundaries.

    def _add(self, node: NodeProto) -> AddPlacement:
        pairs = [self._pair(name) for name in node.input]
        count = sum(pair is not None for pair in pairs)
        convs = [self._conv_before(name) for name in node.input]
        behind = [self._conv_before(pair[1].input[0]) if pair and pair[1] else None for pair in pairs]
        if count == 2:
            note = "both branches quantised: no convolution takes it in"
        elif count == 0:
            note = "float"
        elif (taking := convs[0] or convs[1]) is not None:
            note = f"{taking} takes it in"
        elif (cut := behind[0] or behind[1]) is not None:
            note = f"the wrong branch: Q/DQ stand between it and {cut}, which could take it in"
        else:
            note = "no convolution directly before it: runs alone"
        return AddPlacement(_name(node), count, note)

    def _conv_before(self, name: str) -> str | None:
        """The INT8 convolution that gives `name` to this reader alone."""
        node = self.made_by.get(name)
        alone = len(self.users[name]) == 1
        return _name(node) if node is not None and alone and _name(node) in self.int8 else None

    def _boundaries(self) -> Iterator[Boundary]:
        for node in self.nodes:
            if node.op_type == "Constant":
                continue
            for name in node.output:
                yield from self._boundary(node, name)

    def _boundary(self, node: NodeProto, name: str) -> Iterator[Boundary]:
        readers = self.users[name]
        quantised = [n for n in readers if n.op_type == "QuantizeLinear"]
        others = sorted({n.op_type for n in readers if n.op_type not in ("QuantizeLinear", "DequantizeLinear")})
        if node.op_type == "DequantizeLinear":
            floats = sorted({n.op_type for n in readers if n.op_type not in INT8_READERS})
            if floats and not self._is_weight(name):
                yield Boundary(name, f"INT8 is dequantised for {', '.join(floats)}")
        elif _is_plugin(node) and quantised:
            yield Boundary(name, f"float of {node.op_type} is quantised again")
        elif quantised and others:
            yield Boundary(name, f"written twice: INT8, and float for {', '.join(others)}")
        elif any(map(_is_plugin, readers)) and self._layer_before(node) in self.int8:
            yield Boundary(name, f"an INT8 layer writes float for {', '.join(others)}")

    def _layer_before(self, node: NodeProto | None) -> str | None:
        while node is not None and node.op_type in ACTIVATIONS | CROSSED_OPS:
            node = self.made_by.get(node.input[0])
        return _name(node) if node is not None else None


def _is_plugin(node: NodeProto) -> bool:
    return bool(node.domain) or node.op_type == "DeformConv"


def _name(node: NodeProto) -> str:
    return node.name or node.output[0]


def _output_axis(node: NodeProto, rank: int) -> int:
    if node.op_type == "ConvTranspose":
        return 1
    if node.op_type == "MatMul":
        return rank - 1
    return 1 if node.op_type == "Gemm" and not attributes_of(node).get("transB") else 0
