"""Collecting the ranges of a network's tensors on calibration frames."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, get_args

import numpy as np
import numpy.typing as npt
import onnx

from edgefas.calibration.histogram import Histogram, clip
from edgefas.calibration.recipe import QuantizableOp
from edgefas.calibration.scale_table import Method, ScaleTable
from edgefas.engines.lowering.graph import source_sha256
from edgefas.errors import UsageError, require

F32 = npt.NDArray[np.float32]
RANGED_OPS = (*get_args(QuantizableOp), "Relu", "Clip")
"""Every tensor an INT8 node of any recipe may touch is measured: one table serves all recipes and engines."""


def collect_ranges(onnx_path: Path, batches: Iterable[Mapping[str, F32]], method: Method = "minmax") -> ScaleTable:
    """Run the float network on calibration frames and note how far its tensors reach.

    Args:
        onnx_path: the file of `edgefas export`.
        batches: inputs by name, (N, C, H, W) float32; a batch is held in memory with all its activations.
        method: minmax keeps every value; percentile keeps 99.999 %; entropy minimises the information lost, mse the
            squared error of rounding and clipping together.

    Raises:
        UsageError: no frames, or a tensor that is NaN or infinite on one.
        MissingExtra: onnxruntime is not installed.
    """
    ort = require("onnxruntime", "export")
    source = onnx.load(onnx_path)
    session = _session(ort, source)
    histograms: dict[str, Histogram] = {
        output.name: Histogram() for output in session.get_outputs() if output.type == "tensor(float)"
    }
    frames = 0
    for batch in batches:
        for name, values in zip(histograms, session.run(list(histograms), dict(batch)), strict=True):
            if not np.isfinite(values).all():
                raise UsageError(
                    f"tensor {name!r} is NaN or infinite on calibration frames {frames} to "
                    f"{frames + len(values) - 1}; the float network fails there: mend it, or leave these frames out"
                )
            histograms[name].add(values)
        frames += len(next(iter(batch.values())))
    if frames == 0:
        raise UsageError("the calibration set is empty; at least 1 frame, better 100 or more")
    return ScaleTable(
        source_sha256=source_sha256(source),
        method=method,
        frames=frames,
        absmax={name: clip(histogram, method) for name, histogram in histograms.items()},
        minimum={name: histogram.minimum for name, histogram in histograms.items()},
        maximum={name: histogram.maximum for name, histogram in histograms.items()},
    )


def _session(ort: Any, source: onnx.ModelProto) -> Any:
    """The network as written, with every tensor that may be quantised as an output."""
    model = onnx.ModelProto()
    model.CopyFrom(source)
    graph = model.graph
    constant = {tensor.name for tensor in graph.initializer}
    ranged = [node for node in graph.node if node.op_type in RANGED_OPS]
    names = dict.fromkeys(name for node in ranged for name in [*node.input, *node.output])
    del graph.output[:]
    # without a type: ONNX Runtime infers it, and tensors of integers (shapes) are left out by it
    graph.output.extend(onnx.ValueInfoProto(name=name) for name in names if name and name not in constant)
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    return ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
