"""DCNv2 for ONNX Runtime < 1.25, which has no DeformConv kernel: GridSample, mask, and a 1x1 grouped convolution.

Exact up to rounding: both interpolate bilinearly and read zero outside the map. Weights and biases stay the very
tensors they were, so both forms of a network share one file of weights.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import onnx
from onnx import NodeProto, helper, numpy_helper

from edgefas.engines.lowering.graph import LoweringError, attributes_of, check_result, shapes_of

__all__ = ["LoweringError", "deform_conv_to_grid_sample"]


def deform_conv_to_grid_sample(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same network without DeformConv; the input model is not changed.

    Raises:
        LoweringError: a DeformConv has several offset groups, or its shapes are not known.
    """
    lowered = onnx.ModelProto()
    lowered.CopyFrom(onnx.shape_inference.infer_shapes(model))
    graph = lowered.graph
    shapes = shapes_of(graph)
    # opset 20 renamed the mode; ONNX Runtime takes either name, OpenVINO the right one only
    mode = "linear" if max(o.version for o in model.opset_import if o.domain in ("", "ai.onnx")) >= 20 else "bilinear"
    nodes: list[NodeProto] = []
    for node in graph.node:
        nodes.extend(_decomposed(graph, node, shapes, mode) if node.op_type == "DeformConv" else [node])
    del graph.node[:]
    graph.node.extend(nodes)
    del graph.value_info[:]
    check_result(lowered)
    return lowered


def _decomposed(graph: onnx.GraphProto, node: NodeProto, shapes: dict[str, list[int]], mode: str) -> list[NodeProto]:
    x, weight, offset, bias, mask = (*node.input, "", "")[:5]
    y = node.output[0]
    attributes = attributes_of(node)
    known = [*shapes.get(x, [])[2:], *shapes.get(offset, [])[2:], *shapes.get(weight, [])]
    if attributes.get("offset_group", 1) != 1 or len(known) != 8 or 0 in known:
        raise LoweringError(f"DeformConv {node.name!r}: needs offset_group 1 and known shapes, has {known}")
    h, w, ho, wo, m, per_group, kh, kw = known
    taps = kh * kw

    def constant(name: str, value: npt.NDArray[np.generic]) -> str:
        graph.initializer.append(numpy_helper.from_array(value, f"{y}_{name}"))
        return f"{y}_{name}"

    def shape(name: str, *dims: int) -> str:
        return constant(name, np.array(dims, np.int64))

    rows, columns = _regular_taps(attributes, kh, kw, ho, wo)
    size = np.array([w, h], np.float32)
    # GridSample (align_corners=0) takes pixel p of a side of s pixels as (2p + 1) / s - 1.
    base_x = ((2 * columns + 1) / w - 1).astype(np.float32)  # (kw, wo)
    base_y = ((2 * rows + 1) / h - 1).astype(np.float32)  # (kh, ho)
    # (1, kh, kw, ho, wo, 2) as the sum of two small constants: the engine adds them once, at load.
    along_x = np.stack([base_x, np.zeros_like(base_x)], -1).reshape(1, 1, kw, 1, wo, 2)
    along_y = np.stack([np.zeros_like(base_y), base_y], -1).reshape(1, kh, 1, ho, 1, 2)
    make = helper.make_node
    nodes = [
        make("Reshape", [offset, shape("split", -1, kh, kw, 2, ho, wo)], [f"{y}_dy_dx"]),
        make("Transpose", [f"{y}_dy_dx"], [f"{y}_last"], perm=[0, 1, 2, 4, 5, 3]),
        make("Gather", [f"{y}_last", constant("swap", np.array([1, 0]))], [f"{y}_dx_dy"], axis=5),
        make("Mul", [f"{y}_dx_dy", constant("per_pixel", 2 / size)], [f"{y}_shift"]),
        make("Add", [constant("along_x", along_x), constant("along_y", along_y)], [f"{y}_regular"]),
        make("Add", [f"{y}_shift", f"{y}_regular"], [f"{y}_grid_of_taps"]),
        make("Reshape", [f"{y}_grid_of_taps", shape("grid_shape", -1, taps * ho, wo, 2)], [f"{y}_grid"]),
        make("GridSample", [x, f"{y}_grid"], [f"{y}_samples"], mode=mode, padding_mode="zeros", align_corners=0),
    ]
    samples = f"{y}_samples"
    if mask:
        nodes.append(make("Reshape", [mask, shape("mask_shape", -1, 1, taps * ho, wo)], [f"{y}_mask"]))
        nodes.append(make("Mul", [samples, f"{y}_mask"], [f"{y}_masked"]))
        samples = f"{y}_masked"
    group = attributes.get("group", 1)
    nodes += [
        make("Reshape", [samples, shape("columns_shape", -1, per_group * group * taps, ho, wo)], [f"{y}_columns"]),
        make("Reshape", [weight, shape("pointwise", m, per_group * taps, 1, 1)], [f"{y}_weight"]),
        make("Conv", [f"{y}_columns", f"{y}_weight", *([bias] if bias else [])], [y], node.name, group=group),
    ]
    return nodes


def _regular_taps(
    attributes: dict[str, list[int]], kh: int, kw: int, ho: int, wo: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Input rows (kh, ho) and columns (kw, wo) an ordinary convolution reads."""
    strides, dilations = attributes.get("strides", [1, 1]), attributes.get("dilations", [1, 1])
    pads = attributes.get("pads", [0, 0, 0, 0])
    rows, columns = (
        np.arange(kernel)[:, None] * dilations[i] + np.arange(outputs) * strides[i] - pads[i]
        for i, (kernel, outputs) in enumerate(((kh, ho), (kw, wo)))
    )
    return rows.astype(np.float64), columns.astype(np.float64)
