"""From a source ONNX and calibration frames to the folder of INT8 files for ONNX Runtime."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx

from edgefas.calibration.compare import ScoreDifference, compare_scores
from edgefas.calibration.frames import batches, load_frames
from edgefas.calibration.ranges import collect_ranges
from edgefas.calibration.recipe import Recipe, load_recipe
from edgefas.engines.lowering.files import save_ort_files
from edgefas.engines.lowering.graph import quantized_outputs
from edgefas.engines.lowering.ort import lower_ort
from edgefas.engines.runtime import EngineError, load_engine
from edgefas.engines.runtime.metadata import MODEL_NAME_KEY
from edgefas.errors import UsageError
from edgefas.files import folder_written_atomically, write_atomically

SCALES_FILE = "scales.json"
LAYER_OPS = frozenset({"Conv", "Gemm", "MatMul", "DeformConv", "EdgefasBTE"})


@dataclass(frozen=True)
class QuantizeReport:
    """What became INT8, what did not, and what it did to the scores."""

    folder: Path
    int8_nodes: dict[str, int]
    """Operator -> how many became INT8."""
    float_layers: tuple[str, ...]
    """Layers left float, by the name of their weight."""
    bytes: int
    """Of all files in the folder."""
    difference: ScoreDifference
    """INT8 against float, on the calibration set, as this ONNX Runtime runs both."""


def quantize(source_path: Path, frames_path: Path, recipe: str | None, folder: Path) -> QuantizeReport:
    """Calibrate, lower, write `folder` (scales.json and the files of `save_ort_files`), and compare the scores.

    Args:
        source_path: the `.onnx` of `edgefas export`.
        frames_path: the calibration set, see `load_frames`.
        recipe: name or path; None takes the shipped recipe of the network's registered name.
        folder: replaced as a whole if it is an earlier result.

    Raises:
        EngineError: the source is not a network of edgefas.
        CalibrationSetError: the frames are not what it takes.
        UsageError: no recipe, or `folder` holds something else.
    """
    if folder.exists() and not (folder.is_dir() and (not any(folder.iterdir()) or (folder / SCALES_FILE).is_file())):
        raise UsageError(f"{folder} exists and is no earlier result of `edgefas quantize`; choose another -o")
    source_engine = load_engine(source_path, "onnxruntime")
    source = _load_source(source_path)
    chosen = load_recipe(recipe or _model_name(source_path, source))
    frames = load_frames(frames_path, source_engine.spec)
    scales = collect_ranges(source_path, batches(frames), chosen.method)
    lowered = lower_ort(source, scales, chosen)
    with folder_written_atomically(folder) as filling:
        write_atomically(filling / SCALES_FILE, scales.to_json(indent=1).encode())
        save_ort_files(lowered, filling)
        engine = load_engine(filling)
        pairs = [(source_engine.score(batch), engine.score(batch)) for batch in batches(frames)]
        size = sum(file.stat().st_size for file in filling.iterdir())
    expected, got = (np.concatenate(scores) for scores in zip(*pairs, strict=True))
    return QuantizeReport(folder, *_split(source, chosen), size, compare_scores(expected, got))


def _load_source(path: Path) -> onnx.ModelProto:
    model = onnx.load(path)
    if any(node.op_type == "QuantizeLinear" for node in model.graph.node):
        raise EngineError(f"{path} is quantised already; give the float file of `edgefas export`")
    return model


def _model_name(path: Path, model: onnx.ModelProto) -> str:
    name = next((entry.value for entry in model.metadata_props if entry.key == MODEL_NAME_KEY), "")
    if not name:
        raise UsageError(f"{path} does not say which model it is; name a recipe with --recipe")
    return name


def _split(source: onnx.ModelProto, recipe: Recipe) -> tuple[dict[str, int], tuple[str, ...]]:
    """(INT8 nodes by operator, weights of the layers left float)."""
    chosen = quantized_outputs(source, recipe)
    constants = {tensor.name for tensor in source.graph.initializer}
    int8 = Counter(node.op_type for node in source.graph.node if node.output[0] in chosen)
    layers = [
        next((name for name in node.input if name in constants), node.output[0])
        for node in source.graph.node
        if node.op_type in LAYER_OPS and node.output[0] not in chosen
    ]
    return dict(int8), tuple(layers)
