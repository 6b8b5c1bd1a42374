"""The web hook: what is sent, signed, tried again, and what a dead server costs."""

from __future__ import annotations

import hashlib
import hmac
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from edgefas.contracts import Verdict
from edgefas.errors import EdgefasError, UsageError
from edgefas.live.sinks import webhook
from edgefas.live.sinks.webhook import Webhook, checked_url, read_secret
from tests.live.lines import line
from tests.live.waiting import PATIENCE_S, wait_for


class Server:
    """An HTTP server that answers as `answers` says, then 204, and keeps what it was sent."""

    def __init__(self) -> None:
        self.answers: list[int | Callable[[BaseHTTPRequestHandler], None]] = []
        self.bodies: list[bytes] = []
        self.headers: list[Any] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                outer.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
                outer.headers.append(self.headers)
                answer = outer.answers.pop(0) if outer.answers else 204
                if not isinstance(answer, int):
                    answer(self)
                    return
                self.send_response(answer)
                if 300 <= answer < 400:
                    self.send_header("Location", f"{outer.url}elsewhere")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(body)["line"] for body in self.bodies]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def server() -> Iterator[Server]:
    found = Server()
    yield found
    found.close()


def quick(url: str, **options: Any) -> Webhook:
    return Webhook(url, **{"first_pause_s": 0.01, "longest_pause_s": 0.05, **options})


STATES = [Verdict.NO_DECISION, Verdict.NO_DECISION, Verdict.BONA_FIDE, Verdict.BONA_FIDE, Verdict.ATTACK]


def test_changes_of_state_are_posted_and_nothing_else(server: Server) -> None:
    hook = quick(server.url)
    for number, state in enumerate(STATES, 1):
        hook.update(None, line(number, state))
    wait_for(lambda: hook.counts.delivered == 3)
    hook.close()
    assert server.lines == [json.loads(line(n, STATES[n - 1]).to_json()) for n in (1, 3, 5)]
    body = json.loads(server.bodies[0])
    assert list(body) == ["schema", "delivery", "sent_unix_ms", "age_ms", "line"]
    assert body["schema"] == "edgefas.webhook/1"
    assert len({json.loads(body)["delivery"] for body in server.bodies}) == 3
    assert webhook.SIGNATURE not in server.headers[0]
    assert hook.summary() == f"{server.url}: 3 delivered"


def test_every_line_when_asked(server: Server) -> None:
    hook = quick(server.url, every_line=True)
    for number, state in enumerate(STATES, 1):
        hook.update(None, line(number, state))
    wait_for(lambda: hook.counts.delivered == 5)
    hook.close()
    assert [row["frame"] for row in server.lines] == [1, 2, 3, 4, 5]


def test_the_signature_is_that_of_the_body(server: Server, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("0123456789abcdef\n")
    hook = quick(server.url, secret=read_secret(tmp_path / "secret"))
    hook.update(None, line())
    wait_for(lambda: hook.counts.delivered == 1)
    hook.close()
    wanted = hmac.new(b"0123456789abcdef", server.bodies[0], hashlib.sha256).hexdigest()
    assert server.headers[0][webhook.SIGNATURE] == f"sha256={wanted}"


def test_failures_are_tried_again_with_the_same_delivery(server: Server) -> None:
    server.answers = [503, lambda handler: handler.connection.shutdown(socket.SHUT_RDWR), 429, 500]
    hook = quick(server.url)
    hook.update(None, line())
    wait_for(lambda: hook.counts.delivered == 1)
    hook.close()
    assert hook.counts.retries == 4
    assert len(server.bodies) == 5
    assert len({json.loads(body)["delivery"] for body in server.bodies}) == 1


@pytest.mark.parametrize("status", [301, 302, 307, 308, 400, 401, 404])
def test_refusals_and_redirects_are_neither_followed_nor_repeated(server: Server, status: int) -> None:
    server.answers = [status]
    hook = quick(server.url)
    hook.update(None, line(1))
    wait_for(lambda: hook.counts.refused == 1)
    assert len(server.bodies) == 1
    hook.update(None, line(2))  # the same state: sent, because the other side may not know it
    wait_for(lambda: hook.counts.delivered == 1)
    hook.close()
    assert [row["frame"] for row in server.lines] == [1, 2]


def test_a_dead_server_costs_nothing_and_its_return_is_told_the_newest() -> None:
    with socket.socket() as taken:  # bound and never listening: each connection is refused
        taken.bind(("127.0.0.1", 0))
        hook = quick(f"http://127.0.0.1:{taken.getsockname()[1]}/", every_line=True)
        for number in range(1, 1001):
            hook.update(None, line(number))
        wait_for(lambda: hook.counts.retries > 3)
        assert len(hook._waiting) == webhook.WAITING
        assert hook.counts.dropped == 1000 - webhook.WAITING
        assert [item.delivery for item in hook._waiting][-1] == 1000
        hook.close()
    assert not hook._thread.is_alive()
    assert (hook.counts.delivered, hook.counts.dropped) == (0, 1000)


def test_old_lines_are_never_sent_and_the_newest_is_sent_instead(server: Server) -> None:
    server.answers = [503] * 3
    hook = quick(server.url, max_age_s=0.0)
    hook.update(None, line(1, Verdict.BONA_FIDE))
    wait_for(lambda: hook.counts.expired == 1)
    assert not server.bodies
    hook._max_age_s = 1e6
    hook.update(None, line(2, Verdict.BONA_FIDE))
    wait_for(lambda: hook.counts.delivered == 1)
    hook.close()
    assert {row["frame"] for row in server.lines} == {2}


def test_a_server_that_never_answers_ends_neither_the_stream_nor_the_end(server: Server) -> None:
    release = threading.Event()
    server.answers = [lambda handler: release.wait(PATIENCE_S) and None] * 9
    hook = quick(server.url, timeout_s=1e4)
    hook.update(None, line(1))
    wait_for(lambda: server.bodies)
    for number in range(2, 300):
        hook.update(None, line(number, Verdict.ATTACK if number % 2 else Verdict.BONA_FIDE))
    begin = time.monotonic()
    hook.close()
    assert time.monotonic() - begin < webhook.END_S + 30  # a bound, not a speed
    release.set()


def test_a_server_that_hangs_is_given_up(server: Server) -> None:
    release = threading.Event()
    server.answers = [lambda handler: release.wait(PATIENCE_S) and None]
    hook = quick(server.url, timeout_s=0.2)
    hook.update(None, line(1))
    wait_for(lambda: hook.counts.delivered == 1)
    hook.close()
    release.set()
    assert len(server.bodies) == 2


@pytest.mark.parametrize(
    "url",
    [
        "ftp://host/x", "file:/" + "//secret", "host/path", "http://", "https:///x", "http://name:password@host/",
        "http://host:99999/", "http://host:0/", "http://host/a b", "http://host/\nX: y", "http://[::1/", "http://hôst/",
        "http://host/#f", "javascript:alert(1)", "",
    ],
)  # fmt: skip
def test_bad_addresses_are_usage_errors(url: str) -> None:
    with pytest.raises(UsageError, match="--webhook") as found:
        checked_url(url)
    assert "password" not in str(found.value) or "no name or password" in str(found.value)


def test_good_addresses_are_shown_without_their_query() -> None:
    assert checked_url("https://host:8443/hook?key=secret") == "https://host:8443/hook"
    assert checked_url("http://[::1]:80/") == "http://[::1]:80/"


@pytest.mark.parametrize("content", [b"", b"short", b"\n" * 40, b"x" * 5000])
def test_bad_secrets_are_usage_errors(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "secret").write_bytes(content)
    with pytest.raises(UsageError, match="16 to 4096"):
        read_secret(tmp_path / "secret")
    with pytest.raises(EdgefasError, match="No such file"):
        read_secret(tmp_path / "none")
