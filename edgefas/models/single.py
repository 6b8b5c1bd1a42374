"""One backbone with its own head on one modality."""

from __future__ import annotations

from pydantic import Field, model_validator
from torch import Tensor, nn

from edgefas.contracts import InputSpec, Modality
from edgefas.models.patches import mean_over_grid, random_patches
from edgefas.models.registry import ModelConfig, default_input_spec, require_inputs


class SingleConfig(ModelConfig):
    """Which modality, at which size."""

    modality: Modality
    size_px: int = Field(112, ge=32, le=512)
    patch_px: int | None = Field(None, ge=16, le=512, description="side of the patches; None: the full picture")

    @model_validator(mode="after")
    def _patch_fits(self) -> SingleConfig:
        if self.patch_px is not None and self.patch_px > self.size_px:
            raise ValueError(f"patch_px {self.patch_px} is larger than size_px {self.size_px}")
        return self

    @property
    def channels(self) -> int:
        """Of the input."""
        return self.input_spec().shape(self.modality)[0]

    def input_spec(self) -> InputSpec:
        """One square input."""
        return default_input_spec(self.modality, size_px=self.size_px)


class SingleBranch(nn.Module):
    """`backbone` has the state-dict names of its origin, so `model.backbone` loads ImageNet weights."""

    def __init__(self, config: SingleConfig, backbone: nn.Module) -> None:
        super().__init__()
        self.modality, self.patch_px = config.modality, config.patch_px
        self.backbone = backbone

    def forward(self, rgb: Tensor | None = None, ir: Tensor | None = None, depth: Tensor | None = None) -> Tensor:
        """(N,) log-odds of bona fide; with patches of one at random in training, and the mean over nine otherwise.

        Raises:
            EdgefasError: the network's modality is None, or smaller than a patch.
        """
        (x,) = require_inputs([self.modality], rgb, ir, depth)
        if self.patch_px is None:
            return self._score(x)
        if self.training:
            return self._score(random_patches(x, self.patch_px))
        return mean_over_grid(self._score, x, self.patch_px)

    def pretrainable(self) -> dict[Modality, nn.Module]:
        """See `edgefas.models.pretrained`."""
        return {self.modality: self.backbone}

    def _score(self, x: Tensor) -> Tensor:
        logits: Tensor = self.backbone(x)
        return logits.float().squeeze(1)
