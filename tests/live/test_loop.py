"""From frames to lines: gates, reasons, silence, a swapped camera; with a scripted camera and a scripted network."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import numpy as np
import pytest

from edgefas.contracts import FaceBox, InputSpec, Policy, QualityGates, Reason, Verdict
from edgefas.engines.runtime.engine import Engine, EngineError
from edgefas.live.line import DecisionLine
from edgefas.live.loop import decide_stream
from edgefas.sensors.frame import Frame
from edgefas.sensors.source import CameraSource, CameraTimeout, EndOfStream, SourceStats
from tests.scenes import face, noise_frame, spec


class Script(CameraSource):
    """Plays frames and raises errors in the given order."""

    def __init__(self, events: list[Frame | Exception], live: bool = False) -> None:
        self.live = live
        self._events: Iterator[Frame | Exception] = iter(events)

    def read(self, timeout_s: float = 1.0) -> Frame:
        event = next(self._events, EndOfStream("end"))
        if isinstance(event, Exception):
            raise event
        return event

    def stats(self) -> SourceStats:
        return SourceStats()

    def close(self) -> None:
        pass


class Constant(Engine):
    """Gives one score, or fails."""

    backend, outputs = "constant", ("score",)

    def __init__(self, score: float | Exception, wanted: InputSpec | None = None, delay_s: float = 0) -> None:
        self.spec, self._score, self._delay_s = wanted or spec(), score, delay_s

    def _run(self, inputs: dict[str, np.ndarray], outputs: tuple[str, ...]) -> dict[str, np.ndarray]:
        time.sleep(self._delay_s)
        if isinstance(self._score, Exception):
            raise self._score
        return {"score": np.full(len(inputs["rgb"]), self._score, np.float32)}


def lines_of(
    events: list[Frame | Exception],
    score: float | Exception = 2.0,
    found: FaceBox | None = None,
    policy: Policy | None = None,
    live: bool = False,
    delay_s: float = 0,
) -> list[DecisionLine]:
    detect = lambda frame, last: [found or face()]  # noqa: E731
    engine = Constant(score, delay_s=delay_s)
    stream = decide_stream(Script(events, live), engine, policy or Policy(), "unsigned", detect)
    return [line for _, line in stream]


def test_one_line_per_frame_and_acceptance() -> None:
    lines = lines_of([noise_frame(n) for n in range(1, 9)])
    assert [line.frame for line in lines] == list(range(1, 9))
    assert {line.decision for line in lines} == {Verdict.BONA_FIDE}
    assert lines[-1].state.decision is Verdict.BONA_FIDE
    assert lines[0].state.decision is Verdict.NO_DECISION


def test_line_has_exactly_the_documented_keys() -> None:
    row = json.loads(lines_of([noise_frame()])[0].to_json())
    assert list(row) == [
        "schema", "frame", "device_ns", "decision", "reason", "score", "state", "face", "median_z_mm", "faces",
        "each", "modalities", "trust", "source", "timing",
    ]  # fmt: skip
    assert row["schema"] == "edgefas.decision/1"
    assert row["trust"] == "unsigned"
    state = {"decision": "no_decision", "since_ns": 33_333_333, "rule": "vote", "evidence": None}
    assert row["state"] == state
    assert DecisionLine.from_json(json.dumps(row)).to_json() == json.dumps(row, separators=(",", ":"))


def test_below_threshold_is_attack() -> None:
    assert lines_of([noise_frame()], score=-0.1)[0].reason is Reason.SCORE_BELOW_THRESHOLD


@pytest.mark.parametrize("score", [float("nan"), float("inf"), float("-inf")])
def test_a_score_that_is_not_finite_decides_nothing(score: float) -> None:
    line = lines_of([noise_frame()], score=score)[0]
    assert (line.decision, line.reason, line.score) == (Verdict.NO_DECISION, Reason.SCORE_NOT_FINITE, None)


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (face(z_mm=200), Reason.FACE_TOO_NEAR),
        (face(z_mm=1400), Reason.FACE_TOO_FAR),
        (face(x=-60), Reason.FACE_OUT_OF_VIEW),
    ],
)
def test_gates_speak_before_the_network(found: FaceBox, reason: Reason) -> None:
    line = lines_of([noise_frame()], score=EngineError("must not run"), found=found)[0]
    assert (line.decision, line.reason) == (Verdict.NO_DECISION, reason)
    assert line.face is not None


def test_depth_holes_are_a_reason() -> None:
    frame = noise_frame()
    depth = frame.depth.copy()
    depth[160:400:2] = 0
    depth[160:400, ::4] = 0
    line = lines_of([noise_frame(depth=depth)])[0]
    assert line.reason is Reason.DEPTH_HOLES


def test_a_missing_modality_says_so_on_every_line() -> None:
    lines = lines_of([noise_frame(n, ir_lit=None, ir_unlit=None) for n in range(1, 6)])
    assert {line.reason for line in lines} == {Reason.MODALITY_MISSING}
    assert [m.value for m in lines[0].modalities] == ["rgb", "depth"]


def test_no_face() -> None:
    stream = decide_stream(Script([noise_frame()]), Constant(2), Policy(), "unsigned", lambda frame, last: [])
    assert [line.reason for _, line in stream] == [Reason.NO_FACE]


@pytest.mark.parametrize("error", [EngineError("broken"), RuntimeError("out of memory"), KeyError("x")])
@pytest.mark.parametrize("live", [True, False])
def test_a_failing_engine_decides_nothing(error: Exception, live: bool) -> None:
    fresh = noise_frame(host_ns=time.monotonic_ns() + 10**10)
    assert lines_of([fresh], score=error, live=live)[0].reason is Reason.ENGINE_FAILED


def test_a_fault_ends_a_state_sooner_than_a_lost_face_does() -> None:
    """7 good frames at 30 frames/s, then 10 bad ones: `hold_ms` 500 is 15 frames, a fault's 200 ms are 6."""
    good, empty = [noise_frame(n) for n in range(1, 8)], [noise_frame(n) for n in range(8, 18)]
    blind = [noise_frame(n, ir_lit=None, ir_unlit=None) for n in range(8, 18)]
    fault = [line.state.decision for line in lines_of([*good, *blind])[7:]]
    assert fault == [Verdict.BONA_FIDE] * 6 + [Verdict.NO_DECISION] * 4
    faces = iter([[face()]] * 7 + [[]] * 10)
    stream = decide_stream(Script([*good, *empty]), Constant(2), Policy(), "unsigned", lambda frame, last: next(faces))
    assert [line.state.decision for _, line in stream][7:] == [Verdict.BONA_FIDE] * 10


def test_silence_gets_a_line_and_ends_the_state() -> None:
    frames = [noise_frame(n) for n in range(1, 8)]
    lines = lines_of([*frames, CameraTimeout("silent"), noise_frame(8)])
    assert lines[6].state.decision is Verdict.BONA_FIDE
    assert (lines[7].frame, lines[7].reason) == (None, Reason.FRAME_STALE)
    assert lines[7].state.decision is Verdict.NO_DECISION
    assert lines[8].state.decision is Verdict.NO_DECISION


def test_a_swapped_camera_is_refused_for_good() -> None:
    frames = [noise_frame(n) for n in range(1, 8)]
    lines = lines_of([*frames, noise_frame(8, camera="OTHER"), noise_frame(9, camera="OTHER")])
    assert lines[6].state.decision is Verdict.BONA_FIDE
    assert [line.reason for line in lines[7:]] == [Reason.CAMERA_CHANGED] * 2
    assert lines[7].state.decision is Verdict.NO_DECISION


def test_old_frames_and_late_engines_count_only_live() -> None:
    old = noise_frame(host_ns=time.monotonic_ns() - 10**9)
    assert lines_of([old], live=True)[0].reason is Reason.FRAME_STALE
    assert lines_of([old], live=False)[0].decision is Verdict.BONA_FIDE
    slow = Policy(gates=QualityGates(max_engine_ms=5))
    fresh = noise_frame(host_ns=time.monotonic_ns() + 10**9)
    assert lines_of([fresh], live=True, policy=slow, delay_s=0.02)[0].reason is Reason.ENGINE_LATE
    assert lines_of([fresh], live=False, policy=slow, delay_s=0.02)[0].decision is Verdict.BONA_FIDE


def test_a_decision_is_never_older_than_the_gate_says() -> None:
    """The frame is young enough to be looked at, and too old when the network has answered."""
    gates = QualityGates(max_frame_age_ms=5000, max_decision_age_ms=50)
    fresh = noise_frame(host_ns=time.monotonic_ns())
    line = lines_of([fresh], live=True, policy=Policy(gates=gates), delay_s=0.06)[0]
    assert (line.reason, line.score) == (Reason.FRAME_STALE, None)


def test_two_plays_differ_only_in_timing() -> None:
    frames = [noise_frame(n, seed=n) for n in range(1, 10)]
    first, second = ([line.model_copy(update={"timing": None}) for line in lines_of(list(frames))] for _ in range(2))
    assert first == second
