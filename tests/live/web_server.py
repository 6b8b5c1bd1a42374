"""The page's server and those who look at it, for the tests."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from edgefas.contracts import Policy
from edgefas.live.loop import decide_stream
from edgefas.live.observer import Observers
from edgefas.live.view.web.hub import About
from edgefas.live.view.web.server import WebView
from edgefas.sensors.frame import Frame
from edgefas.sensors.source import SourceStats
from tests.live.test_loop import Constant, Script
from tests.live.waiting import PATIENCE_S, wait_for
from tests.scenes import face, noise_frame

ABOUT = About("small", "simulated:seed=1", "unsigned", -0.5, "only a test", True, "1.2.3")


def stats() -> SourceStats:
    return SourceStats(delivered=7, dropped=3, restarts=1)


@contextlib.contextmanager
def serving(**options: Any) -> Iterator[WebView]:
    view = WebView(ABOUT, stats, port=0, **options)
    try:
        yield view
    finally:
        view.close()
    assert not view._thread.is_alive()


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
