"""A network with YuNet's input and twelve outputs that finds bright blobs, so that OpenCV's own decoder runs on it."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

STRIDES = (8, 16, 32)
WINDOW_PX = 56
"""A blob is as wide as this in the network's picture (320 px wide); the score is its mean brightness."""
EYES_APART_PX = 30.0


def write_blob_finder(path: Path, nose_off: float = 0.0) -> Path:
    """Write it.

    Args:
        nose_off: how far the nose stands beside the middle of the eyes, over the distance between them.
    """
    half = EYES_APART_PX / 2
    marks = [(-half, 0.0), (half, 0.0), (nose_off * EYES_APART_PX, 18.0), (-10.0, 32.0), (10.0, 32.0)]
    outputs = {8: _outputs(8, 1.0, marks), 16: _outputs(16, 0.0, marks), 32: _outputs(32, 0.0, marks)}
    nodes, weights = [], []
    grey = numpy_helper.from_array(np.full((1, 3, 1, 1), 1 / (3 * 255), np.float32), "grey_w")
    nodes.append(helper.make_node("Conv", ["input", "grey_w"], ["grey"]))
    weights.append(grey)
    for stride in STRIDES:
        kernel = WINDOW_PX if stride == 8 else stride
        pad = (kernel - stride) // 2
        pooled = f"pool_{stride}"
        nodes.append(
            helper.make_node(
                "AveragePool",
                ["grey"],
                [pooled],
                kernel_shape=[kernel, kernel],
                strides=[stride, stride],
                pads=[pad] * 4,
                count_include_pad=1,
            )
        )
        for name, (gain, bias) in outputs[stride].items():
            w, b, shape = f"{name}_{stride}_w", f"{name}_{stride}_b", f"{name}_{stride}_s"
            weights += [
                numpy_helper.from_array(np.array(gain, np.float32).reshape(-1, 1, 1, 1), w),
                numpy_helper.from_array(np.array(bias, np.float32), b),
                numpy_helper.from_array(np.array([1, -1, len(bias)], np.int64), shape),
            ]
            flat = f"{name}_{stride}_f"
            nodes.append(helper.make_node("Conv", [pooled, w, b], [f"{flat}_c"]))
            nodes.append(helper.make_node("Transpose", [f"{flat}_c"], [f"{flat}_t"], perm=[0, 2, 3, 1]))
            nodes.append(helper.make_node("Reshape", [f"{flat}_t", shape], [f"{name}_{stride}"]))
    shapes = {
        f"{kind}_{stride}": [1, (640 // stride) ** 2, width]
        for kind, width in (("cls", 1), ("obj", 1), ("bbox", 4), ("kps", 10))
        for stride in STRIDES
    }
    graph = helper.make_graph(
        nodes,
        "blobs",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, 640, 640])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 12)], ir_version=8)
    path.write_bytes(model.SerializeToString())
    assert onnx.load(path).graph.output[0].name == "cls_8"
    return path


def _outputs(stride: int, gain: float, marks: list[tuple[float, float]]) -> dict[str, tuple[list[float], list[float]]]:
    """Per output the gain on brightness and the bias: only the score depends on the picture."""
    side = math.log(2 * EYES_APART_PX / stride)
    points = [0.5 + value / stride for point in marks for value in point]
    return {
        "cls": ([gain], [0.0]),
        "obj": ([gain], [0.0]),
        "bbox": ([0.0] * 4, [0.5, 0.5, side, side]),
        "kps": ([0.0] * 10, points),
    }
