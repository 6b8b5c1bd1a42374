"""The page's server, as real sockets see it: what is refused, what slow viewers cost, and that decisions go on."""

from __future__ import annotations

import contextlib
import http.client
import json
import logging
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import cv2
import numpy as np
import pytest

from edgefas.contracts import Policy
from edgefas.errors import MissingExtra
from edgefas.live.loop import decide_stream
from edgefas.live.observer import Observers
from edgefas.live.view.web import app, guard, server
from edgefas.live.view.web.hub import CHART_S, MAX_POINTS, About, Hub
from edgefas.live.view.web.server import ViewError, WebView
from edgefas.sensors.frame import Frame
from edgefas.sensors.source import SourceStats
from tests.live.lines import line
from tests.live.test_loop import Constant, Script
from tests.scenes import face, noise_frame

ABOUT = About("small", "simulated:seed=1", "unsigned", -0.5, "only a test", True, "1.2.3")
PATIENCE_S = 60.0


def stats() -> SourceStats:
    return SourceStats(delivered=7, dropped=3, restarts=1)


def wait_for(holds: Callable[[], Any]) -> Any:
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        if found := holds():
            return found
        time.sleep(0.01)
    raise AssertionError("not in time")


@contextlib.contextmanager
def serving(**options: Any) -> Iterator[WebView]:
    view = WebView(ABOUT, stats, port=0, **options)
    try:
        yield view
    finally:
        view.close()
    assert not view._thread.is_alive()


@pytest.fixture
def view(request: pytest.FixtureRequest) -> Iterator[WebView]:
    """Its parameter, if any, is the server's patience."""
    with serving(patience_s=getattr(request, "param", server.PATIENCE_S)) as found:
        yield found


@pytest.fixture(scope="module")
def idle() -> Iterator[WebView]:
    """One without lines, for all that needs none."""
    with serving() as found:
        yield found


@pytest.fixture(scope="module")
def still() -> Frame:
    return noise_frame()


def address(view: WebView) -> tuple[str, int]:
    parts = urlsplit(view.url)
    return "127.0.0.1", parts.port or 0


def get(
    view: WebView, path: str = "/", headers: dict[str, str] | None = None, method: str = "GET"
) -> tuple[int, dict[str, str], bytes]:
    """Status, headers with small letters, body."""
    connection = http.client.HTTPConnection(*address(view), timeout=PATIENCE_S)
    try:
        connection.request(method, path, headers=headers or {})
        answer = connection.getresponse()
        return answer.status, {key.lower(): value for key, value in answer.getheaders()}, answer.read()
    finally:
        connection.close()


def raw(view: WebView, data: bytes) -> bytes:
    """What comes back for these bytes until the other side closes or falls silent."""
    with socket.create_connection(address(view), timeout=PATIENCE_S) as link:
        with contextlib.suppress(OSError):
            link.sendall(data)
            link.shutdown(socket.SHUT_WR)
        link.settimeout(0.05)
        got = b""
        with contextlib.suppress(OSError):
            while part := link.recv(1 << 16):
                got += part
        return got


class Events:
    """A viewer of the stream, over a socket with a small buffer."""

    def __init__(self, view: WebView, headers: str = "") -> None:
        self._link = socket.socket()
        self._link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self._link.settimeout(PATIENCE_S)
        self._link.connect(address(view))
        self._link.sendall(f"GET /events HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n".encode())
        self.bytes = 0
        self._text = b""

    def head(self) -> str:
        while b"\r\n\r\n" not in self._text:
            self._more()
        head, _, self._text = self._text.partition(b"\r\n\r\n")
        return head.decode()

    def next(self) -> tuple[str, Any]:
        """(event, value) of the next event."""
        while True:
            while b"\n\n" not in self._text:
                self._more()
            part, _, self._text = self._text.partition(b"\n\n")
            rows = dict(row.split(b": ", 1) for row in part.split(b"\n") if row.startswith((b"event: ", b"data: ")))
            if b"data" in rows:
                return rows[b"event"].decode(), json.loads(rows[b"data"])

    def _more(self) -> None:
        part = self._link.recv(1 << 16)
        assert part, "the stream ended"
        self.bytes += len(part)
        self._text += part  # chunk sizes stand on lines of their own, which `next` passes over

    def close(self) -> None:
        self._link.close()


# -- what is given -----------------------------------------------------------------------------------------------------


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


# -- who may look ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def open_view() -> Iterator[WebView]:
    with serving(host="127.0.0.1") as found:
        yield found


def token_of(view: WebView) -> str:
    return urlsplit(view.url).query.removeprefix("token=")


def test_a_token_opens_once_and_a_cookie_from_then_on(open_view: WebView) -> None:
    token = token_of(open_view)
    assert len(token) >= 32
    status, headers, _ = get(open_view, f"/?token={token}", {"Host": "192.0.2.7:8642"})
    assert (status, headers["location"]) == (303, "/")
    assert all(word in headers["set-cookie"] for word in ("HttpOnly", "SameSite=lax", "Path=/"))
    cookie = {"Cookie": headers["set-cookie"].split(";")[0]}
    for path in ("/", "/app.js", "/picture.jpg"):
        assert get(open_view, path, cookie)[0] in (200, 204)
    assert get(open_view, f"/picture.jpg?token={token}")[0] == 204


@pytest.mark.parametrize("path", ["/", "/app.js", "/picture.jpg", "/events", "/none"])
def test_without_the_token_nothing_is_given(open_view: WebView, path: str) -> None:
    token = token_of(open_view)
    assert get(open_view, path)[0] == 401
    name = guard.cookie_name(token)
    for wrong in (token[:-1], token + "a", token.swapcase(), "", "%00", "%F0%9F%98%80", "a" * 9000):
        query = f"?token={wrong}"
        status, _, body = get(open_view, path + query)
        assert status in (401, 403), wrong
        assert token.encode() not in body
    assert get(open_view, f"{path}?token=x&token={token}")[0] == 401  # two: whose is it?
    assert get(open_view, path, {"Cookie": f"{name}=wrong"})[0] == 403
    assert get(open_view, path, {"Cookie": f"other={token}"})[0] == 401
    assert get(open_view, path, {"Cookie": "\x7f=;;;=\xff"})[0] == 401


def test_each_start_has_a_token_of_its_own(open_view: WebView) -> None:
    with serving(host="127.0.0.1") as other:
        assert token_of(other) != token_of(open_view)


@pytest.mark.parametrize("host", ["localhost", "localhost:9000", "127.0.0.1", "127.0.0.1:1", "[::1]:8642", "LOCALHOST"])
def test_names_of_loopback_are_served(idle: WebView, host: str) -> None:
    assert get(idle, "/", {"Host": host})[0] == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:8642", "192.0.2.1", "", "127.0.0.1:x", "[::2]"],
)
def test_other_names_are_refused_on_loopback(idle: WebView, host: str) -> None:
    """A site that lets its own name point at 127.0.0.1 must not read the pictures."""
    assert get(idle, "/picture.jpg", {"Host": host})[0] == 421


def test_other_sites_cannot_embed(idle: WebView) -> None:
    assert get(idle, "/picture.jpg", {"Sec-Fetch-Site": "cross-site"})[0] == 403
    assert get(idle, "/", {"Sec-Fetch-Site": "cross-site"})[0] == 200  # a link
    assert get(idle, "/picture.jpg", {"Sec-Fetch-Site": "same-origin"})[0] == 204


@pytest.mark.parametrize("method", ["HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PATCH", "BREW"])
def test_only_get(idle: WebView, method: str) -> None:
    status, headers, _ = get(idle, "/", method=method)
    assert (status, headers["allow"]) == (405, "GET")


@pytest.mark.parametrize(
    "path",
    [
        "/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/..%2f..%2fetc/passwd", "/app.js/..", "//app.js", "/app.js/",
        "/app.js%00.html", "/\\..\\app.js", "/page/index.html", "/index.html", "/app.py", "/static/app.js", "/%",
        "/%ff%fe", "/" + "a" * 9000, "/" + "../" * 2000,
    ],
)  # fmt: skip
def test_no_path_leads_anywhere_else(idle: WebView, path: str) -> None:
    status, _, body = get(idle, path)
    assert status == 404
    assert b"root:" not in body


# -- while it decides --------------------------------------------------------------------------------------------------


class Pipeline:
    """The real loop over scripted frames, in a thread, watched by a page; counts its lines."""

    def __init__(self, view: WebView) -> None:
        self.lines = 0
        self._stop = False
        self._view = view
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        wait_for(lambda: self.lines)

    def _run(self) -> None:
        frames = [noise_frame(number, seed=number) for number in range(1, 4)]

        def endless() -> Iterator[Frame]:
            while not self._stop:
                yield frames[self.lines % 3]
                time.sleep(0.002)

        source, found = Script([]), [face()]
        source._events = endless()
        observers = Observers([self._view])
        stream = decide_stream(source, Constant(2.0), Policy(), "unsigned", lambda frame, last: found)
        for frame, decided in stream:
            observers.update(frame, decided)
            self.lines += 1
        self.failures = observers.summaries()

    def goes_on(self) -> None:
        """Wait for ten more lines."""
        begin = self.lines
        wait_for(lambda: self.lines > begin + 10)

    def close(self) -> None:
        self._stop = True
        self._thread.join()
        assert self.failures == []


@pytest.fixture
def pipeline(view: WebView) -> Iterator[Pipeline]:
    running = Pipeline(view)
    yield running
    running.close()


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


# -- start and end -----------------------------------------------------------------------------------------------------


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
