"""One frame to one decision: modalities, face, gates, network, threshold. Every doubt has a reason."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from edgefas.contracts import Decision, FaceBox, Modality, Policy, Reason
from edgefas.engines.runtime.engine import Engine
from edgefas.faces import Detector, Track, Tracks, follow
from edgefas.live.gates import gate
from edgefas.live.line import Timing
from edgefas.live.several import Judged, chosen, together
from edgefas.live.watched import EngineLate
from edgefas.preprocess import missing_modalities, preprocess
from edgefas.sensors.alignment import PixelBox
from edgefas.sensors.frame import Flaw, Frame

log = logging.getLogger(__name__)

T = TypeVar("T")

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
    """Of several that were judged, the one known longest."""
    modalities: tuple[Modality, ...]
    timing: Timing
    tracks: Tracks = field(default_factory=Tracks)
    judged: tuple[Judged, ...] = ()


def judge(frame: Frame, engine: Engine, policy: Policy, detect: Detector, tracks: Tracks, *, live: bool) -> Judgement:
    """Decide on one frame; of several faces the policy says who counts.

    Args:
        tracks: the faces of the frames before.
        live: the frame ages and the engine can be late. For recordings host time means nothing, and a play must
            give the same decisions on any machine.
    """
    start_ns = time.monotonic_ns()
    seen = seen_modalities(frame)
    clock = {"detect_ms": 0.0, "gates_ms": 0.0, "preprocess_ms": 0.0, "engine_ms": 0.0}

    def timed(stage: str, call: Callable[[], T]) -> T:
        begin = time.perf_counter()
        result = call()
        clock[stage] += (time.perf_counter() - begin) * 1e3
        return result

    def done(decision: Decision, faces: Tracks = tracks, judged: tuple[Judged, ...] = ()) -> Judgement:
        now_ns = time.monotonic_ns()
        age_ms = (now_ns - frame.host_ns) / 1e6 if live else None
        timing = Timing(**clock, total_ms=(now_ns - start_ns) / 1e6, age_ms=age_ms)
        face = min(judged, key=lambda each: each.id).face if judged else None
        return Judgement(decision, face, seen, timing, faces, judged)

    def decide(track: Track) -> Decision:
        face = track.face
        failed = timed("gates_ms", lambda: gate(frame, face, engine.spec, policy))
        if failed is not None:
            return Decision.none(failed)
        inputs = timed("preprocess_ms", lambda: preprocess(frame, face, engine.spec))
        try:
            scores = timed("engine_ms", lambda: engine.score(inputs))
        except EngineLate:
            return Decision.none(Reason.ENGINE_LATE)
        except Exception as error:  # whatever breaks in a network or its runtime: the door stays shut, the camera runs
            log.warning("the engine failed: %s", error, exc_info=log.isEnabledFor(logging.DEBUG))
            return Decision.none(Reason.ENGINE_FAILED)
        if live and clock["engine_ms"] > policy.gates.max_engine_ms:
            return Decision.none(Reason.ENGINE_LATE)
        if live and time.monotonic_ns() - frame.host_ns > policy.gates.max_decision_age_ms * 1e6:
            return Decision.none(Reason.FRAME_STALE)  # the process was stopped, or starved, while it looked
        return Decision.from_score(float(scores[0]), policy.threshold)

    if live and start_ns - frame.host_ns > policy.gates.max_frame_age_ms * 1e6:
        return done(Decision.none(Reason.FRAME_STALE))
    if frame.flaws:
        return done(Decision.none(_FLAWED[frame.flaws[0]]))
    if missing_modalities(frame, engine.spec):
        return done(Decision.none(Reason.MODALITY_MISSING))

    tracks = timed("detect_ms", lambda: follow(tracks, frame, detect))
    who, unclear = chosen(tracks, policy)
    if not who:
        return done(Decision.none(Reason.NO_FACE), tracks)
    judged = tuple(
        Judged(track.id, track.face, decide(track) if unclear is None else Decision.none(unclear)) for track in who
    )
    return done(together(judged), tracks, judged)


def face_region(face: FaceBox) -> PixelBox:
    """The face in whole pixels."""
    return PixelBox(round(face.x_px), round(face.y_px), round(face.width_px), round(face.height_px))


def seen_modalities(frame: Frame) -> tuple[Modality, ...]:
    """Which streams the frame brought."""
    has = {
        Modality.RGB: frame.color is not None,
        Modality.IR: frame.ir_lit is not None or frame.ir_unlit is not None,
        Modality.DEPTH: frame.depth is not None,
    }
    return tuple(m for m in Modality if has[m])
