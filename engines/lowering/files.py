"""Both forms of an INT8 network for ONNX Runtime in one folder, with one file of weights between them."""

from __future__ import annotations

from pathlib import Path

import onnx
from onnx import TensorProto

from edgefas.engines.lowering.grid_sample import deform_conv_to_grid_sample
from edgefas.engines.runtime.onnxruntime_engine import GRID_SAMPLE_FILE, MODEL_FILE
from edgefas.files import write_atomically

WEIGHTS_FILE = "weights.bin"
EXTERNAL_FROM_BYTES = 1024
ALIGNMENT = 64


def save_ort_files(model: onnx.ModelProto, folder: Path) -> None:
    """Write model.onnx, model.gridsample.onnx and weights.bin into an existing folder.

    Constants of 1 KiB and more lie in weights.bin, at the same offsets for both files.

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


class _WeightsFile:
    def __init__(self) -> None:
        self.data = bytearray()
        self._offsets: dict[bytes, int] = {}

    def take_from(self, model: onnx.ModelProto) -> onnx.ModelProto:
        """A copy of the model with its large constants moved into this file; equal bytes are stored once."""
        moved = onnx.ModelProto()
        moved.CopyFrom(model)
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
