"""Whether an ONNX file computes what the torch network does, as far as float32 says what that is.

Two correct float32 runs of one network differ by rounding, and a network can magnify rounding without bound. The gates
of GhostNet do so while batch norms are untrained: their input then reaches 1e5 and they are steps of width 6, so that
an input rounded by 0.02 opens or shuts a channel of 1e6. torch in float32 is then percents off torch in float64, too.

Error analysis: rounding inside a layer is, seen backwards, an exact layer with slightly other weights, each off by some
units of 2^-24 (the sum of n products by at most n, by about sqrt(n) in practice). So float64 runs with weights off by
2^-21 show how far rounding may move a score. One that moves by less than a quarter of the tolerance is *determined* and
must agree; at least half of them must be, or nothing was checked.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from edgefas.errors import EdgefasError, require

if TYPE_CHECKING:
    from torch import nn

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
Inputs = Mapping[str, F32]
TOLERANCE = 1e-3
"""Of the largest score of the inputs, or of 1 if that is larger."""
WEIGHTS_OFF_BY = 2.0**-21
DISTURBED_RUNS = 3


class ParityError(EdgefasError):
    """The file's scores are not those of the network."""


@dataclass(frozen=True)
class Parity:
    """How far the file is from the torch network."""

    max_abs_difference: float
    """Largest |ONNX - torch| of the scores compared."""
    max_abs_score: float
    """Largest |score| of torch on the same inputs: what the difference is to be compared with."""
    undetermined: int
    """Scores left out, since float32 does not determine them."""


def check_parity(model: nn.Module, onnx_data: bytes, batches: Sequence[Inputs]) -> Parity:
    """Score the same inputs with torch and ONNX Runtime.

    Args:
        model: in evaluation mode; takes the inputs by name, gives (N,) float32.
        onnx_data: the file; its output is `score`.
        batches: inputs by name, each (N, C, H, W).

    Raises:
        ParityError: not one score per input, a score that is off, or too few that float32 determines.
    """
    ort = require("onnxruntime", "export")
    session = ort.InferenceSession(onnx_data, providers=["CPUExecutionProvider"])
    got = [session.run(["score"], dict(inputs))[0] for inputs in batches]
    expected = [_torch_scores(model, inputs, double=False) for inputs in batches]
    if any(a.shape != b.shape or b.ndim != 1 for a, b in zip(got, expected, strict=True)):
        raise ParityError(f"the network must give scores of shape (N,), it gives {expected[0].shape}")
    scores, reach = np.concatenate(got).astype(np.float64), float(np.abs(np.concatenate(expected)).max())
    tolerance = TOLERANCE * max(reach, 1.0)
    difference = np.abs(scores - np.concatenate(expected))
    if difference.max() <= tolerance:
        return Parity(float(difference.max()), reach, 0)
    exact, moved = _conditioning(model, batches)
    determined = moved <= tolerance / 4
    difference = np.abs(scores - exact)[determined]
    if not (difference <= tolerance).all():
        raise ParityError(
            f"the ONNX file's scores differ from torch's by {difference.max():.2g} (scores reach {reach:.2g}, allowed "
            f"are {tolerance:.2g})"
        )
    if 2 * len(difference) < len(scores):
        raise ParityError(
            f"float32 determines {len(difference)} of {len(scores)} scores of this network (weights off by "
            f"{WEIGHTS_OFF_BY:.1g} move the others by up to {moved.max():.2g}), so no file of it can be checked. "
            "Untrained batch norms are the usual cause: train it, or run it in training mode on some frames"
        )
    return Parity(float(difference.max()), reach, len(scores) - len(difference))


def _conditioning(model: nn.Module, batches: Sequence[Inputs]) -> tuple[F64, F64]:
    """(scores in float64, the most that slightly other weights move each)."""
    import torch

    exact = copy.deepcopy(model).double()
    scores = np.concatenate([_torch_scores(exact, inputs, double=True) for inputs in batches])
    moved = np.zeros_like(scores)
    for seed in range(DISTURBED_RUNS):
        random = torch.Generator().manual_seed(seed)
        disturbed = copy.deepcopy(exact)
        with torch.no_grad():
            for weight in disturbed.parameters():
                weight *= 1 + WEIGHTS_OFF_BY * torch.randn(weight.shape, generator=random, dtype=weight.dtype)
        there = np.concatenate([_torch_scores(disturbed, inputs, double=True) for inputs in batches])
        moved = np.maximum(moved, np.nan_to_num(np.abs(there - scores), nan=np.inf))
    return scores, moved


def _torch_scores(model: nn.Module, inputs: Inputs, *, double: bool) -> F64:
    import torch

    tensors = {name: torch.from_numpy(array) for name, array in inputs.items()}
    with torch.inference_mode():
        scores = model(**{name: tensor.double() if double else tensor for name, tensor in tensors.items()})
    values: F64 = scores.numpy().astype(np.float64)
    return values
