"""The web hook: changes of state, or every line, as HTTP POST. In a thread of its own; bounded in memory and time."""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import logging
import random
import secrets
import threading
import time
import urllib.error
import urllib.request
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import edgefas
from edgefas.contracts import Verdict
from edgefas.errors import UsageError
from edgefas.live.line import DecisionLine
from edgefas.sensors.frame import Frame

log = logging.getLogger(__name__)

SCHEMA: Final = "edgefas.webhook/1"
SIGNATURE: Final = "X-Edgefas-Signature"
WAITING: Final = 64
TIMEOUT_S: Final = 5.0
FIRST_PAUSE_S: Final = 0.5
LONGEST_PAUSE_S: Final = 30.0
MAX_AGE_S: Final = 10.0
"""An older line is not sent: a door that opens on what was true a minute ago is worse than one that stays shut."""
END_S: Final = 2.0
MIN_SECRET_BYTES, MAX_SECRET_BYTES = 16, 4096
_WORTH_A_RETRY: Final = frozenset({408, 425, 429})


@dataclass(frozen=True)
class _Item:
    delivery: int
    at_s: float
    line: str


@dataclass
class Counts:
    """Since the start."""

    delivered: int = 0
    refused: int = 0
    """Answered with a status that a second try does not change."""
    dropped: int = 0
    """Pushed out by newer ones while the other side did not answer, or left over at the end."""
    expired: int = 0
    """Too old to be sent."""
    retries: int = 0


class Webhook:
    """Posts lines to `url`; an `Observer`.

    The body is `{"schema", "delivery", "sent_unix_ms", "age_ms", "line"}`; a repeated delivery has the same
    `delivery`. With a secret, the header X-Edgefas-Signature is `sha256=` and the HMAC of the body. After any loss the
    newest line is sent although the state is the same, so that the other side knows where things stand.
    """

    def __init__(
        self,
        url: str,
        *,
        every_line: bool = False,
        secret: bytes | None = None,
        timeout_s: float = TIMEOUT_S,
        first_pause_s: float = FIRST_PAUSE_S,
        longest_pause_s: float = LONGEST_PAUSE_S,
        max_age_s: float = MAX_AGE_S,
    ) -> None:
        """Start the thread; nothing is sent before the first line.

        Raises:
            UsageError: `url` is no http or https address.
        """
        self._url, self._shown = url, checked_url(url)
        self._every_line, self._secret = every_line, secret
        self._timeout_s, self._max_age_s = timeout_s, max_age_s
        self._first_pause_s, self._longest_pause_s = first_pause_s, longest_pause_s
        self.counts = Counts()
        self._run_id = secrets.token_hex(8)
        self._number = 0
        self._state: Verdict | None = None
        self._waiting: deque[_Item] = deque()
        self._news = threading.Condition()
        self._ending = self._resend = self._failing = False
        # no redirects at all: they would carry decisions to a place nobody named
        self._opener = urllib.request.build_opener(_NoRedirects)
        self._thread = threading.Thread(target=self._run, name="edgefas webhook", daemon=True)
        self._thread.start()

    def update(self, frame: Frame | None, line: DecisionLine) -> None:
        """See `Observer`."""
        changed, self._state = line.state.decision is not self._state, line.state.decision
        if not (changed or self._every_line or self._resend):
            return
        with self._news:
            self._resend = False
            self._number += 1
            if len(self._waiting) >= WAITING:
                self._waiting.popleft()
                self.counts.dropped += 1
            self._waiting.append(_Item(self._number, time.monotonic(), line.to_json()))
            self._news.notify()

    def close(self) -> None:
        """See `Observer`: what waits has 2 s to arrive."""
        with self._news:
            self._ending = True
            self._news.notify()
        self._thread.join(END_S)
        with self._news:
            self.counts.dropped += len(self._waiting)
            self._waiting.clear()

    def summary(self) -> str:
        """See `Observer`."""
        counts = self.counts
        lost = {"refused": counts.refused, "dropped": counts.dropped, "expired": counts.expired}
        text = ", ".join(f"{count} {name}" for name, count in lost.items() if count)
        return f"{self._shown}: {counts.delivered} delivered{text and f', {text}'}"

    def _run(self) -> None:
        failures = 0
        while True:
            with self._news:
                self._news.wait_for(lambda: self._waiting or self._ending)
                if not self._waiting:
                    return
                item = self._waiting[0]
            if time.monotonic() - item.at_s > self._max_age_s:
                self._done_with(item, "expired")
                continue
            try:
                outcome = self._post(item)
            except Exception:  # a dead thread would lose every later decision, too
                log.exception("%s failed; decisions go on", self._shown)
                outcome = "refused"
            if outcome is not None:
                failures = 0
                self._done_with(item, outcome)
                continue
            failures += 1
            self.counts.retries += 1
            with self._news:
                if self._ending:
                    return
                self._news.wait_for(lambda: self._ending, self._pause_s(failures))

    def _done_with(self, item: _Item, outcome: str) -> None:
        with self._news:
            if self._waiting and self._waiting[0] is item:  # else newer ones pushed it out, and it was counted then
                self._waiting.popleft()
            elif outcome == "delivered":
                self.counts.dropped -= 1
            else:
                return
            setattr(self.counts, outcome, getattr(self.counts, outcome) + 1)
            if outcome != "delivered":
                self._resend = True

    def _pause_s(self, failures: int) -> float:
        """Doubles up to a cap; half of it by chance, so that many boards do not come back at one moment."""
        longest = min(self._longest_pause_s, self._first_pause_s * 2.0 ** min(failures - 1, 32))
        return longest * random.uniform(0.5, 1.0)  # noqa: S311 - no secret

    def _post(self, item: _Item) -> str | None:
        """`delivered`, `refused`, or None when another try may help."""
        body = self._body(item)
        headers = {"Content-Type": "application/json", "User-Agent": f"edgefas/{edgefas.__version__}"}
        if self._secret is not None:
            headers[SIGNATURE] = signature(self._secret, body)
        request = urllib.request.Request(self._url, data=body, headers=headers, method="POST")  # noqa: S310 - checked
        try:
            with self._opener.open(request, timeout=self._timeout_s):  # the answer's body is of no interest
                pass
        except urllib.error.HTTPError as error:
            error.close()
            if error.code >= 500 or error.code in _WORTH_A_RETRY:
                self._failed(f"status {error.code}")
                return None
            log.warning("%s refused a decision with status %d; it is not sent again", self._shown, error.code)
            return "refused"
        except (OSError, http.client.HTTPException) as error:  # URLError, timeouts and TLS errors are OSErrors
            self._failed(str(getattr(error, "reason", error)) or type(error).__name__)
            return None
        if self._failing:
            log.warning("%s answers again", self._shown)
        self._failing = False
        return "delivered"

    def _failed(self, why: str) -> None:
        if not self._failing:
            log.warning("%s: %s; decisions go on, and it is tried again", self._shown, why)
        self._failing = True

    def _body(self, item: _Item) -> bytes:
        value: dict[str, Any] = {
            "schema": SCHEMA,
            "delivery": f"{self._run_id}-{item.delivery}",
            "sent_unix_ms": time.time_ns() // 1_000_000,
            "age_ms": round((time.monotonic() - item.at_s) * 1e3),
            "line": json.loads(item.line),
        }
        return json.dumps(value, allow_nan=False, separators=(",", ":")).encode()


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        """None: the redirect itself is the (refused) answer."""


def signature(secret: bytes, body: bytes) -> str:
    """The value of X-Edgefas-Signature."""
    return "sha256=" + hmac.new(secret, body, hashlib.sha256).hexdigest()


def checked_url(url: str) -> str:
    """What to call the address in messages: without its query, which often holds a key.

    Raises:
        UsageError: not an http or https address with a host, or one with a password.
    """

    def wrong(why: str) -> UsageError:
        return UsageError(f"--webhook {url!r:.200}: {why}; write https://HOST/PATH")

    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise wrong(str(error)) from None
    if parts.scheme not in ("http", "https"):
        raise wrong("only http and https")
    if not host or port == 0 or not url.isascii() or any(char <= " " or char == "\x7f" for char in url):
        raise wrong("no host, or characters that no address has")
    if "@" in parts.netloc:
        raise UsageError("--webhook: no name or password in an address, logs would show it; use --webhook-secret FILE")
    if parts.fragment:
        raise wrong("a #fragment is never sent")
    return f"{parts.scheme}://{parts.netloc}{parts.path}"


def read_secret(path: Path) -> bytes:
    """The secret of a file, without the newline that editors add.

    Raises:
        UsageError: it cannot be read, or is too short or long to be a secret.
    """
    try:
        with path.open("rb") as file:
            secret = file.read(MAX_SECRET_BYTES + 2).rstrip(b"\r\n")
    except OSError as error:
        raise UsageError(f"--webhook-secret {path}: {error.strerror}") from None
    if not MIN_SECRET_BYTES <= len(secret) <= MAX_SECRET_BYTES:
        size = f"{MIN_SECRET_BYTES} to {MAX_SECRET_BYTES} bytes"
        raise UsageError(f"--webhook-secret {path}: must hold {size}; make one: openssl rand -hex 32 > {path}")
    return secret
