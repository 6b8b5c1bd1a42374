"""OpenVINO beside ONNX Runtime: the file it can read, its calls, and whether its scores are right.

python -m edgefas.benchmarks.openvino_form NETWORK... -o FILE.json   # the scores alone, no times
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from edgefas.benchmarks.subjects import SEED
from edgefas.calibration.scale_table import ScaleTable
from edgefas.cli.guard import run_script
from edgefas.engines.runtime import load_engine
from edgefas.environment import environment
from edgefas.errors import CheckFailed, EdgefasError, require
from edgefas.files import write_atomically

PRECISIONS = ("fp32", "int8")
ALLOWED_SHARE = {"fp32": 1e-3, "int8": 0.1}
"""Largest difference, as a share of the range of the scores of `FRAMES` inputs. Chosen before it was measured: float
sums in another order differ by 1e-5 of it; INT8 that rounds elsewhere by some steps; saturated products by all."""
FRAMES = 16


@dataclass(frozen=True)
class ScoreCheck:
    """OpenVINO against ONNX Runtime running the same file as written, without optimisations, on the same noise."""

    frames: int
    max_abs_difference: float
    score_range: float
    """Largest less smallest score of ONNX Runtime."""
    fused_difference: float
    """Of ONNX Runtime's own optimised run from the one as written: what rounding elsewhere does to this network."""
    allowed: float
    """`ALLOWED_SHARE` of the range, or twice `fused_difference`: untrained INT8 networks magnify rounding."""


def openvino_files(source: Path, scales: ScaleTable, work: Path) -> list[tuple[str, Path]]:
    """(precision, file): TensorRT's stock copies with DeformConv as GridSample; it has neither that nor our nodes."""
    import onnx

    from edgefas.calibration.recipe import load_recipe
    from edgefas.engines.lowering.grid_sample import deform_conv_to_grid_sample
    from edgefas.engines.lowering.tensorrt import lower_tensorrt
    from edgefas.engines.runtime.metadata import MODEL_NAME_KEY

    model = onnx.load(source)
    name = next(entry.value for entry in model.metadata_props if entry.key == MODEL_NAME_KEY)
    made = []
    for precision in PRECISIONS:
        lowered = lower_tensorrt(model, precision, "stock", scales, load_recipe(name))  # type: ignore[arg-type]
        file = work / f"{source.stem}-openvino-{precision}.onnx"
        file.write_bytes(deform_conv_to_grid_sample(lowered).SerializeToString())
        made.append((precision, file))
    return made


def openvino_call(file: Path, threads: int) -> Callable[[], object]:
    """One call on one face of noise."""
    request, shapes = _opened(file, threads)
    inputs = _noise(shapes, 1)
    return lambda: request.infer(inputs)


def check_scores(file: Path, precision: str, threads: int = 1) -> ScoreCheck:
    """Score the same inputs with both.

    Raises:
        CheckFailed: a score differs by more than `ScoreCheck.allowed`, or is not finite.
        EngineError, MissingExtra: one of the two cannot run it.
    """
    request, shapes = _opened(file, threads)
    inputs = _noise(shapes, FRAMES)
    with load_engine(file, "onnxruntime", threads=threads, reference=True) as engine:
        expected = engine.score(inputs).astype(np.float64)
    with load_engine(file, "onnxruntime", threads=threads) as engine:
        fused = float(np.abs(engine.score(inputs) - expected).max())
    got = np.concatenate(
        [
            np.reshape(request.infer({name: array[row : row + 1] for name, array in inputs.items()})["score"], 1)
            for row in range(FRAMES)
        ]
    )
    spread, difference = float(np.ptp(expected)), float(np.abs(got - expected).max())
    allowed = max(ALLOWED_SHARE[precision] * spread, 2 * fused)
    if not difference <= allowed or not spread > 0:
        raise CheckFailed(
            f"OpenVINO's scores differ from ONNX Runtime's on the same file by {difference:.3g}; allowed are "
            f"{allowed:.3g} (their range is {spread:.3g}, ONNX Runtime's own optimised run differs by {fused:.3g})"
        )
    return ScoreCheck(FRAMES, difference, spread, fused, allowed)


def _opened(file: Path, threads: int) -> tuple[Any, dict[str, list[int]]]:
    """(request, shapes of its inputs at batch 1)."""
    openvino = require("openvino", "cpu")
    core = openvino.Core()
    options = {"INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1, "PERFORMANCE_HINT": "LATENCY"}
    # CPUs with bfloat16 would otherwise compute float layers in it: another precision than the row says
    options["INFERENCE_PRECISION_HINT"] = "f32"
    model = core.read_model(str(file))
    shapes = {port.any_name: [1, *(int(d.get_length()) for d in list(port.partial_shape)[1:])] for port in model.inputs}
    model.reshape(shapes)
    return core.compile_model(model, "CPU", options).create_infer_request(), shapes


def _noise(shapes: dict[str, list[int]], count: int) -> dict[str, np.ndarray[tuple[int, ...], np.dtype[np.float32]]]:
    rng = np.random.default_rng(SEED)
    return {name: rng.standard_normal((count, *shape[1:]), np.float32) for name, shape in shapes.items()}


def main(
    models: Annotated[list[str], typer.Argument(help="Networks by name (untrained), or checkpoints.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="The JSON to write.")],
) -> None:
    """Compare OpenVINO's scores with ONNX Runtime's, both precisions of each network. Ends with 3 if one is wrong."""
    from edgefas.benchmarks.forms import export_source, noise_set
    from edgefas.calibration.frames import batches, load_frames
    from edgefas.calibration.ranges import collect_ranges

    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="edgefas-") as scratch:
        for name in models:
            source = Path(scratch) / f"{Path(name).stem}.onnx"
            spec = export_source(name, source)
            frames = load_frames(noise_set(spec, source.with_suffix(".npz")), spec)
            for precision, file in openvino_files(source, collect_ranges(source, batches(frames)), Path(scratch)):
                row: dict[str, Any] = {"model": Path(name).stem, "precision": precision}
                try:
                    row |= asdict(check_scores(file, precision))
                except EdgefasError as error:
                    row["error"] = str(error)
                rows.append(row)
                sys.stderr.write(f"{row}\n")
            _write(out, rows)  # after each network: the next takes minutes
    if any("error" in row for row in rows):
        sys.exit(3)


def _write(out: Path, rows: list[dict[str, Any]]) -> None:
    document = {
        "command": f"python -m edgefas.benchmarks.openvino_form {' '.join(sys.argv[1:])}",
        **environment(),
        "what": "OpenVINO against ONNX Runtime on the same file, untrained weights unless a checkpoint is named, noise",
        "largest_share_of_range": {
            precision: max(
                (
                    r["max_abs_difference"] / r["score_range"]
                    for r in rows
                    if r["precision"] == precision and "error" not in r
                ),
                default=None,
            )
            for precision in PRECISIONS
        },
        "results": rows,
    }
    write_atomically(out, json.dumps(document, indent=1, allow_nan=False).encode() + b"\n")


if __name__ == "__main__":
    run_script(main)
