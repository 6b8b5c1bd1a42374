"""Policy: what turns scores into decisions. Doubt is never bona fide."""

from __future__ import annotations

import math
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
    max_frame_age_ms: float = Field(200, gt=0, le=5000, description="live sources only; older ones are not looked at")
    max_decision_age_ms: float = Field(
        300, gt=0, le=10000, description="live sources only; of the frame, when its decision is there"
    )
    max_engine_ms: float = Field(250, gt=0, le=10000, description="live sources only; a door waits no longer")

    @model_validator(mode="after")
    def _low_before_high(self) -> QualityGates:
        if self.min_distance_mm >= self.max_distance_mm:
            raise ValueError(
                f"min_distance_mm {self.min_distance_mm} must be below max_distance_mm {self.max_distance_mm}"
            )
        if self.min_face_mm >= self.max_face_mm:
            raise ValueError(f"min_face_mm {self.min_face_mm} must be below max_face_mm {self.max_face_mm}")
        return self


class ScoreCalibration(Contract):
    """What a score is worth: the log-likelihood ratio of bona fide against attack is slope * score + offset.

    Fitted by `edgefas calibrate` (Platt scaling, the prior of the recordings taken out) for one model: the scores of
    another mean something else.
    """

    model: str = Field(min_length=1, max_length=200)
    model_sha256: str = Field(
        pattern="^[0-9a-f]{64}$", description="of the network's files, whatever bundle they are in"
    )
    slope: float = Field(gt=0, le=1000)
    offset: float = Field(ge=-1000, le=1000)
    correlation_ms: float = Field(
        ge=0, le=3_600_000, description="the correlation of two frames so far apart has fallen to 1/e"
    )
    bona_fide_episodes: int = Field(ge=1, le=10**9, description="recordings it was fitted to")
    attack_episodes: int = Field(ge=1, le=10**9)
    frames: int = Field(ge=1, le=10**12, description="scored frames in them")
    correlation_from: Literal["recordings", "start_policy", "assumed"] = Field(
        "recordings", description="a table of scores tells no times: kept from the policy before, or assumed"
    )
    data_sha256: str | None = Field(
        None,
        pattern="^[0-9a-f]{64}$",
        description="of the lines of the sorted sha256 of the files it was fitted to, whatever their names; None: a "
        "policy from before it was kept",
    )

    def log_likelihood_ratio(self, score: float) -> float:
        """In nats; positive speaks for bona fide."""
        return self.slope * score + self.offset


class SprtRule(Contract):
    """Wald's sequential probability ratio test (1945) on calibrated scores; edgefas/live/sprt.py.

    The evidence, a sum of log-likelihood ratios, makes the state bona fide at `accept_evidence` and attack at
    `reject_evidence`. It fades between `max_gap_ms` and `forget_ms` without a scored frame.
    """

    max_apcer: float = Field(0.01, ge=1e-9, le=0.5, description="attacks that may be accepted")
    max_bpcer: float = Field(0.05, ge=1e-9, le=0.5, description="bona fide that may be taken for attacks")
    max_frame_evidence: float = Field(2.0, gt=0, le=20, description="of one frame; below what opens a door")
    min_frames: int = Field(5, ge=2, le=1000)
    max_gap_ms: float = Field(150, gt=0, le=10000, description="no frame speaks for a longer time than this")
    forget_ms: float = Field(500, gt=0, le=10000)
    release_ms: float = Field(500, ge=0, le=60000, description="after an attack nobody is accepted for so long")

    @property
    def accept_evidence(self) -> float:
        """Wald's upper boundary, log((1 - bpcer) / apcer)."""
        return math.log((1 - self.max_bpcer) / self.max_apcer)

    @property
    def reject_evidence(self) -> float:
        """Wald's lower boundary, log(bpcer / (1 - apcer)); negative, or 0 for a test that asks for nothing."""
        return math.log(self.max_bpcer / (1 - self.max_apcer))

    @model_validator(mode="after")
    def _no_frame_opens_a_door(self) -> SprtRule:
        if self.max_frame_evidence >= self.accept_evidence:
            raise ValueError(
                f"max_frame_evidence {self.max_frame_evidence} must be below {self.accept_evidence:.3g}, the evidence "
                f"that opens a door for max_apcer {self.max_apcer:g} and max_bpcer {self.max_bpcer:g}"
            )
        if self.max_gap_ms >= self.forget_ms:
            raise ValueError(f"max_gap_ms {self.max_gap_ms} must be below forget_ms {self.forget_ms}")
        return self


class TemporalRule(Contract):
    """From frame decisions to the state a door uses; times are device times, so a recording repeats exactly.

    With a score calibration in the policy, `sprt` decides, and of the fields here only `hold_ms` and `min_face_iou`
    count. Without one frames vote: the state becomes bona fide when the last `window_ms` hold at least
    `accept_frames` bona fide frames, and nothing else but undecided ones; it becomes attack as soon as the window
    holds `reject_frames` attacks. A state is held for `hold_ms` after its last supporting frame, never longer.
    """

    window_ms: float = Field(500, gt=0, le=10000)
    accept_frames: int = Field(5, ge=1, le=1000)
    reject_frames: int = Field(2, ge=1, le=1000)
    hold_ms: float = Field(500, ge=0, le=10000)
    min_face_iou: float = Field(0.2, ge=0, le=1, description="a box that moved further is another face: start again")
    sprt: SprtRule = SprtRule()


class CameraPin(Contract):
    """The camera that may decide; what is "" may be anything."""

    serial: str = Field(min_length=1, max_length=64)
    product_line: str = Field("", max_length=64)
    firmware: str = Field("", max_length=64)


class TamperRule(Contract):
    """Checks that the frames come from one real camera, now; docs/security-live.md says what they stop."""

    camera: CameraPin | None = Field(None, description="None: whichever camera gives the first frame")
    repeats: Literal["auto", "on", "off"] = Field(
        "auto", description="frozen and looped pictures; auto: of real cameras, as recordings and simulations repeat"
    )
    max_clock_step_ms: float = Field(250, ge=20, le=10000, description="device time against host time; live only")
    max_clock_drift_ppm: float = Field(1000, ge=0, le=100000)
    settle_frames: int = Field(15, ge=1, le=1000, description="clean frames before a stream is believed again")
    challenge: Literal["off", "auto", "required"] = Field(
        "off", description="switch the projector at random; auto: where the camera can; required: no pass, no bona fide"
    )
    challenge_every_s: float = Field(15, ge=2, le=3600, description="at most, while a face is there")
    challenge_valid_s: float = Field(30, ge=2, le=86400, description="how long a passed challenge counts")
    challenge_pulses: int = Field(2, ge=1, le=4, description="times the projector is off in one challenge")
    max_emitter_latency_ms: float = Field(300, ge=50, le=2000, description="from the command to the picture")
    emitter_jitter_ms: float = Field(25, ge=0, le=100)

    @model_validator(mode="after")
    def _valid_until_the_next(self) -> TamperRule:
        if self.challenge_valid_s < self.challenge_every_s:
            raise ValueError(
                f"challenge_valid_s {self.challenge_valid_s} must not be below challenge_every_s "
                f"{self.challenge_every_s}: a pass would end before the next challenge"
            )
        return self


class Policy(Contract):
    """Threshold, gates, temporal rule and tamper checks; calibrated on a site, never edited inside a bundle."""

    schema_version: Literal[1] = 1
    threshold: float = Field(0.0, ge=-100, le=100, description="log-odds; accept iff score >= threshold")
    gates: QualityGates = QualityGates()
    temporal: TemporalRule = TemporalRule()
    faces: FaceChoice = Field("nearest", description="of several: which one is judged, or all of them")
    max_faces: int = Field(4, ge=1, le=16, description="with `all`; more are no decision")
    tamper: TamperRule = TamperRule()
    calibration: ScoreCalibration | None = Field(None, description="None: frames vote")
