"""The log and the web hook against what breaks them: full disks, torn files, dead, slow and lying servers."""

from __future__ import annotations

import errno
import hashlib
import hmac
import json
import os
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
from edgefas.live.sinks import jsonl, webhook
from edgefas.live.sinks.jsonl import JsonlLog, LogError
from edgefas.live.sinks.webhook import Webhook, checked_url, read_secret
from tests.live.lines import line

PATIENCE_S = 60.0


def wait_for(holds: Callable[[], Any]) -> Any:
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        if found := holds():
            return found
        time.sleep(0.01)
    raise AssertionError("not in time")


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(text) for text in path.read_text().splitlines()]


# -- log ---------------------------------------------------------------------------------------------------------------


def test_every_line_is_logged_as_json_gives_it_and_appended_to(tmp_path: Path) -> None:
    path = tmp_path / "decisions.jsonl"
    for begin in (1, 6):
        sink = JsonlLog(path)
        for number in range(begin, begin + 5):
            sink.update(None, line(number))
        sink.close()
    assert path.read_text().splitlines() == [line(number).to_json() for number in range(1, 11)]
    assert sink.summary() == f"{path}: 5 lines"


def test_it_rotates_by_size_and_keeps_so_many(tmp_path: Path) -> None:
    path = tmp_path / "d.jsonl"
    size = len(line(1000).to_json()) + 1
    sink = JsonlLog(path, max_bytes=3 * size, keep=2)
    for number in range(1000, 1010):
        sink.update(None, line(number))
    sink.close()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["d.jsonl", "d.jsonl.1", "d.jsonl.2"]
    kept = [[row["frame"] for row in rows(path.with_name(name))] for name in ("d.jsonl.2", "d.jsonl.1", "d.jsonl")]
    assert kept == [[1003, 1004, 1005], [1006, 1007, 1008], [1009]]
    assert all(file.stat().st_size <= 3 * size for file in tmp_path.iterdir())


def test_keeping_none_starts_anew(tmp_path: Path) -> None:
    path = tmp_path / "d.jsonl"
    size = len(line(1000).to_json()) + 1
    sink = JsonlLog(path, max_bytes=2 * size, keep=0)
    for number in range(1000, 1005):
        sink.update(None, line(number))
    sink.close()
    assert [file.name for file in tmp_path.iterdir()] == ["d.jsonl"]
    assert [row["frame"] for row in rows(path)] == [1004]


def test_a_half_line_of_a_power_cut_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "d.jsonl"
    path.write_text(line(1).to_json() + "\n" + line(2).to_json()[:70])
    sink = JsonlLog(path)
    sink.update(None, line(3))
    sink.close()
    assert [row["frame"] for row in rows(path)] == [1, 3]


@pytest.mark.parametrize("text", ["hello\n", '{"schema":"other"}', "\0\0\0", '{"precious": 1}'])
def test_another_file_is_refused_and_left_as_it_was(tmp_path: Path, text: str) -> None:
    path = tmp_path / "notes.json"
    path.write_text(text)
    with pytest.raises(LogError, match="no decision log"):
        JsonlLog(path)
    assert path.read_text() == text


def test_what_cannot_be_opened_is_an_error_of_the_start(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "none" / "d.jsonl", tmp_path, tmp_path / "pipe"):
        with pytest.raises(LogError, match="--log"):
            JsonlLog(path)


class FullDisk:
    """Stands for `os.write`: takes half of what it is given while the disk is full, then says so."""

    def __init__(self) -> None:
        self.full = False
        self.refused = 0
        self._write = os.write
        self._taken_half = False

    def __call__(self, file: int, data: bytes) -> int:
        if not self.full:
            return self._write(file, data)
        self._taken_half = not self._taken_half
        if self._taken_half:
            return self._write(file, data[: len(data) // 2])
        self.refused += 1
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_loses_lines_counts_them_and_is_written_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    disk = FullDisk()
    monkeypatch.setattr(jsonl.os, "write", disk)
    monkeypatch.setattr(jsonl, "RETRY_S", 0.01)
    path = tmp_path / "d.jsonl"
    sink = JsonlLog(path)
    sink.update(None, line(1))
    wait_for(lambda: sink.written == 1)
    disk.full = True
    for number in range(2, 6):
        sink.update(None, line(number))
    wait_for(lambda: sink.lost == 4)
    wait_for(lambda: disk.refused > 1 or sink.update(None, line(6)))  # it goes on trying, with what comes
    disk.full = False
    wait_for(lambda: sink.written > 1 or sink.update(None, line(7)))
    sink.close()
    found = rows(path)  # each is whole
    assert found[0]["frame"] == 1
    assert [row for row in found if row["schema"] == "edgefas.gap/1"] == [found[1]]
    assert found[1] == {"schema": "edgefas.gap/1", "lost": sink.lost}
    assert {row["frame"] for row in found[2:]} <= {6, 7}
    assert "No space left on device" in caplog.text
    assert f"{sink.lost} lines were lost" in caplog.text
    assert f"{sink.lost} lost" in sink.summary()


def test_a_disk_that_hangs_holds_up_nobody_and_memory_is_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hang, hung = threading.Event(), threading.Event()
    write = os.write

    def slow(file: int, data: bytes) -> int:
        hung.set()
        assert hang.wait(PATIENCE_S)
        return write(file, data)

    monkeypatch.setattr(jsonl.os, "write", slow)
    sink = JsonlLog(tmp_path / "d.jsonl")
    sink.update(None, line(1))
    assert hung.wait(PATIENCE_S)
    for number in range(2, 2002 + jsonl.WAITING_LINES):
        sink.update(None, line(number))
    assert len(sink._waiting) == jsonl.WAITING_LINES
    hang.set()
    sink.close()
    found = rows(tmp_path / "d.jsonl")
    assert found[0]["frame"] == 1
    assert found[1] == {"schema": "edgefas.gap/1", "lost": 2000}
    assert [row["frame"] for row in found[2:]] == list(range(2002, 2002 + jsonl.WAITING_LINES))


def test_a_change_of_state_is_forced_to_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    fsync = os.fsync
    monkeypatch.setattr(jsonl, "SYNC_S", 1e6)
    monkeypatch.setattr(jsonl.os, "fsync", lambda file: (fsync(file), synced.append(os.fstat(file).st_size)))
    sink = JsonlLog(tmp_path / "d.jsonl")
    size = 0
    for number, state in enumerate([Verdict.ATTACK] * 3 + [Verdict.BONA_FIDE] * 3, 1):
        sink.update(None, line(number, state, state))
        size += len(line(number, state, state).to_json()) + 1
        wait_for(lambda: sink.written == number)  # noqa: B023 - called within the turn
        if number in (1, 4):
            wait_for(lambda: synced and synced[-1] == size)  # noqa: B023
    assert len(synced) == 2
    sink.close()
    assert synced[2:] == [size]


def test_a_file_moved_away_is_opened_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "d.jsonl"
    sink = JsonlLog(path)
    sink.update(None, line(1))
    wait_for(lambda: sink.written == 1)
    path.rename(tmp_path / "moved")
    sink.update(None, line(2, Verdict.ATTACK))  # a change: synced, and the place is looked at
    wait_for(lambda: sink._file is None or path.exists())  # the latter when line 1 was synced only after the move
    sink.update(None, line(3))
    sink.close()
    moved, new = ([row["frame"] for row in rows(file)] for file in (tmp_path / "moved", path))
    assert moved in ([1], [1, 2])
    assert moved + new == [1, 2, 3]


# -- web hook ----------------------------------------------------------------------------------------------------------


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
