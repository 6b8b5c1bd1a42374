"""PyTorch, for checkpoints on a desk; never imported on a board."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from edgefas.engines.runtime.engine import F32, Engine
from edgefas.errors import require

if TYPE_CHECKING:
    from torch import nn


class TorchEngine(Engine):
    """A module in evaluation mode, eager, on the CPU."""

    backend = "torch"
    outputs = ("score",)

    def __init__(self, model: nn.Module) -> None:
        self.spec = model.input_spec
        self._model = model.eval()

    def _run(self, inputs: dict[str, F32], outputs: tuple[str, ...]) -> dict[str, F32]:
        import torch

        with torch.inference_mode():
            score = self._model(**{name: torch.from_numpy(array) for name, array in inputs.items()})
        return {"score": score.numpy()}


def load_torch(path: Path, threads: int) -> TorchEngine:
    """Load a `.safetensors` checkpoint; `threads` sets PyTorch's threads for the whole process."""
    torch = require("torch", "train")
    from edgefas.models.weights import load_checkpoint

    if threads:
        torch.set_num_threads(threads)
    return TorchEngine(load_checkpoint(path))
