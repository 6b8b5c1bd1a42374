"""The scale table: how far each tensor of one network reaches, symmetric about zero. One table serves every engine."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from edgefas.contracts import Contract
from edgefas.errors import EdgefasError

Method = Literal["minmax", "percentile", "entropy"]
INT8_MAX = 127


class ScaleTableError(EdgefasError):
    """The table is of another network, or lacks a tensor."""


class ScaleTable(Contract):
    """Written by `edgefas quantize` as scales.json; readable, and comparable between runs."""

    schema_version: Literal[1] = 1
    source_sha256: str = Field(pattern="^[0-9a-f]{64}$", description="of the float ONNX the ranges belong to")
    method: Method
    frames: int = Field(ge=1, description="calibration frames seen")
    absmax: dict[str, Annotated[float, Field(ge=0)]] = Field(description="tensor -> largest magnitude kept")

    def scale(self, tensor: str) -> float:
        """Real value of one INT8 step; a tensor that is always 0 has scale 1.

        Raises:
            ScaleTableError: the tensor was not calibrated.
        """
        if tensor not in self.absmax:
            raise ScaleTableError(f"the scale table has no tensor {tensor!r}; calibrate again with: edgefas quantize")
        return self.absmax[tensor] / INT8_MAX or 1.0
