"""The page in a real Chromium: what it says, that it fits a phone, and that it never shows an old answer."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import cv2
import numpy as np
import pytest

from edgefas.contracts import Reason, Verdict
from edgefas.live.line import DecisionLine
from edgefas.live.view.web.hub import About
from edgefas.live.view.web.server import WebView
from edgefas.live.view.words import say
from edgefas.sensors.frame import Frame
from edgefas.sensors.source import SourceStats
from tests.live.browser import MISSING, Browser, find_browser
from tests.live.lines import line
from tests.scenes import noise_frame

BINARY = find_browser()
pytestmark = pytest.mark.skipif(BINARY is None, reason=MISSING)

TEXT = "document.getElementById('{}').textContent"
WARNING = "trained on <b>nothing</b>"


class Stage:
    """Shows one line again and again, as a running camera would, until told another."""

    def __init__(self) -> None:
        about = About("small", "simulated:seed=1", "unsigned", 0.0, WARNING, True, "1.2.3")
        self.view = WebView(about, lambda: SourceStats(delivered=1200, dropped=34), port=0)
        self.frame: Frame | None = noise_frame()
        self.line = line(30)
        self.silent = False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.wait(0.03):
            if not self.silent:
                self.view.update(self.frame, self.line)

    def close(self) -> None:
        self._stop.set()
        self._thread.join()
        self.view.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    assert BINARY is not None
    with Browser(BINARY) as found:
        yield found


@pytest.fixture
def stage() -> Iterator[Stage]:
    running = Stage()
    yield running
    running.close()


def rectangle(browser: Browser, selector: str) -> tuple[slice, slice]:
    """Rows and columns of an element on the screenshot."""
    script = f"(b => [b.left, b.top, b.right, b.bottom])(document.querySelector('{selector}').getBoundingClientRect())"
    x0, y0, x1, y1 = (round(side) for side in browser.value(script))
    return slice(y0, y1), slice(x0, x1)


def too_far(number: int = 60) -> DecisionLine:
    return line(number, Verdict.NO_DECISION, reason=Reason.FACE_TOO_FAR, median_z_mm=1400.0)


def test_the_dom_tells_the_decision_its_reason_and_what_to_do(browser: Browser, stage: Stage) -> None:
    browser.open(stage.view.url)
    browser.wait(f"{TEXT.format('headline')} === 'Live person'")
    assert browser.value("document.body.dataset.state") == "bona_fide"
    assert browser.value(TEXT.format("score")) == "+3.25"
    assert browser.value(TEXT.format("distance")) == "0.51 m"
    assert browser.value(TEXT.format("since")) == "for 1.0 s"
    assert browser.value("document.getElementById('stages').innerText.replace(/\\s+/g, ' ')") == (
        "Find the face 4.5 ms Prepare 1.5 ms Network 5.0 ms Everything else 1.0 ms Camera to decision 20.0 ms"
    )
    shown = browser.value("document.body.innerText")
    for words in ("small · simulated:seed=1", "unsigned model", "simulated camera", WARNING, "1,200", "Connected"):
        assert words in shown
    assert not browser.value("document.querySelector('.warning b')")  # text, not markup

    for told, headline, state in [
        (line(60, Verdict.ATTACK), "Attack", "attack"),
        (too_far(), "No decision", "no_decision"),
    ]:
        stage.line = told
        browser.wait(f"{TEXT.format('headline')} === '{headline}'")
        assert browser.value("document.body.dataset.state") == state
        mark = "[...document.querySelectorAll('.mark g')].filter(g => getComputedStyle(g).display !== 'none')"
        assert browser.value(f"{mark}.map(g => g.getAttribute('class')).join()") == f"on-{state}"  # not colour alone
    browser.wait(f"{TEXT.format('why')} === 'The face is too far away'")
    assert browser.value(TEXT.format("todo")) == "Come closer"
    assert browser.value("document.title") == "No decision – edgefas"
    assert browser.console == []  # nothing was refused by the Content-Security-Policy, nothing thrown


def test_the_pictures_are_shown_and_no_pixel_comes_from_elsewhere(browser: Browser, stage: Stage) -> None:
    flat = {"color": np.full((480, 640, 3), (200, 30, 90), np.uint8), "ir_lit": np.full((480, 640), 77, np.uint8)}
    flat["depth"] = np.full((480, 640), 875, np.uint16)  # half way between the ends of the colours
    stage.frame = Frame(**{**vars(noise_frame()), **flat})
    browser.open(stage.view.url)
    browser.wait("document.querySelectorAll('figure.shown').length === 3")
    shot = cv2.imdecode(np.frombuffer(browser.screenshot(), np.uint8), cv2.IMREAD_COLOR)
    assert shot.shape == (800, 1280, 3)
    turbo = cv2.applyColorMap(np.full((1, 1), 127, np.uint8), cv2.COLORMAP_TURBO)[0, 0]
    for tile, bgr in {"color": (90, 30, 200), "ir": (77, 77, 77), "depth": turbo}.items():
        seen = shot[rectangle(browser, f"figure[data-tile={tile}] canvas")].reshape(-1, 3)
        assert np.abs(np.median(seen, axis=0) - np.array(bgr, float)).max() <= 6, tile
        box = np.abs(seen.astype(int) - (132, 220, 61)).max(axis=1) < 12
        assert box.sum() > 100, tile  # the box of a live face
    assert shot[rectangle(browser, "#chart")].std() > 2
    urls = browser.value("performance.getEntriesByType('resource').map(e => new URL(e.name).origin)")
    assert set(urls) == {stage.view.url.rstrip("/")}


def test_a_missing_modality_says_so(browser: Browser, stage: Stage) -> None:
    stage.frame = Frame(**{**vars(noise_frame()), "ir_lit": None, "ir_unlit": None})
    browser.open(stage.view.url)
    browser.wait("document.querySelectorAll('figure.shown').length === 2")
    assert (
        browser.value("document.querySelector('figure[data-tile=ir]').innerText")
        .strip()
        .endswith("This camera gives none")
    )


def test_silence_and_an_ended_stream_never_leave_the_old_answer(browser: Browser, stage: Stage) -> None:
    browser.open(stage.view.url)
    browser.wait("document.body.dataset.state === 'bona_fide'")
    stage.frame, stage.line = None, line(90, Verdict.NO_DECISION, frame=None, device_ns=None, reason=Reason.FRAME_STALE)
    browser.wait("document.body.dataset.state === 'no_decision' && document.body.dataset.fresh === 'no'")
    stage.frame, stage.line = noise_frame(), line(120)
    browser.wait("document.body.dataset.state === 'bona_fide'")
    stage.silent = True
    browser.wait("document.body.dataset.state === 'lost'")
    assert browser.value(TEXT.format("headline")) == "No answer"
    stage.silent = False
    browser.wait("document.body.dataset.state === 'bona_fide'")
    stage.close()
    browser.wait("document.body.dataset.state === 'lost' && document.getElementById('link').dataset.link === 'lost'")


@pytest.mark.parametrize("dark", [False, True])
def test_it_fits_a_phone(browser: Browser, stage: Stage, dark: bool) -> None:
    browser.open(stage.view.url, width_px=390, height_px=844, phone=True, dark=dark)
    browser.wait("document.querySelectorAll('figure.shown').length === 3")
    assert browser.value("document.documentElement.scrollWidth") == 390
    every = "[...document.querySelectorAll('main *')].filter(e => !e.closest('svg'))"
    assert browser.value(f"{every}.filter(e => e.getBoundingClientRect().right > 390.5).map(e => e.outerHTML)") == []
    assert (
        browser.value("document.querySelector('.verdict').getBoundingClientRect().top") < 200
    )  # the answer comes first
    ground = browser.value("getComputedStyle(document.body).backgroundColor")
    assert (sum(int(part) for part in ground[4:-1].split(",")) < 200) == dark


def test_nothing_jumps_when_the_words_change(browser: Browser, stage: Stage) -> None:
    """Each section stays where it is, whatever is decided."""
    tops = (
        "JSON.stringify([...document.querySelectorAll('main > *')].map(e => Math.round(e.getBoundingClientRect().top)))"
    )
    for size in ({"width_px": 1280}, {"width_px": 390, "height_px": 844, "phone": True}):
        stage.line = line(30)
        browser.open(stage.view.url, **size)
        browser.wait(
            "document.querySelectorAll('figure.shown').length === 3 && document.body.dataset.state === 'bona_fide'"
        )
        found = set()
        for told in (line(30), line(60, Verdict.ATTACK), too_far(), line(300_000)):
            stage.line = told
            browser.wait(f"document.body.dataset.state === '{told.state.decision.value}'")
            browser.wait(f"{TEXT.format('why')} === '{say(told).why}'")
            found.add(browser.value(tops))
        assert len(found) == 1, found


def test_a_token_is_taken_out_of_the_address(browser: Browser) -> None:
    view = WebView(About("small", "dir:x", "signed", 0.0, None, False, "1"), SourceStats, host="127.0.0.1", port=0)
    try:
        view.update(noise_frame(), line())
        browser.open(view.url)
        browser.wait("document.querySelectorAll('figure.shown').length === 3")
        assert browser.value("location.search") == ""
        assert browser.value("document.cookie") == ""  # out of reach of scripts
        assert "unsigned" not in browser.value("document.getElementById('badges').innerText")
    finally:
        view.close()
