"""Where TensorRT wants Q/DQ: on the inputs of weighted layers, so that it can fuse what comes after them.

int8 with zero point 0, activations per tensor, weights per output channel. A pair stands

- on the activation of a chosen Conv, Gemm or MatMul, one pair per tensor however many layers read it;
- on the input of a chosen pooling layer;
- on one summand of a residual Add: the one that is *not* the convolution which takes the Add in.

None stands between a convolution and its batch norm or activation (the convolution would write INT8 and the
activation run alone), none beside BTE or DCNv2 (TensorRT sees plugins as float), none before the last layer.
Weights are stored as int8 behind a DequantizeLinear: a quarter of the bytes of float weights behind a pair. TensorRT
takes both, by the source of its ONNX parser (10.1) and the documentation of 11. Biases stay float.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import onnx
from onnx import NodeProto, helper, numpy_helper

from edgefas.calibration.recipe import Recipe
from edgefas.calibration.scale_table import INT8_MAX, ScaleTable
from edgefas.engines.lowering.graph import (
    WEIGHTED_OPS,
    LoweringError,
    attributes_of,
    consumers,
    drop_unused_constants,
    producers,
    quantized_outputs,
    replace_nodes,
)

POOLS = frozenset({"GlobalAveragePool", "AveragePool"})
PLUGIN_OPS = frozenset({"DeformConv", "EdgefasBTE", "EdgefasDCNv2"})
HALF_MAX = 65504.0


def place_qdq(model: onnx.ModelProto, scales: ScaleTable, recipe: Recipe, half: bool) -> None:
    """Put Q/DQ into `model`, whose tensors bear the names of the table's source.

    Args:
        half: the scales will be stored as half: take values that half has, rounded up so that no value is clipped.

    Raises:
        ScaleTableError: the table lacks a tensor.
        LoweringError: a scale is beyond half.
    """
    _Placement(model, scales, quantized_outputs(model, recipe), half).rewrite()


def stored_scales(steps: npt.NDArray[np.float64], half: bool, tensor: str) -> npt.NDArray[np.float32]:
    """Scales as the file will hold them: positive, and representable in half if asked for.

    Raises:
        LoweringError: beyond half.
    """
    if not half:
        return np.maximum(steps.astype(np.float32), np.finfo(np.float32).tiny)
    if steps.max(initial=0) * INT8_MAX > HALF_MAX:
        raise LoweringError(
            f"{tensor} reaches {steps.max() * INT8_MAX:.4g}, half ends at {HALF_MAX:.0f}; "
            "lower this network with precision int8 (edgefas quantize --precision)"
        )
    rounded = steps.astype(np.float16)
    up = np.where(rounded < steps, np.nextafter(rounded, np.float16(np.inf)), rounded)
    return np.asarray(up, np.float32)


@dataclass
class _Placement:
    model: onnx.ModelProto
    scales: ScaleTable
    chosen: set[str]
    half: bool
    nodes: list[NodeProto] = field(default_factory=list)
    dequantized: dict[str, str] = field(default_factory=dict)
    """Float tensor -> the dequantised one INT8 layers read."""

    def __post_init__(self) -> None:
        graph = self.model.graph
        self.constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
        self.made_by = producers(graph.node)
        self.users = consumers(graph.node)
        self.outputs = {value.name for value in graph.output}
        self.depth = _conv_depth(graph.node)
        int8 = [node for node in graph.node if self._is_int8(node)]
        self.int8 = {node.output[0] for node in int8}
        self.quantised = {name for node in int8 for name in self._activations(node)}

    def rewrite(self) -> None:
        for node in self.model.graph.node:
            if node.output[0] in self.int8:
                for name in self._activations(node):
                    self._replace_input(node, name)
                if node.op_type in WEIGHTED_OPS and node.input[1] in self.constants:
                    node.input[1] = self._dequantized_weight(node)
            elif node.op_type == "Add" and node.output[0] in self.chosen:
                branch = self._residual_branch(node)
                if branch is not None:
                    self._replace_input(node, branch)
            self.nodes.append(node)
        replace_nodes(self.model.graph, self.nodes)
        drop_unused_constants(self.model.graph)

    def _is_int8(self, node: NodeProto) -> bool:
        """A chosen layer with INT8 kernels none of whose inputs is a plugin's own output."""
        if node.output[0] not in self.chosen or node.op_type not in WEIGHTED_OPS | POOLS:
            return False
        return not any(self._by_plugin(name) for name in self._activations(node))

    def _activations(self, node: NodeProto) -> list[str]:
        count = 2 if node.op_type == "MatMul" else 1
        return [name for name in node.input[:count] if name not in self.constants]

    def _by_plugin(self, name: str) -> bool:
        return name in self.made_by and self.made_by[name].op_type in PLUGIN_OPS

    def _residual_branch(self, add: NodeProto) -> str | None:
        """The summand to quantise. With a convolution that can take the Add in, it is the other one; where two can,
        the one after more convolutions does, since it runs last. Without one: a summand that INT8 layers read anyway
        (its float copy then need not be written). Sums of gated maps have neither and stay float."""
        names = list(add.input)
        if names[0] == names[1]:
            return None
        fusing = [name for name in names if self._can_take_in(name)]
        if fusing:
            last = max(fusing, key=lambda name: self.depth[name])
            other = names[1 - names.index(last)]
            return None if self._by_plugin(other) else other
        shared = [name for name in names if name in self.quantised]
        return shared[0] if len(shared) == 1 else None

    def _can_take_in(self, name: str) -> bool:
        made_by = self.made_by.get(name)
        alone = len(self.users[name]) == 1 and name not in self.outputs
        return made_by is not None and made_by.op_type == "Conv" and name in self.int8 and alone

    def _replace_input(self, node: NodeProto, name: str) -> None:
        replacement = self._dequantized(name)
        node.input[:] = [replacement if old == name else old for old in node.input]

    def _dequantized(self, name: str) -> str:
        if name not in self.dequantized:
            scale = stored_scales(np.array(self.scales.scale(name)), self.half, f"tensor {name!r}")
            step = [self._constant(f"{name}_step", scale), self._constant("int8_zero", np.array(0, np.int8))]
            integers, through = f"{name}_int8", f"{name}_dequantized"
            self.nodes.append(helper.make_node("QuantizeLinear", [name, *step], [integers], f"{name}_q"))
            self.nodes.append(helper.make_node("DequantizeLinear", [integers, *step], [through], f"{name}_dq"))
            self.dequantized[name] = through
        return self.dequantized[name]

    def _dequantized_weight(self, node: NodeProto) -> str:
        name = node.input[1]
        weight = self.constants[name].astype(np.float64)
        axis = 0 if node.op_type == "Conv" or attributes_of(node).get("transB") else weight.ndim - 1
        through = f"{name}_dequantized" if axis == 0 else f"{name}_dequantized_{axis}"
        if through not in self.dequantized:
            reach = np.abs(weight).max(axis=tuple(i for i in range(weight.ndim) if i != axis))
            scale = stored_scales(np.where(reach == 0, 1.0, reach) / INT8_MAX, self.half, f"weight {name!r}")
            shaped = scale.astype(np.float64).reshape([-1 if i == axis else 1 for i in range(weight.ndim)])
            integers = np.rint(weight / shaped).clip(-INT8_MAX, INT8_MAX).astype(np.int8)
            inputs = [self._constant(f"{through}_int8", integers), self._constant(f"{through}_step", scale)]
            inputs.append(self._constant(f"{through}_zero", np.zeros(scale.shape, np.int8)))
            self.nodes.append(helper.make_node("DequantizeLinear", inputs, [through], f"{through}_dq", axis=axis))
            self.dequantized[through] = through
        return through

    def _constant(self, name: str, value: npt.NDArray[np.generic]) -> str:
        if name not in self.constants:
            self.constants[name] = value
            self.model.graph.initializer.append(numpy_helper.from_array(value, name))
        return name


def _conv_depth(nodes: list[NodeProto]) -> dict[str, int]:
    """Tensor -> most convolutions on a way to it from an input."""
    depth: dict[str, int] = {}
    for node in nodes:
        before = max((depth.get(name, 0) for name in node.input), default=0)
        depth.update(dict.fromkeys(node.output, before + (node.op_type == "Conv")))
    return depth
