"""The names of TensorRT's copies of a network; needs neither onnx nor TensorRT, so a board may import it."""

from __future__ import annotations

from typing import Literal, get_args

Precision = Literal["fp32", "fp16", "int8", "int8+fp16"]
"""Of weights and activations. int8: Q/DQ on a float32 network; int8+fp16: Q/DQ on a half one."""
Plugins = Literal["own", "stock"]
"""own: BTE and DCNv2 are nodes of edgefas's plugins; stock: TensorRT's own layers, nothing to compile."""
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
PLUGINS: tuple[Plugins, ...] = get_args(Plugins)
DEFAULT_PRECISIONS: tuple[Precision, ...] = ("fp16", "int8+fp16")
"""What `edgefas quantize` writes unless told otherwise; which of the two is faster is for the board to find out."""
TENSORRT_FOLDER = "tensorrt"
"""Sub-folder of what `edgefas quantize` writes."""


def file_name(precision: Precision, plugins: Plugins) -> str:
    """Where `edgefas quantize` puts a copy, within `TENSORRT_FOLDER`."""
    return f"{precision.replace('+', '-')}-{plugins}.onnx"
