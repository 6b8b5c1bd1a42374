"""Both forms of an INT8 network for ONNX Runtime in one folder, with one file of weights between them."""

from __future__ import annotations

from itertools import count, product
from pathlib import Path
from string import ascii_lowercase

import onnx
from onnx import TensorProto

from edgefas.engines.lowering.grid_sample import deform_conv_to_grid_sample
from edgefas.engines.runtime.onnxruntime_engine import GRID_SAMPLE_FILE, MODEL_FILE, WEIGHTS_FILE
from edgefas.files import write_atomically

EXTERNAL_FROM_BYTES = 256
"""Below, naming the place takes as much room as the constant."""
ALIGNMENT = 16


def save_ort_files(model: onnx.ModelProto, folder: Path) -> None:
    """Write model.onnx, model.gridsample.onnx and weights.bin into an existing folder.

    Constants of `EXTERNAL_FROM_BYTES` and more lie in weights.bin, at the same offsets for both files. Tensors get
    short names and nodes none: in a small INT8 network the names would weigh a fifth of the weights.

    Raises:
        LoweringError: a DeformConv has no GridSample form.
        FileWriteError: the folder cannot be written.
    """
    weights = _WeightsFile()
    graphs = {
        MODEL_FILE: weights.take_from(model),
        GRID_SAMPLE_FILE: weights.take_from(deform_conv_to_grid_sample(model)),
    }
    write_atomically(folder / WEIGHTS_FILE, bytes(weights.data))
    for name, graph in graphs.items():
        write_atomically(folder / name, graph.SerializeToString())


def _with_short_names(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy whose inner tensors are called a, b, c ...; inputs and outputs keep their names."""
    short = onnx.ModelProto()
    short.CopyFrom(model)
    graph = short.graph
    names = {value.name: value.name for value in [*graph.input, *graph.output]} | {"": ""}
    tokens = ("".join(letters) for size in count(1) for letters in product(ascii_lowercase, repeat=size))
    unused = (token for token in tokens if token not in names)

    def renamed(name: str) -> str:
        if name not in names:
            names[name] = next(unused)
        return names[name]

    for tensor in graph.initializer:
        tensor.name = renamed(tensor.name)
    for node in graph.node:
        node.ClearField("name")
        node.input[:] = [renamed(name) for name in node.input]
        node.output[:] = [renamed(name) for name in node.output]
    del graph.value_info[:]
    return short


class _WeightsFile:
    def __init__(self) -> None:
        self.data = bytearray()
        self._offsets: dict[bytes, int] = {}

    def take_from(self, model: onnx.ModelProto) -> onnx.ModelProto:
        """A copy of the model with its large constants moved into this file; equal bytes are stored once."""
        moved = _with_short_names(model)
        for tensor in moved.graph.initializer:
            raw = onnx.numpy_helper.to_array(tensor).tobytes()
            if len(raw) < EXTERNAL_FROM_BYTES:
                continue
            if raw not in self._offsets:
                self.data += bytes(-len(self.data) % ALIGNMENT)
                self._offsets[raw] = len(self.data)
                self.data += raw
            _make_external(tensor, self._offsets[raw], len(raw))
        return moved


def _make_external(tensor: TensorProto, offset: int, length: int) -> None:
    dims, data_type, name = list(tensor.dims), tensor.data_type, tensor.name
    tensor.Clear()
    tensor.dims.extend(dims)
    tensor.data_type, tensor.name, tensor.data_location = data_type, name, TensorProto.EXTERNAL
    for key, value in (("location", WEIGHTS_FILE), ("offset", str(offset)), ("length", str(length))):
        tensor.external_data.add(key=key, value=value)
