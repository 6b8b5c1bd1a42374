"""One backbone with its own head on one modality."""

from __future__ import annotations

from pydantic import Field
from torch import Tensor, nn

from edgefas.contracts import InputSpec, Modality
from edgefas.models.registry import ModelConfig, default_input_spec, require_inputs


class SingleConfig(ModelConfig):
    """Which modality, at which size."""

    modality: Modality
    size_px: int = Field(112, ge=32, le=512)

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
        self.modality = config.modality
        self.backbone = backbone

    def forward(self, rgb: Tensor | None = None, ir: Tensor | None = None, depth: Tensor | None = None) -> Tensor:
        """(N,) log-odds of bona fide.

        Raises:
            EdgefasError: the network's modality is None.
        """
        (x,) = require_inputs([self.modality], rgb, ir, depth)
        logits: Tensor = self.backbone(x)
        return logits.float().squeeze(1)
