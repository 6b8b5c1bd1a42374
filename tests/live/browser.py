"""A headless Chromium over its debugging pipe (CDP): pages are asked and photographed, without any driver package.

edgefas live --camera simulated --view web &
python -m tests.live.browser http://127.0.0.1:8642/ docs/images/live-web.png
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
MISSING = "needs Chromium: apt install chromium"
PATIENCE_S = 60.0


def find_browser() -> str | None:
    """The first one on the path."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Browser:
    """One tab; a context manager."""

    def __init__(self, binary: str) -> None:
        self._profile = tempfile.TemporaryDirectory(prefix="edgefas-browser-", ignore_cleanup_errors=True)
        to_read, self._to = os.pipe()
        self._from, to_write = os.pipe()
        # Chromium reads the debugging pipe at handle 3 and writes it at 4; the sandbox needs rights that CI lacks
        flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"]
        command = [binary, *flags, "--no-first-run", "--remote-debugging-pipe", f"--user-data-dir={self._profile.name}"]
        # above 4, so that neither redirection overwrites what the other needs
        high = [_dup_high(fd) for fd in (to_read, to_write)]
        shell = f'exec "$@" 3<&{high[0]} 4>&{high[1]}'
        self._process = subprocess.Popen(
            ["bash", "-c", shell, "bash", *command, "about:blank"],
            pass_fds=high,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for fd in (to_read, to_write, *high):
            os.close(fd)
        self._number, self._buffer = 0, b""
        self.console: list[str] = []
        """Errors and refusals that the page caused, such as of its Content-Security-Policy."""
        self._session: str | None = None
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.ask(f"{domain}.enable")

    def ask(self, method: str, **params: Any) -> Any:
        """One CDP command; its result."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while True:
            heard = self._hear()
            if heard.get("id") == self._number:
                if "error" in heard:
                    raise RuntimeError(f"{method}: {heard['error']}")
                return heard["result"]

    def open(
        self, url: str, *, width_px: int = 1280, height_px: int = 800, phone: bool = False, dark: bool = False
    ) -> None:
        """Go there, as a screen of this size."""
        scale = 2 if phone else 1
        self.ask(
            "Emulation.setDeviceMetricsOverride",
            width=width_px,
            height=height_px,
            deviceScaleFactor=scale,
            mobile=phone,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.ask("Emulation.setEmulatedMedia", features=[scheme])
        self.ask("Page.navigate", url=url)

    def value(self, script: str) -> Any:
        """What JavaScript says."""
        answer = self.ask("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(f"{script}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def wait(self, script: str) -> Any:
        """Ask until the answer is true."""
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            with contextlib.suppress(RuntimeError):  # the page is changing
                if found := self.value(script):
                    return found
            time.sleep(0.05)
        raise AssertionError(f"not within {PATIENCE_S:.0f} s: {script}\n{self.value('document.body.innerText')}")

    def screenshot(self, *, whole_page: bool = False) -> bytes:
        """PNG."""
        shot = self.ask("Page.captureScreenshot", format="png", captureBeyondViewport=whole_page)
        return base64.b64decode(shot["data"])

    def _hear(self) -> Any:
        end = time.monotonic() + PATIENCE_S
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._from], [], [], max(0.0, end - time.monotonic()))
            part = os.read(self._from, 1 << 16) if ready else b""
            if not part:
                raise RuntimeError("the browser does not answer")
            self._buffer += part
        text, _, self._buffer = self._buffer.partition(b"\0")
        heard = json.loads(text)
        if heard.get("method") == "Runtime.exceptionThrown":
            self.console.append(json.dumps(heard["params"]["exceptionDetails"]))
        if heard.get("method") == "Log.entryAdded" and heard["params"]["entry"]["level"] == "error":
            self.console.append(json.dumps(heard["params"]["entry"]))
        return heard

    def close(self) -> None:
        """End the browser and remove its profile."""
        self._process.kill()
        self._process.wait()
        os.close(self._to)
        os.close(self._from)
        self._profile.cleanup()

    def __enter__(self) -> Browser:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _dup_high(fd: int) -> int:
    return fcntl.fcntl(fd, fcntl.F_DUPFD, 10)


def main() -> None:
    """Photograph a running page once it says "Live person"; so docs/images/live-web.png is made."""
    url, path = sys.argv[1:]
    binary = find_browser()
    assert binary is not None, MISSING
    with Browser(binary) as browser:
        browser.open(url, height_px=748)
        browser.wait(
            "document.body.dataset.state === 'bona_fide' && document.querySelectorAll('figure.shown').length === 3"
        )
        Path(path).write_bytes(browser.screenshot())


if __name__ == "__main__":
    main()
