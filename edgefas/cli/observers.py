"""The views and sinks that the flags of `edgefas live` ask for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import edgefas
from edgefas.cli.console import errors
from edgefas.errors import UsageError
from edgefas.live.model import LiveModel
from edgefas.live.observer import Observer, Observers
from edgefas.sensors.source import SourceStats


class View(str, Enum):
    """How to see the stream."""

    TEXT = "text"
    WEB = "web"
    WINDOW = "window"


@dataclass(frozen=True)
class Watching:
    """What the flags say."""

    view: View | None = None
    host: str | None = None
    port: int | None = None
    log: Path | None = None
    log_mb: int = 64
    log_keep: int = 5
    webhook: str | None = None
    webhook_all: bool = False
    webhook_secret: Path | None = None

    def check(self, *, headless: bool) -> None:
        """Whether the flags go together; before anything is opened.

        Raises:
            UsageError: a flag that would have no effect, or a wrong address.
        """
        if headless and self.view is not None:
            raise UsageError(f"--headless and --view {self.view.value}: choose one")
        if (self.host is not None or self.port is not None) and self.view is not View.WEB:
            raise UsageError("--host and --port belong to --view web")
        if self.webhook is None and (self.webhook_all or self.webhook_secret is not None):
            raise UsageError("--webhook-all and --webhook-secret need --webhook URL")
        if self.webhook is not None:
            from edgefas.live.sinks.webhook import checked_url

            checked_url(self.webhook)


def open_observers(
    flags: Watching, model: LiveModel, camera: str, stats: Callable[[], SourceStats], *, quiet: bool
) -> Observers:
    """Open what the flags ask for.

    Args:
        camera: as the user named it.
        quiet: no status line unless it is asked for.

    Raises:
        EdgefasError: one of them cannot be opened; those opened before are closed.
    """
    opened: list[Observer] = []
    try:
        if flags.log is not None:
            from edgefas.live.sinks.jsonl import JsonlLog

            opened.append(JsonlLog(flags.log, max_bytes=flags.log_mb << 20, keep=flags.log_keep))
        if flags.webhook is not None:
            from edgefas.live.sinks.webhook import Webhook, read_secret

            secret = None if flags.webhook_secret is None else read_secret(flags.webhook_secret)
            opened.append(Webhook(flags.webhook, every_line=flags.webhook_all, secret=secret))
        view = _view(flags, model, camera, stats, quiet=quiet)
        if view is not None:
            opened.append(view)
    except BaseException:
        Observers(opened).close()
        raise
    return Observers(opened)


def _view(
    flags: Watching, model: LiveModel, camera: str, stats: Callable[[], SourceStats], *, quiet: bool
) -> Observer | None:
    if flags.view is View.WEB:
        from edgefas.live.view.web.hub import About
        from edgefas.live.view.web.server import PORT, WebView

        about = About(
            model.name,
            camera,
            model.trust,
            model.policy.threshold,
            model.warning,
            camera.partition(":")[0] == "simulated",
            edgefas.__version__,
        )
        web = WebView(about, stats, host=flags.host, port=PORT if flags.port is None else flags.port)
        errors.print(f"watch at {web.url}", highlight=False, markup=False, soft_wrap=True)
        return web
    if flags.view is View.WINDOW:
        from edgefas.live.view.window import WindowView

        return WindowView()
    if flags.view is View.TEXT or (not quiet and errors.is_terminal):
        from edgefas.live.view.text import TextView

        return TextView(errors, model.name, stats)
    return None
