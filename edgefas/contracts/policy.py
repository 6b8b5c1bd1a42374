"""Policy: what turns scores into decisions. Doubt is never bona fide."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from edgefas.contracts.base import Contract

FaceChoice = Literal["nearest", "largest", "all"]


class QualityGates(Contract):
    """Checked before any network runs; each failure is a reason the user can act on."""

    min_distance_mm: float = Field(300, ge=100, le=3000)
    max_distance_mm: float = Field(1100, ge=100, le=5000)
    min_depth_share: float = Field(0.5, ge=0, le=1, description="share of the face box with a depth return")
    min_inside_share: float = Field(0.85, ge=0, le=1, description="share of the crop inside the picture")
    min_face_px: float = Field(40, ge=1, le=2000, description="width of the face box")
    max_off_centre: float = Field(0.8, gt=0, le=1.5, description="from the picture's middle, 1 is its edge")
    min_face_mm: float = Field(100, ge=10, le=1000, description="width of the face box at its distance")
    max_face_mm: float = Field(200, ge=10, le=1000)
    max_turn_deg: float = Field(25, gt=0, le=90, description="left/right slope of the face's relief")
    min_sharpness: float = Field(0.06, ge=0, le=100, description="0 switches it off")
    max_ir_dark_share: float = Field(0.5, ge=0, le=1, description="black pixels of the infrared face")
    max_ir_saturated_share: float = Field(0.7, ge=0, le=1, description="white pixels of the infrared face")
    max_frame_age_ms: float = Field(200, gt=0, le=5000, description="live sources only")
    max_engine_ms: float = Field(500, gt=0, le=10000, description="live sources only")

    @model_validator(mode="after")
    def _low_before_high(self) -> QualityGates:
        if self.min_distance_mm >= self.max_distance_mm:
            raise ValueError(
                f"min_distance_mm {self.min_distance_mm} must be below max_distance_mm {self.max_distance_mm}"
            )
        if self.min_face_mm >= self.max_face_mm:
            raise ValueError(f"min_face_mm {self.min_face_mm} must be below max_face_mm {self.max_face_mm}")
        return self


class TemporalRule(Contract):
    """From frame decisions to the state a door uses; times are device times, so a recording repeats exactly.

    The state becomes bona fide when the last `window_ms` hold at least `accept_frames` bona fide frames, and
    nothing else but undecided ones; it becomes attack as soon as the window holds `reject_frames` attacks.
    A state is held for `hold_ms` after its last supporting frame, never longer.
    """

    window_ms: float = Field(500, gt=0, le=10000)
    accept_frames: int = Field(5, ge=1, le=1000)
    reject_frames: int = Field(2, ge=1, le=1000)
    hold_ms: float = Field(500, ge=0, le=10000)
    min_face_iou: float = Field(0.2, ge=0, le=1, description="a box that moved further is another face: start again")


class Policy(Contract):
    """Threshold, gates and temporal rule; calibrated on a site, never edited inside a bundle."""

    schema_version: Literal[1] = 1
    threshold: float = Field(0.0, ge=-100, le=100, description="log-odds; accept iff score >= threshold")
    gates: QualityGates = QualityGates()
    temporal: TemporalRule = TemporalRule()
    faces: FaceChoice = Field("nearest", description="of several: which one is judged, or all of them")
    max_faces: int = Field(4, ge=1, le=16, description="with `all`; more are no decision")
