"""Decision: what edgefas says about one frame, and the closed list of reasons."""

from __future__ import annotations

from enum import Enum

from pydantic import Field, model_validator

from edgefas.contracts.base import Contract


class Verdict(str, Enum):
    """`NO_DECISION` is not a soft yes: a door stays shut on it."""

    BONA_FIDE = "bona_fide"
    ATTACK = "attack"
    NO_DECISION = "no_decision"


class Reason(str, Enum):
    """Why; closed, so that users can translate and count them."""

    SCORE_ABOVE_THRESHOLD = "score_above_threshold"
    SCORE_BELOW_THRESHOLD = "score_below_threshold"
    NO_FACE = "no_face"
    FACE_TOO_NEAR = "face_too_near"
    FACE_TOO_FAR = "face_too_far"
    FACE_OUT_OF_VIEW = "face_out_of_view"
    FACE_TOO_SMALL = "face_too_small"
    FACE_OFF_CENTRE = "face_off_centre"
    FACE_SIZE_IMPLAUSIBLE = "face_size_implausible"
    FACE_TURNED = "face_turned"
    FACE_BLURRED = "face_blurred"
    SEVERAL_FACES = "several_faces"
    DEPTH_HOLES = "depth_holes"
    IR_UNDEREXPOSED = "ir_underexposed"
    IR_OVEREXPOSED = "ir_overexposed"
    MODALITY_MISSING = "modality_missing"
    FRAME_STALE = "frame_stale"
    ENGINE_LATE = "engine_late"
    ENGINE_FAILED = "engine_failed"
    SCORE_NOT_FINITE = "score_not_finite"
    CAMERA_CHANGED = "camera_changed"
    CAMERA_UNTRUSTED = "camera_untrusted"
    CHALLENGE_FAILED = "challenge_failed"
    CHALLENGE_PENDING = "challenge_pending"
    CLOCK_JUMPED = "clock_jumped"
    FRAME_FROZEN = "frame_frozen"
    FRAME_LOOPED = "frame_looped"
    FRAME_BLANK = "frame_blank"


_SCORED = {
    Verdict.BONA_FIDE: Reason.SCORE_ABOVE_THRESHOLD,
    Verdict.ATTACK: Reason.SCORE_BELOW_THRESHOLD,
}


class Decision(Contract):
    """One frame's verdict; a scored verdict carries its finite score, and no other reason than the threshold."""

    verdict: Verdict
    reason: Reason
    score: float | None = Field(None, description="log-odds of bona fide; None when no network ran")

    @model_validator(mode="after")
    def _consistent(self) -> Decision:
        scored = _SCORED.get(self.verdict)
        if scored is not None and (self.reason is not scored or self.score is None):
            raise ValueError(f"{self.verdict.value} needs a score and the reason {scored.value}")
        if scored is None and self.reason in _SCORED.values():
            raise ValueError(f"no_decision cannot have the reason {self.reason.value}")
        return self

    @classmethod
    def none(cls, reason: Reason) -> Decision:
        """No decision, and why."""
        return cls(verdict=Verdict.NO_DECISION, reason=reason)

    @classmethod
    def from_score(cls, score: float, threshold: float) -> Decision:
        """Accept iff score >= threshold; NaN and infinities are `SCORE_NOT_FINITE`."""
        if not abs(score) < float("inf"):  # also false for NaN
            return cls.none(Reason.SCORE_NOT_FINITE)
        verdict = Verdict.BONA_FIDE if score >= threshold else Verdict.ATTACK
        return cls(verdict=verdict, reason=_SCORED[verdict], score=score)
