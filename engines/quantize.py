"""From a source ONNX and calibration frames to the folder of engine files: INT8 for ONNX Runtime, TensorRT's copies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx

from edgefas.calibration.compare import ScoreDifference, compare_scores
from edgefas.calibration.frames import batches, load_frames
from edgefas.calibration.ranges import collect_ranges
from edgefas.calibration.recipe import Recipe, load_recipe
from edgefas.engines.lowering.files import save_ort_files
from edgefas.engines.lowering.graph import LoweringError, quantized_outputs
from edgefas.engines.lowering.ort import lower_ort
from edgefas.engines.lowering.tensorrt import lower_tensorrt
from edgefas.engines.precision import (
    DEFAULT_PRECISIONS,
    PLUGINS,
    TENSORRT_FOLDER,
    Plugins,
    Precision,
    file_name,
)
from edgefas.engines.runtime import Engine, EngineError, load_engine
from edgefas.engines.runtime.metadata import MODEL_NAME_KEY
from edgefas.errors import UsageError
from edgefas.files import folder_written_atomically, write_atomically

F32 = npt.NDArray[np.float32]
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
    """Of the scale table and ONNX Runtime's files."""
    tensorrt_bytes: dict[str, int]
    """TensorRT's copies: file name -> size."""
    difference: ScoreDifference
    """INT8 against float, on the calibration set, as this ONNX Runtime runs both: fused, on this CPU."""
    reference: dict[str, ScoreDifference]
    """Precision -> TensorRT's copy against float on the same frames, run as written: what to expect of a board."""


def quantize(
    source_path: Path,
    frames_path: Path,
    recipe: str | None,
    folder: Path,
    precisions: Sequence[Precision] = DEFAULT_PRECISIONS,
    plugins: Sequence[Plugins] = PLUGINS,
    *,
    asymmetric: bool = False,
) -> QuantizeReport:
    """Calibrate, lower, write `folder` and compare the scores.

    The folder holds scales.json, the files of `save_ort_files`, and TensorRT's copies in a sub-folder.

    Args:
        source_path: the `.onnx` of `edgefas export`.
        frames_path: the calibration set, see `load_frames`.
        recipe: name or path; None takes the shipped recipe of the network's registered name.
        folder: replaced as a whole if it is an earlier result.
        precisions, plugins: TensorRT's copies, one for each pair; none of one of them: no copies.
        asymmetric: ONNX Runtime's files in the form for CPUs alone, see `lower_ort`.

    Raises:
        EngineError: the source is not a network of edgefas.
        CalibrationSetError: the frames are not what it takes.
        UsageError: no recipe, or `folder` holds something else.
        LoweringError: the network has no such copy: a weight beyond half, scores that overflow.
    """
    if folder.exists() and not (folder.is_dir() and (not any(folder.iterdir()) or (folder / SCALES_FILE).is_file())):
        raise UsageError(f"{folder} exists and is no earlier result of `edgefas quantize`; choose another -o")
    source_engine = load_engine(source_path, "onnxruntime")
    source = _load_source(source_path)
    chosen = load_recipe(recipe or _model_name(source_path, source))
    frames = load_frames(frames_path, source_engine.spec)
    scales = collect_ranges(source_path, batches(frames), chosen.method)
    lowered = lower_ort(source, scales, chosen, asymmetric=asymmetric)
    copies = {
        (precision, kind): lower_tensorrt(source, precision, kind, scales, chosen).SerializeToString()
        for precision in dict.fromkeys(precisions)
        for kind in dict.fromkeys(plugins)
    }
    expected = _scores(source_engine, frames)
    with folder_written_atomically(folder) as filling:
        write_atomically(filling / SCALES_FILE, scales.to_json(indent=1).encode())
        save_ort_files(lowered, filling)
        size = sum(file.stat().st_size for file in filling.iterdir())
        if copies:
            (filling / TENSORRT_FOLDER).mkdir()
        for (precision, kind), data in copies.items():
            write_atomically(filling / TENSORRT_FOLDER / file_name(precision, kind), data)
        difference = compare_scores(expected, _scores(load_engine(filling), frames))
        reference: dict[str, ScoreDifference] = {}
        for precision, kind in copies:
            if precision not in reference:  # both kinds of plugins are defined to compute the same
                path = filling / TENSORRT_FOLDER / file_name(precision, kind)
                scores = _scores(load_engine(path, reference=True), frames)
                if not np.isfinite(scores).all():
                    raise LoweringError(
                        f"TensorRT's {precision} copy gives NaN or infinity on the calibration set: a tensor is beyond "
                        "half; leave that precision out with --precision int8 or fp32"
                    )
                reference[precision] = compare_scores(expected, scores)
    sizes = {file_name(*copy): len(data) for copy, data in copies.items()}
    return QuantizeReport(folder, *_split(source, chosen), size, sizes, difference, reference)


def _scores(engine: Engine, frames: dict[str, F32]) -> F32:
    return np.concatenate([engine.score(batch) for batch in batches(frames)])


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
