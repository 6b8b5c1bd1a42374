"""The live loop: read, judge, remember, report. One line per frame, and one for every silence of the camera."""

from __future__ import annotations

import logging
from collections.abc import Generator
from dataclasses import replace
from typing import Literal

from edgefas.contracts import Decision, Policy, Reason
from edgefas.engines.runtime.engine import Engine
from edgefas.faces import Detector, Tracks, detect_faces
from edgefas.live.line import DecisionLine, Face, FaceDecision, State, Timing
from edgefas.live.pipeline import Judgement, face_region, judge, seen_modalities
from edgefas.live.several import Judged, subjects
from edgefas.live.tamper.camera import Origin
from edgefas.live.tamper.guard import Guard
from edgefas.live.temporal import Memory, advance, evidence_of, forget, rule_of
from edgefas.live.watched import Watched
from edgefas.sensors.frame import Frame
from edgefas.sensors.source import CameraSource, CameraTimeout, EndOfStream

log = logging.getLogger(__name__)

Trust = Literal["signed", "unsigned"]

SILENCE_S = 0.2
"""A camera silent for this long gets a line of its own: a door must not wait on an old answer."""
RECORDING_SILENCE_S = 10.0
"""A recording has no silence: one that takes long is read from a slow disk, and must give the same lines."""
FAULT_HOLD_NS = 200_000_000
"""Device time for which a state outlives a fault. A face may be lost for a moment, that is what `hold_ms` is for; a
camera or an engine at fault ends the state sooner, and not at one bad frame."""
FAULTS = frozenset(
    {
        Reason.MODALITY_MISSING,
        Reason.FRAME_STALE,
        Reason.ENGINE_LATE,
        Reason.ENGINE_FAILED,
        Reason.SCORE_NOT_FINITE,
    }
)


def decide_stream(
    source: CameraSource, engine: Engine, policy: Policy, trust: Trust, detect: Detector = detect_faces
) -> Generator[tuple[Frame | None, DecisionLine], None, None]:
    """Decisions until the stream ends; (None, line) where the camera was silent.

    Raises:
        CameraLost: the camera is gone; nothing was decided about it.
    """
    if not source.live:
        yield from _decide(source, engine, policy, trust, detect)
        return
    with Watched(engine, policy.gates.max_engine_ms) as watched:
        yield from _decide(source, watched, policy, trust, detect)


def _decide(
    source: CameraSource, engine: Engine, policy: Policy, trust: Trust, detect: Detector
) -> Generator[tuple[Frame | None, DecisionLine], None, None]:
    memory, guard = Memory(), Guard(source, policy.tamper)
    tracks, known = Tracks(), frozenset[int]()
    try:
        while True:
            try:
                frame = source.read(SILENCE_S if source.live else RECORDING_SILENCE_S)
            except CameraTimeout:
                memory = forget(memory)
                guard.silence()
                yield None, _silence(memory, policy, trust, guard.origin)
                continue
            except EndOfStream:
                return
            alarm = guard.look(frame)
            if alarm is None:
                found = judge(frame, engine, policy, detect, tracks, live=source.live)
                if found.face is not None:
                    source.set_exposure_region(face_region(found.face))
                found = replace(found, decision=guard.judged(found.decision, face=found.face is not None))
            else:
                found = Judgement(Decision.none(alarm.reason), None, seen_modalities(frame), Timing(), tracks)
                if alarm.breaks:
                    memory = forget(memory)
            tracks, before = found.tracks, known
            known = subjects(before, found.judged, tracks, policy)
            if known - before:
                memory = forget(memory)
            memory = advance(memory, policy, found.decision, found.face, frame.device_ns)
            at_fault = frame.flaws or alarm is not None or found.decision.reason in FAULTS
            if at_fault and frame.device_ns - memory.supported_ns > FAULT_HOLD_NS:
                memory = forget(memory)
            yield frame, _line(frame, found, memory, policy, trust, guard.origin)
    finally:
        guard.close()


def _line(frame: Frame, found: Judgement, memory: Memory, policy: Policy, trust: Trust, origin: Origin) -> DecisionLine:
    shown = min(found.judged, key=lambda each: each.id) if found.judged else None
    return DecisionLine(
        frame=frame.number,
        device_ns=frame.device_ns,
        decision=found.decision.verdict,
        reason=found.decision.reason,
        score=found.decision.score,
        state=_state(memory, policy),
        face=None if shown is None else _face(shown),
        median_z_mm=None if shown is None else shown.face.median_z_mm,
        faces=len(found.tracks.visible) if found.judged else 0,
        each=tuple(_of_one(each) for each in found.judged) if policy.faces == "all" else (),
        modalities=found.modalities,
        trust=trust,
        source=origin,
        timing=found.timing,
    )


def _face(judged: Judged) -> Face:
    box = judged.face
    return Face(id=judged.id, x_px=box.x_px, y_px=box.y_px, width_px=box.width_px, height_px=box.height_px)


def _of_one(judged: Judged) -> FaceDecision:
    return FaceDecision(
        decision=judged.decision.verdict,
        reason=judged.decision.reason,
        score=judged.decision.score,
        face=_face(judged),
        median_z_mm=judged.face.median_z_mm,
    )


def _state(memory: Memory, policy: Policy) -> State:
    return State(
        decision=memory.state,
        since_ns=memory.since_ns,
        rule=rule_of(policy),
        evidence=evidence_of(memory, policy),
    )


def _silence(memory: Memory, policy: Policy, trust: Trust, origin: Origin) -> DecisionLine:
    nothing = Decision.none(Reason.FRAME_STALE)
    return DecisionLine(
        frame=None,
        device_ns=None,
        decision=nothing.verdict,
        reason=nothing.reason,
        score=None,
        state=_state(memory, policy),
        face=None,
        median_z_mm=None,
        faces=0,
        each=(),
        modalities=(),
        trust=trust,
        source=origin,
        timing=Timing(),
    )
