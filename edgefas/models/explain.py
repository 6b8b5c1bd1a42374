"""Looking into a checkpoint: where it looked (Grad-CAM), and how its features lie (t-SNE). PyTorch only.

Selvaraju et al., "Grad-CAM", ICCV 2017; van der Maaten and Hinton, "Visualizing data using t-SNE", JMLR 2008.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgefas.errors import EdgefasError, require
from edgefas.models.patches import merge_grid
from edgefas.models.weights import load_checkpoint

Inputs = dict[str, npt.NDArray[np.float32]]
"""By modality, (1, C, H, W)."""
SEED = 0
PERPLEXITY = 30.0


class Explainer:
    """A checkpoint with hooks on what is looked at."""

    def __init__(self, path: Path) -> None:
        """Raises: EngineError or UsageError: no checkpoint."""
        self.model = load_checkpoint(path).eval()

    def features(self, inputs: Inputs) -> npt.NDArray[np.float32]:
        """(N, D) what the last linear layer is given; of a picture's patches the mean, which the score is linear in."""
        last = [module for module in self.model.modules() if isinstance(module, nn.Linear)]
        if not last:
            raise EdgefasError(f"{self.model.model_name} has no linear layer to take features before")
        with _inputs_of(last[-1]) as seen, torch.inference_mode():
            self.model(**_tensors(inputs))
        count = len(next(iter(inputs.values())))
        return np.concatenate([tensor.flatten(1).unflatten(0, (-1, count)).mean(0).numpy() for tensor in seen])

    def heat(self, inputs: Inputs) -> dict[str, npt.NDArray[np.float32]]:
        """(H, W) 0 to 1 per modality of one presentation: what speaks for bona fide in the last map it reaches."""
        tensors = {name: value.requires_grad_() for name, value in _tensors(inputs).items()}
        with _outputs_of(self.model) as maps:
            score = self.model(**tensors)
        found = {}
        for name, pixels in tensors.items():
            kept = _last_map_of(maps, pixels)
            if kept is not None:
                (gradient,) = torch.autograd.grad(score.sum(), kept, retain_graph=True)
                cam = F.relu((gradient.mean((2, 3), keepdim=True) * kept).sum(1, keepdim=True)).detach()
                whole = self._over_picture(cam, *pixels.shape[2:])
                found[name] = np.asarray((whole / whole.max().clamp_min(1e-9)).numpy(), np.float32)
        return found

    def _over_picture(self, maps: Tensor, height: int, width: int) -> Tensor:
        """(1 or 9 patches, 1, h, w) -> (height, width)."""
        patched = len(maps) > 1
        size = (self.model.patch_px,) * 2 if patched else (height, width)
        maps = F.interpolate(maps, size, mode="bilinear", align_corners=False)
        return merge_grid(maps, height, width)[0] if patched else maps[0, 0]


def tsne(features: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    """(N, 2) of (N, D), N at least 5; equal features give equal points.

    Raises:
        MissingExtra: scikit-learn is not installed.
    """
    manifold = require("sklearn.manifold", "report")
    perplexity = min(PERPLEXITY, (len(features) - 1) / 3)
    made: Any = manifold.TSNE(perplexity=perplexity, random_state=SEED, init="pca")
    return np.asarray(made.fit_transform(features))


def _tensors(inputs: Inputs) -> dict[str, Tensor]:
    return {name: torch.from_numpy(np.ascontiguousarray(value)) for name, value in inputs.items()}


@contextmanager
def _inputs_of(module: nn.Module) -> Iterator[list[Tensor]]:
    seen: list[Tensor] = []
    handle = module.register_forward_pre_hook(lambda _, given: seen.append(given[0].detach()))
    try:
        yield seen
    finally:
        handle.remove()


@contextmanager
def _outputs_of(model: nn.Module) -> Iterator[list[Tensor]]:
    """The outputs of all convolutions, in the order in which they run."""
    seen: list[Tensor] = []
    hook: Callable[..., None] = lambda _module, _given, made: seen.append(made)  # noqa: E731
    handles = [module.register_forward_hook(hook) for module in model.modules() if isinstance(module, nn.Conv2d)]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


def _last_map_of(maps: list[Tensor], pixels: Tensor) -> Tensor | None:
    """The last feature map of more than one place that depends on these pixels."""
    for kept in reversed(maps):
        if min(kept.shape[2:]) > 1:
            (moved,) = torch.autograd.grad(kept.sum(), pixels, retain_graph=True, allow_unused=True)
            if moved is not None and bool(moved.abs().sum() > 0):
                return kept
    return None
