"""The live loop: read, judge, remember, report. One line per frame, and one for every silence of the camera."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from typing import Literal

from edgefas.contracts import Decision, Policy, Reason
from edgefas.engines.runtime.engine import Engine
from edgefas.faces import detect_faces
from edgefas.live.line import DecisionLine, Face, State, Timing
from edgefas.live.pipeline import Detector, Judgement, face_region, judge, seen_modalities
from edgefas.live.tamper.camera import Origin
from edgefas.live.tamper.guard import Guard
from edgefas.live.temporal import Memory, advance, forget
from edgefas.sensors.frame import Frame
from edgefas.sensors.source import CameraSource, CameraTimeout, EndOfStream

log = logging.getLogger(__name__)

Trust = Literal["signed", "unsigned"]

SILENCE_S = 0.5
"""A camera silent for this long gets a line of its own: a door must not wait on an old answer."""


def decide_stream(
    source: CameraSource, engine: Engine, policy: Policy, trust: Trust, detect: Detector = detect_faces
) -> Iterator[tuple[Frame | None, DecisionLine]]:
    """Decisions until the stream ends; (None, line) where the camera was silent.

    Raises:
        CameraLost: the camera is gone; nothing was decided about it.
    """
    memory, face = Memory(), None
    guard = Guard(source, policy.tamper)
    try:
        while True:
            try:
                frame = source.read(SILENCE_S)
            except CameraTimeout:
                memory = forget(memory)
                guard.silence()
                yield None, _silence(memory, trust, guard.origin)
                continue
            except EndOfStream:
                return
            alarm = guard.look(frame)
            if alarm is None:
                found = judge(frame, engine, policy, detect, face, live=source.live)
                face = found.face
                if face is not None:
                    source.set_exposure_region(face_region(face))
                found = replace(found, decision=guard.judged(found.decision, face=face is not None))
            else:
                found = Judgement(Decision.none(alarm.reason), None, seen_modalities(frame), Timing())
                if alarm.breaks:
                    memory, face = forget(memory), None
            memory = advance(memory, policy.temporal, found.decision, found.face, frame.device_ns)
            yield frame, _line(frame, found, memory, trust, guard.origin)
    finally:
        guard.close()


def _line(frame: Frame, found: Judgement, memory: Memory, trust: Trust, origin: Origin) -> DecisionLine:
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
        source=origin,
        timing=found.timing,
    )


def _silence(memory: Memory, trust: Trust, origin: Origin) -> DecisionLine:
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
        source=origin,
        timing=Timing(),
    )
