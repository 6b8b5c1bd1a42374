"""Collecting the ranges of a network's tensors on calibration frames, with ONNX Runtime's calibrators."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import redirect_stdout
from pathlib import Path
from typing import get_args

import numpy as np
import numpy.typing as npt
import onnx

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
        method: minmax keeps every value; percentile keeps 99.999 %; entropy minimises the information lost.

    Raises:
        UsageError: no frames.
        MissingExtra: onnxruntime is not installed.
    """
    require("onnxruntime", "export")
    from onnxruntime.quantization.calibrate import CalibrationMethod, create_calibrator

    kinds = {
        "minmax": CalibrationMethod.MinMax,
        "percentile": CalibrationMethod.Percentile,
        "entropy": CalibrationMethod.Entropy,
    }
    frames = 0
    # the calibrators print their progress; stdout is for results
    with tempfile.TemporaryDirectory() as scratch, redirect_stdout(io.StringIO()):
        calibrator = create_calibrator(
            onnx_path,
            op_types_to_calibrate=list(RANGED_OPS),
            augmented_model_path=str(Path(scratch) / "augmented.onnx"),
            calibrate_method=kinds[method],
            extra_options={"symmetric": True},
        )
        for batch in batches:
            # one call per batch: the calibrator keeps every activation of a call until it returns
            calibrator.collect_data(_Reader(batch))
            frames += len(next(iter(batch.values())))
        if frames == 0:
            raise UsageError("the calibration set is empty; at least 1 frame, better 100 or more")
        ranges = calibrator.compute_data()
    absmax = {name: float(np.abs(tensor.range_value).max()) for name, tensor in ranges.items()}
    return ScaleTable(source_sha256=source_sha256(onnx.load(onnx_path)), method=method, frames=frames, absmax=absmax)


class _Reader:
    """One batch, as ONNX Runtime's calibrators want it."""

    def __init__(self, batch: Mapping[str, F32]) -> None:
        self._batches: Iterator[Mapping[str, F32]] = iter([batch])

    def get_next(self) -> Mapping[str, F32] | None:
        return next(self._batches, None)
