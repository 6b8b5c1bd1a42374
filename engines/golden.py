"""Golden vectors: a few inputs and the log-odds they must give, which decide whether a built engine is accepted.

`golden.npz` holds `rgb`, `ir`, `depth` (those the network takes; float16 or float32, (N, C, H, W)) and `score` (N,):
the scores of the float network or, in a bundle, of the engine that was shipped. Where a precision has a reference of
its own (TensorRT's placement of Q/DQ run in ONNX Runtime), `score-int8` or `score-int8-fp16` is taken instead.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgefas.contracts import InputSpec
from edgefas.engines.precision import Precision
from edgefas.engines.runtime import Engine, EngineError
from edgefas.engines.runtime.engine import F32
from edgefas.engines.runtime.plan import Verified
from edgefas.errors import CheckFailed
from edgefas.files import write_atomically

GOLDEN_FILE = "golden.npz"
MAX_FRAMES = 64
MADE_FRAMES = 8
MAX_BYTES = 256 * 2**20
TOLERANCE: Mapping[Precision, float] = {"fp32": 0.01, "fp16": 0.1, "int8": 0.5, "int8+fp16": 0.5}
"""Log-odds. Chosen before any board was measured: other summation orders move a float score by 1e-3, half precision by
some 1e-2, and an INT8 network that rounds elsewhere by whole steps."""


@dataclass(frozen=True)
class Golden:
    """Inputs by name, and scores by the key of the file."""

    inputs: dict[str, F32]
    scores: dict[str, F32]

    def expected(self, precision: Precision) -> F32:
        """(N,) log-odds an engine of this precision must give."""
        return self.scores.get(f"score-{precision.replace('+', '-')}", self.scores["score"])


def read_golden(path: Path, spec: InputSpec) -> Golden:
    """Read and check a file.

    Raises:
        EngineError: missing, damaged, too large, or not for inputs of `spec`.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise EngineError(
            f"no golden vectors: {path}: {error.strerror}; an engine is accepted only if it gives known scores, and "
            "edgefas quantize and edgefas bundle write them"
        ) from None
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
            if size > MAX_BYTES:
                raise EngineError(f"{path} unpacks to {size} bytes, at most {MAX_BYTES} are allowed")
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            found = {name: np.asarray(arrays[name]) for name in arrays.files}
    # zipfile: NotImplementedError of an unknown compression, RuntimeError of an encrypted member
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        raise EngineError(f"{path} is not an .npz file or is damaged: {str(error)[:200]}") from None
    scores = {name: array for name, array in found.items() if name.split("-")[0] == "score"}
    frames = len(scores["score"]) if "score" in scores and scores["score"].ndim == 1 else 0
    wanted = {m.value: (frames, *spec.shape(m)) for m in spec.modalities}
    shapes = {name: array.shape for name, array in found.items() if name not in scores}
    if shapes != wanted or not 1 <= frames <= MAX_FRAMES or any(s.shape != (frames,) for s in scores.values()):
        raise EngineError(f"{path} holds {shapes}; wanted are {wanted} and score (N,) with N from 1 to {MAX_FRAMES}")
    if not all(array.dtype in (np.float16, np.float32) and np.isfinite(array).all() for array in found.values()):
        raise EngineError(f"{path} must hold finite float16 or float32 numbers alone")
    return Golden(
        {name: found[name].astype(np.float32) for name in wanted},
        {name: score.astype(np.float32) for name, score in scores.items()},
    )


def write_golden(path: Path, inputs: Mapping[str, F32], scores: Mapping[str, F32]) -> None:
    """Write a file `read_golden` reads; inputs are stored as float16, so score what it reads back."""
    buffer = io.BytesIO()
    halves = {name: array.astype(np.float16) for name, array in inputs.items()}
    np.savez_compressed(buffer, allow_pickle=False, **halves, **{n: s.astype(np.float32) for n, s in scores.items()})
    write_atomically(path, buffer.getvalue())


def make_golden(path: Path, frames: Mapping[str, F32], engines: Mapping[str, Engine]) -> None:
    """Choose `MADE_FRAMES` evenly spaced frames and write what each engine gives for them.

    Args:
        frames: by modality, (N, C, H, W), e.g. the calibration set.
        engines: by key of the file: "score", and "score-int8" for a precision with a reference of its own.
    """
    count = len(next(iter(frames.values())))
    rows = np.unique(np.linspace(0, count - 1, min(count, MADE_FRAMES)).round().astype(int))
    inputs = {name: array[rows].astype(np.float16).astype(np.float32) for name, array in frames.items()}
    write_golden(path, inputs, {key: engine.score(inputs) for key, engine in engines.items()})


def check_golden(engine: Engine, golden: Golden, precision: Precision, threshold: float) -> Verified:
    """Score the golden inputs.

    Args:
        threshold: accept at this log-odds and above; no decision may flip.

    Raises:
        CheckFailed: a score is off by more than `TOLERANCE`, not finite, or on the other side of the threshold.
    """
    expected, got = golden.expected(precision), engine.score(golden.inputs)
    difference = np.abs(got.astype(np.float64) - expected)
    tolerance = TOLERANCE[precision]
    worst = int(np.nan_to_num(difference, nan=np.inf).argmax())
    if not difference.max() <= tolerance:
        raise CheckFailed(
            f"golden frame {worst}: log-odds {got[worst]:.4g}, must be {expected[worst]:.4g} within {tolerance} for "
            f"{precision}"
        )
    flipped = np.flatnonzero((expected >= threshold) != (got >= threshold))
    if len(flipped):
        frame = int(flipped[0])
        raise CheckFailed(
            f"golden frame {frame}: log-odds {got[frame]:.4g} instead of {expected[frame]:.4g} flips the decision at "
            f"threshold {threshold:g}"
        )
    return Verified(
        frames=len(expected), max_abs=float(difference.max()), tolerance=tolerance, threshold=float(threshold)
    )
