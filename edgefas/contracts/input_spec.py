"""InputSpec: the one preprocessing contract between camera, training, calibration and engine.

It is serialised into the ONNX metadata (key `edgefas.input_spec`) and into the bundle; `edgefas.preprocess` is the
one function that executes it.
"""

from __future__ import annotations

from enum import Enum
from typing import Annotated, Literal

from pydantic import Field, model_validator

from edgefas.contracts.base import Contract

Unit = Annotated[float, Field(ge=0, le=1)]
Spread = Annotated[float, Field(ge=1e-3, le=1e3)]


class Modality(str, Enum):
    """The three streams; the value is the name of the network's input."""

    RGB = "rgb"
    IR = "ir"
    DEPTH = "depth"


class IREncoding(str, Enum):
    """Which infrared picture the network sees.

    A D435's imagers see visible light too: an unlit frame is a grey photograph indoors and black in the dark;
    the 850 nm cue is in the lit frame, together with the projector's dots.
    """

    LIT = "lit"
    UNLIT = "unlit"
    ACTIVE = "active"
    """Lit minus exposure-matched unlit, smoothed over the dot pitch: what the 850 nm projector alone adds."""


class MetricCrop(Contract):
    """A fronto-parallel window of fixed size in millimetres around the face's centre, at its median depth."""

    kind: Literal["metric"] = "metric"
    width_mm: float = Field(ge=80, le=600)
    height_mm: float = Field(ge=80, le=600)
    shift_down_mm: float = Field(0.0, ge=-100, le=100, description="moves the window's centre, + is down")


class BoxCrop(Contract):
    """The detector's box, scaled about its centre."""

    kind: Literal["box"] = "box"
    scale: float = Field(ge=0.5, le=4)


class RGBInput(Contract):
    """(N, 3, height, width) float32 = (pixel / 255 - mean) / std."""

    height_px: int = Field(ge=16, le=512)
    width_px: int = Field(ge=16, le=512)
    order: Literal["rgb", "bgr"] = "rgb"
    mean: tuple[Unit, Unit, Unit] = (0.485, 0.456, 0.406)
    std: tuple[Spread, Spread, Spread] = (0.229, 0.224, 0.225)


class IRInput(Contract):
    """(N, 1, height, width) float32 = (pixel / 255 - mean) / std."""

    height_px: int = Field(ge=16, le=512)
    width_px: int = Field(ge=16, le=512)
    encoding: IREncoding = IREncoding.LIT
    mean: Unit = 0.5
    std: Spread = 0.25


class DepthInput(Contract):
    """(N, 1, height, width) float32 in [-1, 1]: relief towards the camera relative to the face's median depth.

    value = clip(median_z - z, -clip_mm, clip_mm) / clip_mm; pixels without a return take `no_return`.
    """

    height_px: int = Field(ge=16, le=512)
    width_px: int = Field(ge=16, le=512)
    clip_mm: float = Field(60.0, ge=10, le=500)
    no_return: float = Field(-1.0, ge=-1, le=1)


class InputSpec(Contract):
    """What a network expects: per modality size and encoding, and the common crop."""

    schema_version: Literal[1] = 1
    crop: Annotated[MetricCrop | BoxCrop, Field(discriminator="kind")]
    interpolation: Literal["area", "linear"] = "area"
    rgb: RGBInput | None = None
    ir: IRInput | None = None
    depth: DepthInput | None = None

    @model_validator(mode="after")
    def _has_a_modality(self) -> InputSpec:
        if not self.modalities:
            raise ValueError("at least one of rgb, ir, depth must be given")
        return self

    @property
    def modalities(self) -> tuple[Modality, ...]:
        """The inputs in the order rgb, ir, depth."""
        return tuple(m for m in Modality if getattr(self, m.value) is not None)

    def shape(self, modality: Modality) -> tuple[int, int, int]:
        """(channels, height, width) of one input.

        Raises:
            KeyError: the network has no such input.
        """
        part: RGBInput | IRInput | DepthInput | None = getattr(self, modality.value)
        if part is None:
            raise KeyError(modality.value)
        return (3 if modality is Modality.RGB else 1, part.height_px, part.width_px)
