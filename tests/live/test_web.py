"""The page's server, as real sockets see it: what it gives, and how it starts and ends."""

from __future__ import annotations

import json
import socket
import threading

import cv2
import numpy as np
import pytest

from edgefas.errors import MissingExtra
from edgefas.live.view.web import app, guard
from edgefas.live.view.web.hub import CHART_S, MAX_POINTS, Hub
from edgefas.live.view.web.server import ViewError, WebView
from edgefas.sensors.frame import Frame
from tests.live.lines import line
from tests.live.web_server import ABOUT, Events, address, get, serving, stats


def test_the_page_its_files_and_their_headers(idle: WebView) -> None:
    for path, kind in {"/": "text/html", **{path: kind for path, (_, kind) in app.FILES.items()}}.items():
        status, headers, body = get(idle, path)
        assert (status, headers["content-type"].split(";")[0]) == (200, kind.split(";")[0])
        assert body
        for key, value in guard.HEADERS:
            assert headers[key.decode()] == value.decode()
        for elsewhere in (b"http://", b"https://", b"//cdn", b"@import"):
            assert elsewhere not in body.replace(b"http://www.w3.org/2000/svg", b"")
    assert "default-src 'none'" in headers["content-security-policy"]
    assert "unsafe" not in headers["content-security-policy"]


def test_pictures_are_those_of_the_newest_frame(view: WebView, still: Frame) -> None:
    assert get(view, "/picture.jpg")[0] == 204
    flat = {"ir_lit": np.full((480, 640), 40, np.uint8), "depth": np.full((480, 640), 875, np.uint16)}
    flat["color"] = np.full((480, 640, 3), (200, 30, 90), np.uint8)
    view.update(Frame(**{**vars(still), **flat}), line(1))
    status, headers, body = get(view, "/picture.jpg")
    assert (status, headers["content-type"]) == (200, "image/jpeg")
    told = json.loads(headers["x-edgefas-picture"])
    assert told["tiles"] == ["color", "ir", "depth"]
    assert (told["aligned"], told["ir_light"], told["decision"]) == (True, "lit", "bona_fide")
    assert told["box"] == [250 * 0.75, 170 * 0.75, 105.0, 105.0]
    sheet = cv2.imdecode(np.frombuffer(body, np.uint8), cv2.IMREAD_COLOR)
    assert sheet.shape == (360, 1440, 3)
    turbo = cv2.applyColorMap(np.full((1, 1), 127, np.uint8), cv2.COLORMAP_TURBO)[0, 0]  # 875 mm is half way
    for index, wanted in enumerate([(90, 30, 200), (40, 40, 40), turbo]):
        tile = sheet[20:340, 480 * index + 20 : 480 * index + 460].astype(int)
        assert np.abs(tile - np.array(wanted)).max() <= 6, index
    view.update(None, line(2))  # silence: an old picture is no picture
    assert get(view, "/picture.jpg")[0] == 204


def test_missing_modalities_are_left_out(view: WebView, still: Frame) -> None:
    view.update(Frame(**{**vars(still), "ir_lit": None, "ir_unlit": None, "depth": None}), line(1, face=None))
    told = json.loads(get(view, "/picture.jpg")[1]["x-edgefas-picture"])
    assert (told["tiles"], told["aligned"], told["ir_light"], told["box"]) == (["color"], False, None, None)


def test_events_tell_what_runs_and_each_line_in_words(view: WebView) -> None:
    viewer = Events(view)
    assert "text/event-stream" in viewer.head()
    name, about = viewer.next()
    assert name == "about"
    assert {key: about[key] for key in vars(ABOUT)} == vars(ABOUT)
    view.update(None, line(4))
    name, event = viewer.next()
    assert name == "line"
    assert event["line"] == json.loads(line(4).to_json())
    assert event["headline"] == "Live person"
    assert event["stats"]["dropped"] == 3
    assert [point[1:] for point in event["points"]] == [[3.25, "bona_fide", "bona_fide"]]
    viewer.close()


def test_a_late_viewer_gets_the_chart_once(view: WebView) -> None:
    for number in range(1, 101):
        view.update(None, line(number))
    viewer = Events(view)
    viewer.head(), viewer.next()
    assert len(viewer.next()[1]["points"]) == 100
    view.update(None, line(101))
    assert len(viewer.next()[1]["points"]) == 1
    viewer.close()


def test_the_chart_is_bounded() -> None:
    now, same = [0.0], line()
    hub = Hub(ABOUT, stats, lambda: now[0])
    for number in range(1, MAX_POINTS + 500):
        now[0] = number / 30
        hub.publish(None, same)
    assert len(hub._points) == MAX_POINTS
    event = hub.event(hub.newest, 0)
    assert len(event["points"]) == int(30 * CHART_S) + 1
    assert event["rate"] == pytest.approx(30, abs=0.6)


def test_a_port_in_use_names_the_flag(idle: WebView) -> None:
    with pytest.raises(ViewError, match="--port"):
        WebView(ABOUT, stats, port=address(idle)[1])


@pytest.mark.parametrize("host", ["192.0.2.1", "no such host", "host.invalid", "a" * 300, "\udcff"])
def test_a_wrong_address_is_a_short_error(host: str) -> None:
    with pytest.raises(ViewError) as found:
        WebView(ABOUT, stats, host=host, port=0)
    assert len(str(found.value)) < 500


def test_without_the_extra_the_pip_line_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "uvicorn", None)
    with pytest.raises(MissingExtra, match=r"edgefas\[web\]"):
        WebView(ABOUT, stats, port=0)


def test_closing_leaves_no_thread_and_frees_the_port() -> None:
    before = threading.active_count()
    with serving() as view:
        viewer = Events(view)
        viewer.head()
        port = address(view)[1]
    viewer.close()
    assert threading.active_count() == before
    with socket.socket() as again:
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        again.bind(("127.0.0.1", port))
