"""The scale table: how far each tensor of one network reaches. One table serves every engine.

Engines take it as symmetric about zero (`scale`); a CPU may do better with both ends (`range`).
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from edgefas.contracts import Contract
from edgefas.errors import EdgefasError

Method = Literal["minmax", "percentile", "entropy", "mse"]
INT8_MAX = 127


class ScaleTableError(EdgefasError):
    """The table is of another network, or lacks a tensor."""


class ScaleTable(Contract):
    """Written by `edgefas quantize` as scales.json; readable, and comparable between runs.

    Version 1 had no `minimum` and `maximum`; it can still be read.
    """

    schema_version: Literal[1, 2] = 2
    source_sha256: str = Field(pattern="^[0-9a-f]{64}$", description="of the float ONNX the ranges belong to")
    method: Method
    frames: int = Field(ge=1, description="calibration frames seen")
    absmax: dict[str, Annotated[float, Field(ge=0)]] = Field(description="tensor -> largest magnitude kept")
    minimum: dict[str, float] = Field(default_factory=dict, description="tensor -> smallest value seen")
    maximum: dict[str, float] = Field(default_factory=dict, description="tensor -> largest value seen")

    @model_validator(mode="after")
    def _ends_in_order(self) -> ScaleTable:
        if set(self.minimum) != set(self.maximum) or not set(self.minimum) <= set(self.absmax):
            odd = (set(self.minimum) ^ set(self.maximum)) | (set(self.minimum) - set(self.absmax))
            raise ValueError(f"minimum and maximum must name the same tensors, all of them in absmax; not {min(odd)!r}")
        for name, low in self.minimum.items():
            if low > self.maximum[name]:
                raise ValueError(f"minimum of {name!r} is {low}, above its maximum {self.maximum[name]}")
        return self

    def scale(self, tensor: str) -> float:
        """Real value of one INT8 step; a tensor that is always 0 has scale 1.

        Raises:
            ScaleTableError: the tensor was not calibrated.
        """
        return self._kept(tensor) / INT8_MAX or 1.0

    def range(self, tensor: str) -> tuple[float, float]:
        """(lowest, highest) value kept: what was seen, clipped to the magnitude kept; always holds 0.

        Symmetric where the table says nothing of the ends.

        Raises:
            ScaleTableError: the tensor was not calibrated.
        """
        reach = self._kept(tensor)
        low, high = self.minimum.get(tensor, -reach), self.maximum.get(tensor, reach)
        return min(max(low, -reach), 0.0), max(min(high, reach), 0.0)

    def _kept(self, tensor: str) -> float:
        if tensor not in self.absmax:
            raise ScaleTableError(f"the scale table has no tensor {tensor!r}; calibrate again with: edgefas quantize")
        return self.absmax[tensor]
