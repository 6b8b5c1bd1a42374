"""One frame to one decision: modalities, face, gates, network, threshold. Every doubt has a reason."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from edgefas.contracts import Decision, FaceBox, InputSpec, Modality, Policy, Reason
from edgefas.engines.runtime.engine import Engine, EngineError
from edgefas.live.line import Timing
from edgefas.preprocess import crop_box, inside_share, missing_modalities, preprocess
from edgefas.sensors.alignment import PixelBox
from edgefas.sensors.frame import Flaw, Frame

T = TypeVar("T")

Detector = Callable[[Frame, FaceBox | None], list[FaceBox]]
"""(frame, face of the frame before) -> faces, nearest first."""

_FLAWED = {
    Flaw.BLANK: Reason.FRAME_BLANK,
    Flaw.FROZEN: Reason.FRAME_FROZEN,
    Flaw.DEPTH_EMPTY: Reason.DEPTH_HOLES,
    Flaw.CLOCK_JUMP: Reason.CLOCK_JUMPED,
}


@dataclass(frozen=True)
class Judgement:
    """What one frame gave."""

    decision: Decision
    face: FaceBox | None
    modalities: tuple[Modality, ...]
    timing: Timing


def judge(
    frame: Frame, engine: Engine, policy: Policy, detect: Detector, last: FaceBox | None, *, live: bool
) -> Judgement:
    """Decide on one frame; of several faces the nearest counts.

    Args:
        last: the face of the frame before, if there was one.
        live: the frame ages and the engine can be late. For recordings host time means nothing, and a play must
            give the same decisions on any machine.
    """
    start_ns = time.monotonic_ns()
    seen = seen_modalities(frame)
    clock = {"detect_ms": 0.0, "preprocess_ms": 0.0, "engine_ms": 0.0}

    def done(decision: Decision, face: FaceBox | None = None) -> Judgement:
        now_ns = time.monotonic_ns()
        age_ms = (now_ns - frame.host_ns) / 1e6 if live else None
        return Judgement(decision, face, seen, Timing(**clock, total_ms=(now_ns - start_ns) / 1e6, age_ms=age_ms))

    if live and start_ns - frame.host_ns > policy.gates.max_frame_age_ms * 1e6:
        return done(Decision.none(Reason.FRAME_STALE))
    if frame.flaws:
        return done(Decision.none(_FLAWED[frame.flaws[0]]))
    if missing_modalities(frame, engine.spec):
        return done(Decision.none(Reason.MODALITY_MISSING))

    faces, clock["detect_ms"] = _timed(lambda: detect(frame, last))
    if not faces:
        return done(Decision.none(Reason.NO_FACE))
    face = faces[0]
    failed = gate(frame, face, engine.spec, policy)
    if failed is not None:
        return done(Decision.none(failed), face)

    inputs, clock["preprocess_ms"] = _timed(lambda: preprocess(frame, face, engine.spec))
    try:
        scores, clock["engine_ms"] = _timed(lambda: engine.score(inputs))
    except EngineError:
        return done(Decision.none(Reason.ENGINE_FAILED), face)
    if live and clock["engine_ms"] > policy.gates.max_engine_ms:
        return done(Decision.none(Reason.ENGINE_LATE), face)
    return done(Decision.from_score(float(scores[0]), policy.threshold), face)


def gate(frame: Frame, face: FaceBox, spec: InputSpec, policy: Policy) -> Reason | None:
    """The first quality gate that the face fails; checked before any network runs."""
    gates = policy.gates
    if face.median_z_mm < gates.min_distance_mm:
        return Reason.FACE_TOO_NEAR
    if face.median_z_mm > gates.max_distance_mm:
        return Reason.FACE_TOO_FAR
    if inside_share(crop_box(face, spec, frame.calibration.depth), frame.calibration.depth) < gates.min_inside_share:
        return Reason.FACE_OUT_OF_VIEW
    if depth_share(frame, face) < gates.min_depth_share:
        return Reason.DEPTH_HOLES
    return None


def face_region(face: FaceBox) -> PixelBox:
    """The face in whole pixels."""
    return PixelBox(round(face.x_px), round(face.y_px), round(face.width_px), round(face.height_px))


def depth_share(frame: Frame, face: FaceBox) -> float:
    """Share of the face box with a depth return, 0 to 1."""
    if frame.depth is None:
        return 0.0
    x0, y0 = max(0, round(face.x_px)), max(0, round(face.y_px))
    part = frame.depth[y0 : round(face.y_px + face.height_px), x0 : round(face.x_px + face.width_px)]
    return float(np.count_nonzero(part)) / part.size if part.size else 0.0


def seen_modalities(frame: Frame) -> tuple[Modality, ...]:
    """Which streams the frame brought."""
    has = {
        Modality.RGB: frame.color is not None,
        Modality.IR: frame.ir_lit is not None or frame.ir_unlit is not None,
        Modality.DEPTH: frame.depth is not None,
    }
    return tuple(m for m in Modality if has[m])


def _timed(call: Callable[[], T]) -> tuple[T, float]:
    start = time.perf_counter()
    result = call()
    return result, (time.perf_counter() - start) * 1e3
