"""The live loop: read, judge, remember, report. One line per frame, and one for every silence of the camera."""

from __future__ import annotations

import logging
from collections.abc import Generator
from typing import Literal

from edgefas.contracts import Decision, Policy, Reason
from edgefas.engines.runtime.engine import Engine
from edgefas.faces import detect_faces
from edgefas.live.line import DecisionLine, Face, State, Timing
from edgefas.live.pipeline import Detector, Judgement, face_region, judge
from edgefas.live.temporal import Memory, advance, forget
from edgefas.live.watched import Watched
from edgefas.sensors.frame import Frame
from edgefas.sensors.source import CameraSource, CameraTimeout, EndOfStream

log = logging.getLogger(__name__)

Trust = Literal["signed", "unsigned"]

SILENCE_S = 0.2
"""A camera silent for this long gets a line of its own: a door must not wait on an old answer."""
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
        Reason.CAMERA_CHANGED,
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
    memory, camera, face = Memory(), None, None
    while True:
        try:
            frame = source.read(SILENCE_S)
        except CameraTimeout:
            memory = forget(memory)
            yield None, _silence(memory, trust)
            continue
        except EndOfStream:
            return
        if camera is None:
            camera = frame.camera
        if frame.camera != camera:  # swapped under us: another witness, whose word is not asked for
            found = Judgement(Decision.none(Reason.CAMERA_CHANGED), None, (), Timing())
            memory = forget(memory)
        else:
            found = judge(frame, engine, policy, detect, face, live=source.live)
        face = found.face
        if face is not None:
            source.set_exposure_region(face_region(face))
        memory = advance(memory, policy.temporal, found.decision, found.face, frame.device_ns)
        if (frame.flaws or found.decision.reason in FAULTS) and frame.device_ns - memory.supported_ns > FAULT_HOLD_NS:
            memory = forget(memory)
        yield frame, _line(frame, found, memory, trust)


def _line(frame: Frame, found: Judgement, memory: Memory, trust: Trust) -> DecisionLine:
    box = found.face
    return DecisionLine(
        frame=frame.number,
        device_ns=frame.device_ns,
        decision=found.decision.verdict,
        reason=found.decision.reason,
        score=found.decision.score,
        state=State(decision=memory.state, since_ns=memory.since_ns),
        face=None if box is None else Face(**box.model_dump(exclude={"median_z_mm"})),
        median_z_mm=None if box is None else box.median_z_mm,
        modalities=found.modalities,
        trust=trust,
        timing=found.timing,
    )


def _silence(memory: Memory, trust: Trust) -> DecisionLine:
    nothing = Decision.none(Reason.FRAME_STALE)
    return DecisionLine(
        frame=None,
        device_ns=None,
        decision=nothing.verdict,
        reason=nothing.reason,
        score=None,
        state=State(decision=memory.state, since_ns=memory.since_ns),
        face=None,
        median_z_mm=None,
        modalities=(),
        trust=trust,
        timing=Timing(),
    )
