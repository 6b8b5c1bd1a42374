"""The calibration set: frames for INT8 ranges (the operating threshold is another matter, and other data)."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgefas.contracts import InputSpec
from edgefas.errors import EdgefasError

F32 = npt.NDArray[np.float32]


class CalibrationSetError(EdgefasError):
    """The calibration set cannot be read, or is not what the network takes."""


def load_frames(path: Path, spec: InputSpec) -> dict[str, F32]:
    """Read an `.npz` with one array per input, (N, C, H, W) float32, preprocessed as `spec` says.

    Raises:
        CalibrationSetError: no such file, not an .npz, a missing or unknown array, a wrong dtype or shape, NaN.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            frames = {name: archive[name] for name in archive.files}
    except (OSError, EOFError, ValueError, AttributeError, TypeError, zipfile.BadZipFile) as error:
        raise CalibrationSetError(f"{path} cannot be read as an .npz calibration set: {error}") from None
    wanted = {m.value: spec.shape(m) for m in spec.modalities}
    if set(frames) != set(wanted):
        raise CalibrationSetError(f"{path} holds {sorted(frames)}, this network takes {sorted(wanted)}")
    count = len(next(iter(frames.values()))) if all(a.ndim for a in frames.values()) else 0
    for name, shape in wanted.items():
        array = frames[name]
        if array.dtype != np.float32 or array.shape != (count, *shape) or count == 0:
            raise CalibrationSetError(
                f"{path}: {name} is {array.dtype} {array.shape}, must be float32 (N, {', '.join(map(str, shape))}) "
                "with one N >= 1 for all"
            )
        if not np.isfinite(array).all():
            raise CalibrationSetError(f"{path}: {name} holds NaN or infinity; write the set again")
    return frames


def batches(frames: dict[str, F32], size: int = 8) -> Iterator[dict[str, F32]]:
    """Consecutive batches of at most `size`."""
    for start in range(0, len(next(iter(frames.values()))), size):
        yield {name: array[start : start + size] for name, array in frames.items()}
