"""Where the face is, on the pixel grid of depth and left infrared."""

from __future__ import annotations

from pydantic import Field

from edgefas.contracts.base import Contract


class FaceBox(Contract):
    """A face on the depth/IR grid (the canonical grid: there only colour has to be warped).

    The box is the face region a frontal Haar detector returns: brows to chin, ear to ear, about 150 mm wide.
    """

    x_px: float = Field(ge=-1e5, le=1e5, description="left edge; a box may begin outside the picture")
    y_px: float = Field(ge=-1e5, le=1e5, description="top edge")
    width_px: float = Field(ge=1, le=1e5)
    height_px: float = Field(ge=1, le=1e5)
    median_z_mm: float = Field(gt=0, le=1e6, description="median depth of the central half of the box, holes left out")
    landmarks_px: tuple[tuple[float, float], ...] | None = Field(
        None, max_length=5, description="right eye, left eye, nose, corners of the mouth; None: the detector has none"
    )

    @property
    def centre_px(self) -> tuple[float, float]:
        """(x, y) of the middle of the box."""
        return self.x_px + self.width_px / 2, self.y_px + self.height_px / 2

    def iou(self, other: FaceBox) -> float:
        """Intersection over union with another box, 0 to 1."""
        w = min(self.x_px + self.width_px, other.x_px + other.width_px) - max(self.x_px, other.x_px)
        h = min(self.y_px + self.height_px, other.y_px + other.height_px) - max(self.y_px, other.y_px)
        inter = max(w, 0.0) * max(h, 0.0)
        union = self.width_px * self.height_px + other.width_px * other.height_px - inter
        return inter / union
