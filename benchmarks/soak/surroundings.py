"""What a pipeline talks to: a log on a disk, a web hook's other side, a viewer of its page."""

from __future__ import annotations

import resource
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import edgefas
from edgefas.live.line import DecisionLine
from edgefas.live.model import LiveModel
from edgefas.live.observer import Observers
from edgefas.live.sinks.jsonl import JsonlLog
from edgefas.live.sinks.webhook import Webhook
from edgefas.live.view.web.hub import About
from edgefas.live.view.web.server import WebView
from edgefas.sensors.frame import Frame
from edgefas.sensors.source import SourceStats

_LOG_BYTES = 4 << 20


class Surroundings:
    """Log, web hook and page of a running pipeline, and the other side of each; a context manager."""

    def __init__(self, folder: Path, model: LiveModel, stats: Callable[[], SourceStats]) -> None:
        self._receiver = _Receiver(0)
        self.log = JsonlLog(folder / "decisions.jsonl", max_bytes=_LOG_BYTES, keep=2)
        self.webhook = Webhook(f"http://127.0.0.1:{self._receiver.port}/", longest_pause_s=1.0)
        threshold, version = model.policy.threshold, edgefas.__version__
        about = About(model.name, "software camera", model.trust, threshold, model.warning, True, version)
        self._page = WebView(about, stats, port=0)
        self._observers = Observers([self.log, self.webhook, self._page])

    def see(self, frame: Frame | None, line: DecisionLine) -> None:
        """Tell all of them."""
        self._observers.update(frame, line)

    def counts(self) -> dict[str, int]:
        """What was kept and what was lost on the way out."""
        hook = self.webhook.counts
        return {
            "log_lines": self.log.written,
            "log_lines_lost": self.log.lost,
            "webhook_delivered": hook.delivered,
            "webhook_dropped": hook.dropped + hook.expired,
            "webhook_retries": hook.retries,
        }

    @contextmanager
    def full_disk(self) -> Iterator[None]:
        """No file of this process may grow beyond a page: what a write then says, a full disk says, too."""
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))  # Python ignores SIGXFSZ, so the write fails
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    @contextmanager
    def dead_webhook(self) -> Iterator[None]:
        """Nobody listens at the hook's port."""
        port = self._receiver.port
        self._receiver.close()
        try:
            yield
        finally:
            self._receiver = _Receiver(port)

    @contextmanager
    def slow_viewer(self) -> Iterator[None]:
        """One who asks for the events of the page and reads nothing of them."""
        address = urlsplit(self._page.url)
        assert address.port is not None
        with socket.create_connection(("127.0.0.1", address.port)) as viewer:
            viewer.sendall(f"GET /events HTTP/1.1\r\nHost: {address.netloc}\r\n\r\n".encode())
            yield

    def __enter__(self) -> Surroundings:
        return self

    def __exit__(self, *_: object) -> None:
        self._observers.close()
        self._receiver.close()


class _Accepting(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class _Receiver:
    """The other side of a web hook."""

    def __init__(self, port: int) -> None:
        self._server = HTTPServer(("127.0.0.1", port), _Accepting)
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
