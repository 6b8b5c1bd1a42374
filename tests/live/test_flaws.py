"""Nothing is decided about a frame that is no picture, and a face steers the camera's exposure."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from edgefas.contracts import Policy, Reason, Verdict
from edgefas.engines.runtime.engine import EngineError
from edgefas.live.loop import decide_stream
from edgefas.sensors.alignment import PixelBox
from edgefas.sensors.frame import Flaw, Frame
from edgefas.sensors.source import CameraSource, EndOfStream, SourceStats
from tests.live.test_loop import Constant, lines_of
from tests.scenes import face, noise_frame


@pytest.mark.parametrize(
    ("flaws", "reason"),
    [
        ((Flaw.BLANK,), Reason.FRAME_BLANK),
        ((Flaw.FROZEN,), Reason.FRAME_FROZEN),
        ((Flaw.DEPTH_EMPTY,), Reason.DEPTH_HOLES),
        ((Flaw.CLOCK_JUMP,), Reason.CLOCK_JUMPED),
        ((Flaw.FROZEN, Flaw.DEPTH_EMPTY), Reason.FRAME_FROZEN),
    ],
)
def test_a_flawed_frame_decides_nothing(flaws: tuple[Flaw, ...], reason: Reason) -> None:
    line = lines_of([noise_frame(flaws=flaws)], score=EngineError("must not run"))[0]
    assert (line.decision, line.reason, line.face) == (Verdict.NO_DECISION, reason, None)


def test_every_flaw_has_a_reason() -> None:
    for flaw in Flaw:
        assert lines_of([noise_frame(flaws=(flaw,))])[0].decision is Verdict.NO_DECISION


class Steered(CameraSource):
    """Remembers what it was told to expose for."""

    live = False

    def __init__(self, frames: list[Frame]) -> None:
        self.boxes: list[PixelBox] = []
        self._frames: Iterator[Frame] = iter(frames)

    def read(self, timeout_s: float = 1.0) -> Frame:
        frame = next(self._frames, None)
        if frame is None:
            raise EndOfStream("end")
        return frame

    def stats(self) -> SourceStats:
        return SourceStats()

    def close(self) -> None:
        pass

    def set_exposure_region(self, box: PixelBox) -> None:
        self.boxes.append(box)


def test_the_camera_exposes_for_the_face() -> None:
    source = Steered([noise_frame(1), noise_frame(2, flaws=(Flaw.BLANK,)), noise_frame(3)])
    found = face(x=250.4, y=170.6, size=140.2)
    assert len(list(decide_stream(source, Constant(2.0), Policy(), "unsigned", lambda frame, last: [found]))) == 3
    assert source.boxes == [PixelBox(250, 171, 140, 140)] * 2
