"""Wrong requests, slow viewers, failing pages: decisions go on."""

from __future__ import annotations

import contextlib
import json
import logging
import random
import socket

import pytest

from edgefas.live.observer import Observers
from edgefas.live.view.web import app, server
from edgefas.live.view.web.server import WebView
from edgefas.sensors.frame import Frame
from tests.live.lines import line
from tests.live.waiting import PATIENCE_S, wait_for
from tests.live.web_server import Events, Pipeline, address, get, raw, serving


def _requests(rng: random.Random) -> list[bytes]:
    """Wrong requests: some by hand, more by mangling right ones."""
    right = [
        b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        b"GET /events HTTP/1.1\r\nHost: localhost\r\nCookie: edgefas=x\r\n\r\n",
        b"GET /picture.jpg?token=abc HTTP/1.1\r\nHost: 127.0.0.1:1\r\nAccept: */*\r\n\r\n",
    ]
    made = [
        b"", b"\r\n" * 500, b"\0" * 5000, b"GET", b"GET /", b"GET / HTTP/9.9\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n",
        b"GET  /  HTTP/1.1\r\nHost: localhost\r\n\r\n", b"GET /\x80\xff HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 200_000 + b"\r\n\r\n",
        b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X: y\r\n" * 20_000 + b"\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999\r\n\r\n" + b"x" * 100_000,
        b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFF\r\n" + b"x" * 9999,
        b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 500,
        b"GET http://evil.example/ HTTP/1.1\r\nHost: evil.example\r\n\r\n",
        b"CONNECT evil.example:443 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        right[2] * 200,
    ]  # fmt: skip
    for _ in range(60):
        data = bytearray(rng.choice(right))
        for _ in range(rng.randint(1, 8)):
            place = rng.randrange(len(data))
            match rng.randrange(3):
                case 0:
                    data[place] = rng.randrange(256)
                case 1:
                    del data[place : place + rng.randint(1, 9)]
                case _:
                    data[place:place] = rng.randbytes(rng.randint(1, 40))
            data = data or bytearray(b" ")
        made.append(bytes(data))
    return made


def test_wrong_requests_are_survived(view: WebView, pipeline: Pipeline, caplog: pytest.LogCaptureFixture) -> None:
    for data in _requests(random.Random(8642)):
        answer = raw(view, data)
        # an h11 server answers or hangs up; what it gives is a whole page or a refusal, never a traceback
        assert b"Traceback" not in answer
    pipeline.goes_on()
    assert get(view)[0] == 200
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


def test_huge_heads_are_cut_off(idle: WebView) -> None:
    answer = raw(idle, b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * (server.MAX_HEAD_BYTES + 70_000))
    assert answer.startswith(b"HTTP/1.1 400") or answer == b""  # empty: cut while we were still sending


def test_a_failing_page_is_logged_and_decisions_go_on(
    view: WebView, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(moment: object) -> None:
        raise ZeroDivisionError("planted")

    monkeypatch.setattr(app, "paint", broken)
    status, headers, body = get(view, "/picture.jpg")
    assert status == 500
    assert b"planted" not in body
    assert "content-security-policy" in headers
    wait_for(lambda: "planted" in caplog.text)  # Starlette answers first
    pipeline.goes_on()


def test_a_view_that_fails_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    class Broken:
        def update(self, frame: Frame | None, line: object) -> None:
            raise ZeroDivisionError("planted")

        def close(self) -> None:
            raise ZeroDivisionError("planted too")

        def summary(self) -> None:
            return None

    heard: list[object] = []

    class Good(Broken):
        def update(self, frame: Frame | None, line: object) -> None:
            heard.append(line)

        def close(self) -> None:
            heard.append("closed")

    with Observers([Good(), Broken()]) as observers:
        for number in range(1, 4):
            observers.update(None, line(number))
    assert heard == [line(1), line(2), line(3), "closed"]
    assert observers.summaries() == ["Broken failed 3 times"]
    assert caplog.text.count("planted\n") == 1  # once, not thirty times a second


def test_a_viewer_who_reads_nothing_is_told_the_newest_and_little_else(still: Frame) -> None:
    """What is kept for the sleeper is bounded by buffers, not by the time he sleeps."""
    with serving(events_hz=2000.0) as view:
        sleeper, reader = Events(view), Events(view)
        sleeper.head(), reader.head(), reader.next()
        number = told = 0
        while told < 3000 and number < 200_000:  # the reader shows that events really flow
            number += 1
            view.update(still, line(number))
            event = reader.next()[1] if number % 5 == 0 else None
            told = event["number"] if event else told
        written = number * len(json.dumps(event))
        last = number + 1
        view.update(still, line(last))
        while sleeper.next()[1].get("number") != last:
            pass
        assert sleeper.bytes < 400_000
        assert written > 5 * sleeper.bytes
        sleeper.close(), reader.close()


def test_a_viewer_who_reads_nothing_is_cut_in_the_end(still: Frame) -> None:
    with serving(events_hz=2000.0, patience_s=0.3) as view:
        sleeper = Events(view)
        count = wait_for(lambda: len(view._server.server_state.connections))
        assert count == 1
        numbers = iter(range(1, 10**9))
        wait_for(lambda: view.update(still, line(next(numbers))) or not view._server.server_state.connections)
        sleeper.close()


def test_who_asks_for_nothing_is_cut() -> None:
    with serving(patience_s=0.1) as hasty, socket.create_connection(address(hasty), timeout=PATIENCE_S) as link:
        link.sendall(b"GET / HT")  # and never the rest
        with contextlib.suppress(ConnectionResetError):
            assert link.recv(100) == b""
        wait_for(lambda: not hasty._server.server_state.connections)


@pytest.mark.parametrize("view", [1e6], indirect=True)  # nobody is cut for being slow
def test_viewers_and_connections_are_bounded(view: WebView, pipeline: Pipeline) -> None:
    viewers = [Events(view) for _ in range(app.MAX_VIEWERS)]
    assert all("200 OK" in viewer.head() for viewer in viewers)
    assert get(view, "/events")[0] == 503
    viewers.pop().close()
    newcomer = Events(view)  # fills the place, as soon as it is seen to be free
    while "200 OK" not in newcomer.head():
        newcomer.close()
        newcomer = Events(view)
    viewers.append(newcomer)
    links = []
    for _ in range(3 * server.MAX_CONNECTIONS):
        links.append(socket.create_connection(address(view), timeout=PATIENCE_S))
    # all were seen: the last one was cut at once
    with contextlib.suppress(ConnectionResetError):
        assert links[-1].recv(1) == b""
    assert len(view._server.server_state.connections) <= server.MAX_CONNECTIONS
    pipeline.goes_on()
    for link in [*links, *viewers]:
        link.close()
    wait_for(lambda: len(view._server.server_state.connections) == 0)
    assert get(view)[0] == 200


def test_nothing_is_painted_while_nobody_watches(
    view: WebView, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    painted: list[int] = []
    paint = app.paint
    monkeypatch.setattr(app, "paint", lambda moment: painted.append(moment.number) or paint(moment))
    pipeline.goes_on()
    assert painted == []
    assert get(view, "/picture.jpg")[0] == 200
    assert len(painted) == 1
