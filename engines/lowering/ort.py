"""INT8 for ONNX Runtime: Q/DQ placed so that its CPU kernels fuse, from the scale table.

The table's int8/0 activations are written as uint8/128: the same steps (q + 128), and the form whose kernels are
quick on x86; int8 activations leave the convolutions in float there. Outputs are quantised too, because ONNX Runtime
makes a QLinearConv of DQ -> Conv -> Q only. A ReLU between Conv and Q would break that pattern, so it is moved behind
Q, where it is a clamp of integers: quantisation is monotone, so Q(min(max(x, a), b)) = min(max(Q(x), Q(a)), Q(b)).

The asymmetric form is for CPUs alone (TensorRT takes zero point 0, nothing else): 256 steps from the lowest to the
highest value seen. What a ReLU leaves then uses all of them instead of half, and the clamp is the saturation of Q.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import onnx
from onnx import NodeProto, helper, numpy_helper

from edgefas.calibration.recipe import Recipe
from edgefas.calibration.scale_table import INT8_MAX, ScaleTable, ScaleTableError
from edgefas.engines.lowering.graph import WEIGHTED_OPS, check_result, consumers, quantized_outputs, source_sha256

ZERO_POINT = 128
UINT8_MAX = 255
BIAS_MAX = 2**31 - 1024
"""A little inside int32, for the rounding of float32 scales."""
CLAMPS = frozenset({"Relu", "Clip"})
MOVES = frozenset({"MaxPool", "Reshape", "Flatten", "Transpose", "Slice", "Squeeze", "Unsqueeze"})
"""Operators that only move or pick values: they run on the integers themselves."""


class Grid(NamedTuple):
    """The real values of uint8 q: (q - zero) * scale."""

    scale: float
    zero: int


def lower_ort(
    source: onnx.ModelProto, scales: ScaleTable, recipe: Recipe, *, asymmetric: bool = False
) -> onnx.ModelProto:
    """The INT8 network for ONNX Runtime's CPU kernels.

    Args:
        source: the float ONNX of `edgefas export`; not changed.
        scales: its ranges.
        recipe: what becomes INT8.
        asymmetric: the CPU-only form, which needs both ends of each range; without them it is the symmetric one but
            for its outermost step.

    Raises:
        ScaleTableError: the table belongs to another source, or lacks a tensor.
        LoweringError: the source is of too old an opset.
    """
    if scales.source_sha256 != source_sha256(source):
        raise ScaleTableError("the scale table belongs to another network; make it with: edgefas quantize")
    model = onnx.ModelProto()
    model.CopyFrom(source)
    _Lowering(model, scales, quantized_outputs(source, recipe), asymmetric).rewrite()
    check_result(model)
    return model


@dataclass
class _Lowering:
    """One rewrite of one graph; nodes are emitted in their old order, so the graph stays sorted."""

    model: onnx.ModelProto
    scales: ScaleTable
    chosen: set[str]
    asymmetric: bool
    nodes: list[NodeProto] = field(default_factory=list)
    integers: dict[str, tuple[str, Grid]] = field(default_factory=dict)
    """Float tensor -> (its uint8 tensor, grid); the float one is a DequantizeLinear away."""
    dequantized: dict[str, str] = field(default_factory=dict)
    """Float tensor -> the dequantised tensor INT8 nodes read."""

    def __post_init__(self) -> None:
        graph = self.model.graph
        self.constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
        self.users = consumers(graph.node)
        self.outputs = {value.name for value in graph.output}

    def rewrite(self) -> None:
        graph = self.model.graph
        absorbed: set[str] = set()
        for node in list(graph.node):
            if node.output[0] in absorbed:
                continue
            if node.output[0] in self.chosen:
                clamp = self._clamp_after(node)
                absorbed |= {clamp.output[0]} if clamp else set()
                self._emit_int8(node, clamp)
            elif node.op_type in MOVES and node.input[0] in self.integers:
                self._emit_move(node)
            else:
                self.nodes.append(node)
        del graph.node[:]
        graph.node.extend(self.nodes)
        used = {name for node in self.nodes for name in node.input}
        kept = [tensor for tensor in graph.initializer if tensor.name in used]
        del graph.initializer[:]
        graph.initializer.extend(kept)
        del graph.value_info[:]

    def _clamp_after(self, node: NodeProto) -> NodeProto | None:
        """The ReLU or Clip that alone uses the node's output, if its bounds are constants."""
        users = self.users[node.output[0]]
        if len(users) != 1 or users[0].op_type not in CLAMPS or node.output[0] in self.outputs:
            return None
        bounds = [name for name in users[0].input[1:] if name]
        single = all(name in self.constants and self.constants[name].size == 1 for name in bounds)
        return users[0] if single else None

    def _emit_int8(self, old: NodeProto, clamp: NodeProto | None) -> None:
        """DQ -> node -> Q [-> clamp of integers] -> DQ."""
        node = NodeProto()
        node.CopyFrom(old)
        last_activation = 1 if node.op_type in WEIGHTED_OPS and node.input[1] in self.constants else len(node.input)
        for i in range(last_activation):
            node.input[i] = self._dequantized_input(node.input[i])
        if last_activation == 1:
            self._quantize_weights(node, self.integers[old.input[0]][1].scale)
        result = clamp.output[0] if clamp else old.output[0]
        grid = self._grid(result)
        node.output[0] = f"{old.output[0]}_float" if not clamp else old.output[0]
        integers = f"{result}_uint8"
        low, high = self._clamp_steps(clamp, grid) if clamp else (0, UINT8_MAX)
        saturates = (low, high) == (0, UINT8_MAX)  # then Q clamps by itself
        before_clamp = integers if saturates else f"{result}_unclamped_uint8"
        self.nodes.append(node)
        self._quantize(node.output[0], before_clamp, grid)
        if not saturates:
            self._clamp_integers(before_clamp, integers, low, high)
        self._dequantize(integers, result, grid)
        self.integers[result] = (integers, grid)
        self.dequantized[result] = result

    def _emit_move(self, old: NodeProto) -> None:
        integers, grid = self.integers[old.input[0]]
        node = NodeProto()
        node.CopyFrom(old)
        node.input[0], node.output[0] = integers, f"{old.output[0]}_uint8"
        self.nodes.append(node)
        self._dequantize(node.output[0], old.output[0], grid)
        self.integers[old.output[0]] = (node.output[0], grid)
        self.dequantized[old.output[0]] = old.output[0]

    def _dequantized_input(self, name: str) -> str:
        """The tensor an INT8 node reads instead of the float `name`; made at its first use."""
        if name not in self.dequantized:
            grid = self._grid(name)
            integers, through = f"{name}_uint8", f"{name}_dequantized"
            self._quantize(name, integers, grid)
            self._dequantize(integers, through, grid)
            self.integers[name] = (integers, grid)
            self.dequantized[name] = through
        return self.dequantized[name]

    def _grid(self, name: str) -> Grid:
        if not self.asymmetric:
            return Grid(self.scales.scale(name), ZERO_POINT)
        low, high = self.scales.range(name)  # holds 0, which must be a step: padding is 0
        scale = (high - low) / UINT8_MAX or 1.0
        return Grid(scale, round(-low / scale))

    def _quantize(self, name: str, to: str, grid: Grid) -> None:
        self.nodes.append(helper.make_node("QuantizeLinear", [name, *self._step(to, grid)], [to], f"{to}_q"))

    def _dequantize(self, name: str, to: str, grid: Grid) -> None:
        self.nodes.append(helper.make_node("DequantizeLinear", [name, *self._step(name, grid)], [to], f"{name}_dq"))

    def _step(self, name: str, grid: Grid) -> tuple[str, str]:
        """Names of the constants (scale, zero point) of one uint8 tensor."""
        scale_name = self._constant(f"{name}_scale", np.array(grid.scale, np.float32))
        return scale_name, self._constant(f"uint8_zero_point_{grid.zero}", np.array(grid.zero, np.uint8))

    def _clamp_steps(self, clamp: NodeProto, grid: Grid) -> tuple[int, int]:
        bounds = np.rint(np.array(self._clamp_bounds(clamp)) / np.float32(grid.scale)) + grid.zero
        low, high = bounds.clip(0, UINT8_MAX).astype(int)
        return int(low), int(high)

    def _clamp_integers(self, name: str, to: str, low: int, high: int) -> None:
        low_name = self._constant(f"{to}_low", np.array(low, np.uint8))
        high_name = self._constant(f"{to}_high", np.array(high, np.uint8))
        self.nodes.append(helper.make_node("Clip", [name, low_name, high_name], [to], f"{to}_clip"))

    def _clamp_bounds(self, clamp: NodeProto) -> tuple[float, float]:
        if clamp.op_type == "Relu":
            return 0.0, np.inf
        given = [float(self.constants[name].item()) if name else None for name in [*clamp.input[1:], "", ""]]
        return (-np.inf if given[0] is None else given[0]), (np.inf if given[1] is None else given[1])

    def _quantize_weights(self, node: NodeProto, input_scale: float) -> None:
        """Weights int8, one scale per output channel; bias int32 in steps of input scale x weight scale."""
        weight = self.constants[node.input[1]]
        bias_name = node.input[2] if len(node.input) > 2 else ""
        axis = 0 if node.op_type == "Conv" or _attribute(node, "transB") else weight.ndim - 1
        others = tuple(i for i in range(weight.ndim) if i != axis)
        reach = np.abs(weight.astype(np.float64)).max(axis=others)
        steps = np.where(reach == 0, 1.0, reach) / INT8_MAX
        if bias_name:
            # A channel of tiny weights would push its bias out of int32: its step grows until the bias fits.
            fits = np.abs(self.constants[bias_name].astype(np.float64)) / (input_scale * BIAS_MAX)
            steps = np.maximum(steps, fits)
        scale = steps.astype(np.float32)
        shaped = scale.reshape([-1 if i == axis else 1 for i in range(weight.ndim)])
        integers = np.rint(weight / shaped).clip(-INT8_MAX, INT8_MAX).astype(np.int8)
        node.input[1] = self._dequantized_constant(node.input[1], node.output[0], integers, scale, axis)
        if bias_name:
            bias_scale = np.float32(input_scale) * scale
            bias = np.rint(self.constants[bias_name].astype(np.float64) / bias_scale).astype(np.int32)
            node.input[2] = self._dequantized_constant(bias_name, node.output[0], bias, bias_scale, 0)

    def _dequantized_constant(
        self, name: str, user: str, integers: npt.NDArray[np.generic], scale: npt.NDArray[np.float32], axis: int
    ) -> str:
        stem = f"{name}_of_{user}"  # two nodes may share a weight, yet not the scale of their input
        inputs = [self._constant(f"{stem}_int", integers), self._constant(f"{stem}_scale", scale)]
        inputs.append(self._constant(f"{stem}_zero", np.zeros(scale.shape, integers.dtype)))
        self.nodes.append(helper.make_node("DequantizeLinear", inputs, [stem], f"{stem}_dq", axis=axis))
        return stem

    def _constant(self, name: str, value: npt.NDArray[np.generic]) -> str:
        if name not in self.constants:
            self.constants[name] = np.asarray(value)
            self.model.graph.initializer.append(numpy_helper.from_array(self.constants[name], name))
        return name


def _attribute(node: NodeProto, name: str) -> int:
    return next((attribute.i for attribute in node.attribute if attribute.name == name), 0)
