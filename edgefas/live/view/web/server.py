"""uvicorn in a thread: bounded connections, bounded headers, bounded patience; and the `Observer` that feeds it."""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import logging
import secrets
import socket
import threading
from collections.abc import Callable
from typing import Any, Final

from edgefas.errors import EdgefasError, require
from edgefas.live.line import DecisionLine
from edgefas.live.view.web.app import EVENTS_HZ, make_app
from edgefas.live.view.web.hub import About, Hub
from edgefas.sensors.frame import Frame
from edgefas.sensors.source import SourceStats

log = logging.getLogger(__name__)

LOOPBACK: Final = "127.0.0.1"
PORT: Final = 8642
MAX_CONNECTIONS: Final = 64
MAX_HEAD_BYTES: Final = 16 * 1024
PATIENCE_S: Final = 10.0
"""A connection that asks for nothing, or reads nothing, for one to two of these is cut."""
SOCKET_BUFFER_BYTES: Final = 64 * 1024
"""Of the kernel, per viewer: its default would hold a minute of decisions for one who reads slowly."""
END_S: Final = 3.0


class ViewError(EdgefasError):
    """The view cannot be opened."""


class WebView:
    """The page at `url`; an `Observer`. Whatever happens to its thread, `update` only fills a slot."""

    def __init__(
        self,
        about: About,
        stats: Callable[[], SourceStats],
        *,
        host: str | None = None,
        port: int = PORT,
        events_hz: float = EVENTS_HZ,
        patience_s: float = PATIENCE_S,
    ) -> None:
        """Listen, then serve.

        Args:
            host: address to listen at, which makes a token; None is loopback without one.
            port: 0 takes a free one.

        Raises:
            MissingExtra: Starlette or uvicorn is not installed.
            ViewError: the address or port cannot be had.
        """
        uvicorn = require("uvicorn", "web")
        token = None if host is None else secrets.token_urlsafe(24)
        self._hub = Hub(about, stats)
        config = uvicorn.Config(
            make_app(self._hub, token, events_hz),
            http=_protocol(patience_s),
            h11_max_incomplete_event_size=MAX_HEAD_BYTES,
            ws="none",
            lifespan="off",
            loop="asyncio",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=1,
        )
        # what strangers send is no news: only uvicorn's own failures are
        logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
        self._listener = _listen(host or LOOPBACK, port)
        self._server = uvicorn.Server(config)
        self.url = _url(host, self._listener.getsockname()[1], token)
        self._thread = threading.Thread(target=self._serve, name="edgefas web", daemon=True)
        self._thread.start()

    def update(self, frame: Frame | None, line: DecisionLine) -> None:
        """See `Observer`."""
        self._hub.publish(frame, line)

    def summary(self) -> None:
        """See `Observer`."""

    def close(self) -> None:
        """See `Observer`."""
        self._hub.closed = True
        self._server.should_exit = True
        self._thread.join(END_S)
        self._listener.close()

    def _serve(self) -> None:
        try:
            asyncio.run(self._server.serve(sockets=[self._listener]))
        except Exception:  # nobody waits for this thread: only the log hears of its end
            log.exception("the page at %s ended; decisions go on", self.url.partition("?")[0])


def _listen(host: str, port: int) -> socket.socket:
    """A listening socket, bound before anything is decided, so that a port in use is an error of the start.

    Raises:
        ViewError: see `WebView`.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
    except (OSError, UnicodeError) as error:
        raise ViewError(f"--host {host}: {error}; give an address of this machine, or 0.0.0.0 for all") from None
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SOCKET_BUFFER_BYTES)  # accepted ones inherit it
        listener.bind(address)
        listener.listen(MAX_CONNECTIONS)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            taken = f"port {port} is in use, maybe by another edgefas live"
            raise ViewError(f"{taken}; choose another: --port {port + 1 if port < 65535 else PORT}") from None
        if error.errno == errno.EACCES:
            raise ViewError(f"port {port} is not allowed to you; choose one above 1023: --port {PORT}") from None
        raise ViewError(f"cannot listen at {host}, port {port}: {error.strerror}; see: ip address") from None
    return listener


def _url(host: str | None, port: int, token: str | None) -> str:
    """What to open: a wildcard address has no meaning elsewhere, so it becomes the machine's name."""
    name = host or LOOPBACK
    try:
        address = ipaddress.ip_address(name)
        if address.is_unspecified:
            name = socket.gethostname()
        elif address.version == 6:
            name = f"[{name}]"
    except ValueError:
        pass  # a name already
    return f"http://{name}:{port}/" + (f"?token={token}" if token else "")


def _protocol(patience_s: float) -> type[asyncio.Protocol]:
    """uvicorn's HTTP protocol with limits that it lacks: connections are bounded (each holds a file handle, which
    the camera needs too), and one that stalls while asking or reading is cut."""
    from uvicorn.protocols.http.h11_impl import H11Protocol

    class Bounded(H11Protocol):
        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            if len(self.connections) > MAX_CONNECTIONS:
                transport.abort()
                return
            self._watch()

        def connection_lost(self, exc: Exception | None) -> None:
            if hasattr(self, "_watcher"):
                self._watcher.cancel()
            super().connection_lost(exc)

        def _watch(self) -> None:
            self._watcher = self.loop.call_later(patience_s, self._look, self.cycle, self.flow.write_paused)

        def _look(self, last: Any, was_full: bool) -> None:
            asked_nothing = self.cycle is last and (last is None or last.response_complete)
            read_nothing = was_full and self.flow.write_paused
            if asked_nothing or read_nothing:
                self.transport.abort()
            else:
                self._watch()

    return Bounded
