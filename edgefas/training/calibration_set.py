"""Training samples as what an engine takes: the calibration set of INT8 ranges, golden vectors, scores of a split."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgefas.contracts import InputSpec
from edgefas.engines.runtime import Engine
from edgefas.training.simulated import Samples, array_name

F32 = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int64]

CALIBRATION_FRAMES = 256
SCORE_BATCH = 32


def inputs_of(samples: Samples, spec: InputSpec, rows: Rows) -> dict[str, F32]:
    """Some samples as an engine's inputs, (N, C, H, W) float32 each."""
    return {m.value: samples.arrays[array_name(m.value, spec)][rows].astype(np.float32) for m in spec.modalities}


def write_calibration_set(samples: Samples, spec: InputSpec, path: Path) -> None:
    """The `.npz` that `edgefas quantize --calibration` takes: as many frames of every species."""
    kinds = np.unique(samples.species)
    each = CALIBRATION_FRAMES // len(kinds)
    rows = np.concatenate([spread(np.flatnonzero(samples.species == kind), each) for kind in kinds])
    np.savez(path, allow_pickle=False, **inputs_of(samples, spec, rows))


def spread(rows: Rows, count: int) -> Rows:
    """`count` rows at equal distances: consecutive ones are of one episode."""
    return rows[np.linspace(0, len(rows) - 1, min(count, len(rows))).astype(int)]


def score_with(engine: Engine, samples: Samples) -> F32:
    """(N,) log-odds of every sample."""
    blocks = np.array_split(np.arange(len(samples)), max(1, len(samples) // SCORE_BATCH))
    return np.concatenate([engine.score(inputs_of(samples, engine.spec, rows)) for rows in blocks])
