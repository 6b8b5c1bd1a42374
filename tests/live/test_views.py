"""Words, the status line and the window; the page has files of its own."""

from __future__ import annotations

import io
import threading
import time

import cv2
import numpy as np
import pytest
from rich.console import Console

from edgefas.contracts import Reason, Verdict
from edgefas.live.view import window
from edgefas.live.view.pictures import pictures
from edgefas.live.view.text import TextView
from edgefas.live.view.window import WindowError, WindowView, check_windows, draw
from edgefas.live.view.words import HEADLINES, WORDS, say
from edgefas.sensors.frame import Calibration, Frame, Intrinsics
from edgefas.sensors.source import SourceStats
from tests.live.lines import line
from tests.scenes import noise_frame


def test_every_verdict_and_reason_has_words() -> None:
    assert set(HEADLINES) == set(Verdict)
    assert {reason.value for reason in Reason} <= set(WORDS)


def test_the_headline_is_the_state_and_the_reason_that_of_the_frame() -> None:
    assert say(line(1)).headline == "Live person"
    assert say(line(1, Verdict.ATTACK, Verdict.BONA_FIDE)).headline == "Live person"
    gathering = say(line(1, Verdict.BONA_FIDE, Verdict.NO_DECISION))
    assert (gathering.headline, gathering.why) == ("No decision", "Looks live so far")
    far = say(line(1, Verdict.NO_DECISION, reason=Reason.FACE_TOO_FAR))
    assert (far.headline, far.why, far.todo) == ("No decision", "The face is too far away", "Come closer")


def test_a_reason_without_words_is_shown_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(WORDS, "no_face")
    assert say(line(1, Verdict.NO_DECISION)).why == "No face"


def test_pictures_keep_their_shape_and_say_what_they_are() -> None:
    found = pictures(noise_frame(), 320)
    assert {tile.shape for tile in (found.color, found.ir, found.depth) if tile is not None} == {(240, 320, 3)}
    assert (found.aligned, found.ir_light, found.scale) == (True, "lit", 0.5)
    small = pictures(noise_frame(), 4000)
    assert small.scale == 1.0


def test_colour_of_another_shape_is_not_stretched() -> None:
    """Without depth a wide colour picture cannot be aligned: it gets black edges."""
    wide = Intrinsics(1280, 720, 900.0, 900.0, 640.0, 360.0)
    still = noise_frame()
    frame = Frame(
        **{
            **vars(still),
            "calibration": Calibration(depth=still.calibration.depth, color=wide),
            "color": np.full((720, 1280, 3), 200, np.uint8),
            "depth": None,
            "ir_lit": None,
        }
    )
    found = pictures(frame, 480)
    assert (found.aligned, found.ir_light, found.depth) == (False, "unlit", None)
    assert found.color is not None
    assert found.color.shape == (360, 480, 3)
    assert found.color[:40].max() == found.color[-40:].max() == 0
    assert found.color[50:-50].min() == 200


def test_the_status_line_shows_state_reason_and_what_to_do() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=200)
    view = TextView(console, "small", SourceStats)
    try:
        view.update(None, line(1, Verdict.NO_DECISION, reason=Reason.FACE_TOO_FAR))
        with console.capture() as shown:
            console.print(view._draw())
    finally:
        view.close()
    for words in ("no_decision", "face_too_far", "The face is too far away. Come closer", "512 mm"):
        assert words in shown.get()


@pytest.mark.parametrize("state", Verdict)
def test_the_window_picture_holds_three_tiles_and_words(state: Verdict) -> None:
    picture = draw(noise_frame(), line(1, state))
    assert picture.shape == (300 + window.BAR_PX, 1200, 3)
    words = np.abs(picture[300:].astype(int) - window.COLOURS[state]).max(axis=2) < 20
    assert words.sum() > 200
    assert draw(None, line(1, state)).shape == picture.shape  # so that the window does not jump
    alone = Frame(**{**vars(noise_frame()), "depth": None, "ir_lit": None, "ir_unlit": None})
    assert draw(alone, line(1, state)).shape == picture.shape


def test_no_display_or_no_window_toolkit_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    with pytest.raises(WindowError, match=r"no display.*--view web"):
        check_windows()
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr(cv2, "currentUIFramework", lambda: "")
    with pytest.raises(WindowError, match=r"headless[\s\S]*--view web[\s\S]*opencv-python>="):
        WindowView()


class FakeWindows:
    """Stands for OpenCV's windows: keeps what is shown and in which thread, and can hang or be closed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.shown: list[np.ndarray] = []
        self.threads: set[int] = set()
        self.visible = 1.0
        self.hang = threading.Event()
        self.hang.set()
        monkeypatch.setenv("DISPLAY", ":0")
        monkeypatch.setattr(cv2, "currentUIFramework", lambda: "GTK3")
        monkeypatch.setattr(cv2, "namedWindow", lambda *_: self.threads.add(threading.get_ident()))
        monkeypatch.setattr(cv2, "imshow", self.show)
        monkeypatch.setattr(cv2, "waitKey", lambda ms: time.sleep(0.001) or -1)
        monkeypatch.setattr(cv2, "getWindowProperty", lambda *_: self.visible)
        monkeypatch.setattr(cv2, "destroyAllWindows", lambda: self.threads.add(threading.get_ident()))

    def show(self, title: str, picture: np.ndarray) -> None:
        self.threads.add(threading.get_ident())
        self.shown.append(picture)
        assert self.hang.wait(60)


def test_a_window_that_hangs_holds_up_nobody_and_shows_the_newest(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeWindows(monkeypatch)
    fake.hang.clear()
    view, still = WindowView(), noise_frame()
    view.update(still, line(1))
    while not fake.shown:
        time.sleep(0.001)
    for number in range(2, 500):
        view.update(still, line(number, Verdict.ATTACK))
    fake.hang.set()
    while len(fake.shown) < 2:
        time.sleep(0.001)
    view.close()
    assert len(fake.shown) == 2
    np.testing.assert_array_equal(fake.shown[-1], draw(still, line(499, Verdict.ATTACK)))
    assert len(fake.threads) == 1
    assert threading.get_ident() not in fake.threads
    assert not view._thread.is_alive()


def test_a_closed_window_ends_the_view_alone(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    fake = FakeWindows(monkeypatch)
    fake.visible = 0.0
    view = WindowView()
    view.update(None, line(1))
    view._thread.join(60)
    assert "decisions go on" in caplog.text
    view.update(None, line(2))
    view.close()
