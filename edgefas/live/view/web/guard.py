"""Who may ask for what: method, Host, token; and the headers that every answer carries. Plain ASGI, no dependency."""

from __future__ import annotations

import hashlib
import hmac
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import Any, Final
from urllib.parse import parse_qs

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

log = logging.getLogger(__name__)

LOOPBACK_NAMES: Final = frozenset({"localhost", "127.0.0.1", "[::1]"})

HEADERS: Final = [
    # default-src 'none': nothing from elsewhere, nothing inline; works without any network
    (
        b"content-security-policy",
        b"default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
        b"base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), microphone=(), geolocation=()"),
    (b"cache-control", b"no-store"),
]

Refusal = tuple[int, str]
NO_TOKEN: Final = (401, "This page needs a token: open the address that `edgefas live` printed.")
WRONG_TOKEN: Final = (403, "Wrong token: open the address that `edgefas live` printed when it started last.")


class Guard:
    """Lets pass what `refusal` finds nothing against; an exception behind it is logged and answered with 500."""

    def __init__(self, app: App, token: str | None) -> None:
        self._app, self._token = app, token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        started = False

        async def guarded(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                message["headers"] = [*message.get("headers", []), *HEADERS]
            await send(message)

        refused = refusal(scope, self._token)
        if refused is not None:
            await _answer(guarded, *refused)
            return
        try:
            await self._app(scope, receive, guarded)
        except Exception:  # a defect of the page must reach the log, and no stranger
            log.exception("the page failed; decisions go on")
            if not started:
                await _answer(guarded, 500, "The page failed; the log of `edgefas live` says why.")


def refusal(scope: Scope, token: str | None) -> Refusal | None:
    """Why a request is refused: (status, text), or None.

    Without a token the server listens on loopback alone, and the Host must be a name of loopback: else a site that
    points its own name at 127.0.0.1 (DNS rebinding) could read the pictures through a browser on this machine.
    """
    if scope["method"] != "GET":
        return 405, "Only GET."
    headers = [(key.lower(), value.decode("latin-1")) for key, value in scope["headers"]]
    if dict(headers).get(b"sec-fetch-site") == "cross-site" and scope["path"] != "/":
        return 403, "Not for other sites."
    if token is None:
        hosts = [value for key, value in headers if key == b"host"]
        return None if len(hosts) == 1 and host_name(hosts[0]) in LOOPBACK_NAMES else (421, "Not a name of loopback.")
    return _token_refusal(scope, [value for key, value in headers if key == b"cookie"], token)


def host_name(host: str) -> str:
    """The Host header without its port: an SSH tunnel may end at any."""
    name, colon, port = host.rpartition(":")
    return (name if colon and port.isascii() and port.isdigit() else host).lower()


def cookie_name(token: str) -> str:
    """A name of its own for each server: browsers share cookies between all ports of a machine."""
    return f"edgefas-{hashlib.sha256(token.encode()).hexdigest()[:8]}"


def query_token(scope: Scope) -> str | None:
    """The token of the query, if there is exactly one."""
    try:
        found = parse_qs(scope["query_string"].decode("ascii"), max_num_fields=8).get("token", [])
    except ValueError:  # not ASCII, or too many fields
        return None
    return found[0] if len(found) == 1 else None


def _token_refusal(scope: Scope, cookies: list[str], token: str) -> Refusal | None:
    shown = [query_token(scope), *(_cookie_token(cookie, cookie_name(token)) for cookie in cookies)]
    given = [text for text in shown if text is not None]
    if not given:
        return NO_TOKEN
    # every one is compared, in constant time; bytes, for compare_digest refuses text beyond ASCII
    right = [hmac.compare_digest(text.encode("utf-8", "surrogatepass"), token.encode()) for text in given]
    return None if any(right) else WRONG_TOKEN


def _cookie_token(cookie: str, name: str) -> str | None:
    try:
        morsel = SimpleCookie(cookie).get(name)
    except CookieError:
        return None
    return None if morsel is None else morsel.value


async def _answer(send: Send, status: int, text: str) -> None:
    body = f"{text}\n".encode()
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode())]
    if status == 405:
        headers.append((b"allow", b"GET"))
    # closing: whatever body came with a refused request is never read
    await send({"type": "http.response.start", "status": status, "headers": [*headers, (b"connection", b"close")]})
    await send({"type": "http.response.body", "body": body})
