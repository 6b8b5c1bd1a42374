"""Small ONNX networks built by hand: no torch, no exporter."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edgefas.contracts import BoxCrop, DepthInput, InputSpec, IRInput

IR_SPEC = InputSpec(crop=BoxCrop(scale=1.2), ir=IRInput(height_px=16, width_px=16))
TWO_SPEC = InputSpec(
    crop=BoxCrop(scale=1.2), ir=IRInput(height_px=16, width_px=16), depth=DepthInput(height_px=16, width_px=16)
)


def small_net(spec: InputSpec | None = IR_SPEC) -> onnx.ModelProto:
    """Conv-ReLU, depthwise Conv-Clip, Conv, residual Add, MaxPool, Conv, GlobalAveragePool, Gemm -> score (N,)."""
    rng = np.random.default_rng(0)
    weights: dict[str, np.ndarray] = {
        "stem.weight": rng.normal(0, 0.5, (8, 1, 3, 3)),
        "stem.bias": rng.normal(0, 0.2, 8),
        "deep.weight": rng.normal(0, 0.4, (8, 1, 3, 3)),
        "deep.bias": rng.normal(0, 0.2, 8),
        "mix.weight": rng.normal(0, 0.3, (8, 8, 1, 1)),
        "last.weight": rng.normal(0, 0.3, (4, 8, 1, 1)),
        "head.weight": rng.normal(0, 1, (1, 4)),
        "head.bias": rng.normal(0, 1, 1),
    }
    constants = [numpy_helper.from_array(value.astype(np.float32), name) for name, value in weights.items()]
    constants += [
        numpy_helper.from_array(np.array(0, np.float32), "zero"),
        numpy_helper.from_array(np.array(6, np.float32), "six"),
        numpy_helper.from_array(np.array([-1]), "flat"),
    ]
    node, pads = helper.make_node, [1, 1, 1, 1]
    nodes = [
        node("Conv", ["ir", "stem.weight", "stem.bias"], ["stem"], pads=pads),
        node("Relu", ["stem"], ["stem_relu"]),
        node("Conv", ["stem_relu", "deep.weight", "deep.bias"], ["deep"], pads=pads, group=8),
        node("Clip", ["deep", "zero", "six"], ["deep_clip"]),
        node("Conv", ["deep_clip", "mix.weight"], ["mix"]),
        node("Add", ["stem_relu", "mix"], ["sum"]),
        node("MaxPool", ["sum"], ["pooled"], kernel_shape=[2, 2], strides=[2, 2]),
        node("Conv", ["pooled", "last.weight"], ["last"]),
        node("GlobalAveragePool", ["last"], ["mean"]),
        node("Flatten", ["mean"], ["features"]),
        node("Gemm", ["features", "head.weight", "head.bias"], ["logit"], transB=1),
        node("Reshape", ["logit", "flat"], ["score"]),
    ]
    return finished(nodes, constants, {"ir": ("N", 1, 16, 16)}, {"score": ("N",)}, spec)


def deform_net(
    stride: int, groups: int, dilation: int, *, bias: bool, mask: bool, size: tuple[int, int]
) -> onnx.ModelProto:
    """One DeformConv (opset 22) of 8 -> 8 channels; inputs x, offset and mask."""
    rng = np.random.default_rng(1)
    weight = rng.normal(size=(8, 8 // groups, 3, 3)).astype(np.float32)
    ho, wo = ((side - 1) // stride + 1 for side in size)
    constants = [numpy_helper.from_array(weight, "weight")]
    if bias:
        constants.append(numpy_helper.from_array(rng.normal(size=8).astype(np.float32), "bias"))
    names = ["x", "weight", "offset", "bias" if bias else "", "mask" if mask else ""]
    node = helper.make_node(
        "DeformConv",
        names,
        ["y"],
        "deform",
        kernel_shape=[3, 3],
        pads=[dilation] * 4,
        strides=[stride] * 2,
        dilations=[dilation] * 2,
        group=groups,
    )
    inputs = {"x": ("N", 8, *size), "offset": ("N", 18, ho, wo)} | ({"mask": ("N", 9, ho, wo)} if mask else {})
    return finished([node], constants, inputs, {"y": ("N", 8, ho, wo)}, None)


def finished(
    nodes: list[onnx.NodeProto],
    constants: list[onnx.TensorProto],
    inputs: dict[str, tuple[int | str, ...]],
    outputs: dict[str, tuple[int | str, ...]],
    spec: InputSpec | None,
    kind: int = TensorProto.FLOAT,
) -> onnx.ModelProto:
    values = [[helper.make_tensor_value_info(n, kind, s) for n, s in group.items()] for group in (inputs, outputs)]
    graph = helper.make_graph(nodes, "small", *values, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 22)], ir_version=10)
    if spec is not None:
        helper.set_model_props(model, {"edgefas.input_spec": spec.to_json(), "edgefas.model": "small"})
    onnx.checker.check_model(model)
    return model


def saved(model: onnx.ModelProto, path: Path) -> Path:
    path.write_bytes(model.SerializeToString())
    return path


def noise(batch: int, seed: int) -> dict[str, np.ndarray]:
    """Inputs of `small_net`."""
    return {"ir": np.random.default_rng(seed).standard_normal((batch, 1, 16, 16), np.float32)}
