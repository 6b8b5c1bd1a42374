"""The live loop: read, judge, remember, report. One line per frame, and one for every silence of the camera."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Literal

from edgefas.contracts import Decision, Policy, Reason
from edgefas.engines.runtime.engine import Engine
from edgefas.faces import Detector, Tracks, detect_faces
from edgefas.live.line import DecisionLine, Face, FaceDecision, State, Timing
from edgefas.live.pipeline import Judgement, judge
from edgefas.live.several import Judged, subjects
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
    memory, camera = Memory(), None
    tracks, known = Tracks(), frozenset[int]()
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
            found = Judgement(Decision.none(Reason.CAMERA_CHANGED), None, (), Timing(), tracks)
            memory = forget(memory)
        else:
            found = judge(frame, engine, policy, detect, tracks, live=source.live)
        tracks, before = found.tracks, known
        known = subjects(before, found.judged, tracks, policy)
        if known - before:
            memory = forget(memory)
        memory = advance(memory, policy.temporal, found.decision, found.face, frame.device_ns)
        yield frame, _line(frame, found, memory, policy, trust)


def _line(frame: Frame, found: Judgement, memory: Memory, policy: Policy, trust: Trust) -> DecisionLine:
    shown = min(found.judged, key=lambda each: each.id) if found.judged else None
    return DecisionLine(
        frame=frame.number,
        device_ns=frame.device_ns,
        decision=found.decision.verdict,
        reason=found.decision.reason,
        score=found.decision.score,
        state=State(decision=memory.state, since_ns=memory.since_ns),
        face=None if shown is None else _face(shown),
        median_z_mm=None if shown is None else shown.face.median_z_mm,
        faces=len(found.tracks.visible) if found.judged else 0,
        each=tuple(_of_one(each) for each in found.judged) if policy.faces == "all" else (),
        modalities=found.modalities,
        trust=trust,
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
        faces=0,
        each=(),
        modalities=(),
        trust=trust,
        timing=Timing(),
    )
