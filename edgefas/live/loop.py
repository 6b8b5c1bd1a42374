"""The live loop: read, judge, remember, report. One line per frame, and one for every silence of the camera."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Literal

from edgefas.contracts import Decision, Policy, Reason
from edgefas.engines.runtime.engine import Engine
from edgefas.faces import detect_faces
from edgefas.live.line import DecisionLine, Face, State, Timing
from edgefas.live.pipeline import Detector, Judgement, judge
from edgefas.live.temporal import Memory, advance, evidence_of, forget, rule_of
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
    memory, camera, face = Memory(), None, None
    while True:
        try:
            frame = source.read(SILENCE_S)
        except CameraTimeout:
            memory = forget(memory)
            yield None, _silence(memory, policy, trust)
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
        memory = advance(memory, policy, found.decision, found.face, frame.device_ns)
        yield frame, _line(frame, found, memory, policy, trust)


def _line(frame: Frame, found: Judgement, memory: Memory, policy: Policy, trust: Trust) -> DecisionLine:
    box = found.face
    return DecisionLine(
        frame=frame.number,
        device_ns=frame.device_ns,
        decision=found.decision.verdict,
        reason=found.decision.reason,
        score=found.decision.score,
        state=_state(memory, policy),
        face=None if box is None else Face(**box.model_dump(exclude={"median_z_mm"})),
        median_z_mm=None if box is None else box.median_z_mm,
        modalities=found.modalities,
        trust=trust,
        timing=found.timing,
    )


def _state(memory: Memory, policy: Policy) -> State:
    return State(
        decision=memory.state,
        since_ns=memory.since_ns,
        rule=rule_of(policy),
        evidence=evidence_of(memory, policy),
    )


def _silence(memory: Memory, policy: Policy, trust: Trust) -> DecisionLine:
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
        modalities=(),
        trust=trust,
        timing=Timing(),
    )
