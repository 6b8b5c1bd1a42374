"""The view of terminals: decision, state, score and where the time goes, and the newest reason in plain words."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table

from edgefas.contracts import Verdict
from edgefas.live.line import DecisionLine
from edgefas.live.view.words import say
from edgefas.sensors.frame import Frame
from edgefas.sensors.source import SourceStats

COLOURS = {Verdict.BONA_FIDE: "bold green", Verdict.ATTACK: "bold red", Verdict.NO_DECISION: "yellow"}
WINDOW = 30
REFRESH_HZ = 8


class TextView:
    """Redraws a table of two rows and a sentence; an `Observer`."""

    def __init__(self, console: Console, model: str, stats: Callable[[], SourceStats]) -> None:
        """Draw on `console` until closed."""
        self._model = model
        self._stats = stats
        self._recent: deque[DecisionLine] = deque(maxlen=WINDOW)
        self._live = Live(console=console, refresh_per_second=REFRESH_HZ, get_renderable=self._draw, transient=True)
        self._live.start()

    def update(self, frame: Frame | None, line: DecisionLine) -> None:
        """Take in the newest line; drawn at the next refresh."""
        self._recent.append(line)

    def close(self) -> None:
        """Leave the terminal as it was."""
        self._live.stop()

    def summary(self) -> None:
        """Nothing: what it showed is gone with it."""

    def _draw(self) -> Table | Group:
        table = Table(box=None, padding=(0, 2, 0, 0), title=self._model, title_justify="left")
        for heading in ("state", "frame", "reason", "score", "z", "fps", "detect", "prepare", "engine", "lost"):
            table.add_column(heading)
        if not self._recent:
            table.add_row("waiting for the camera")
            return table
        recent = list(self._recent)  # at once: the loop appends meanwhile
        line, stats = recent[-1], self._stats()
        table.add_row(
            f"[{COLOURS[line.state.decision]}]{line.state.decision.value}[/]",
            f"[{COLOURS[line.decision]}]{line.decision.value}[/]",
            line.reason.value,
            "-" if line.score is None else f"{line.score:+.2f}",
            "-" if line.median_z_mm is None else f"{line.median_z_mm:.0f} mm",
            _rate(recent),
            *(f"{_mean(recent, stage):.1f} ms" for stage in ("detect_ms", "preprocess_ms", "engine_ms")),
            f"{stats.dropped + stats.overwritten}",
        )
        said = say(line)
        return Group(table, ". ".join(text for text in (said.why, said.todo) if text))


def _rate(recent: list[DecisionLine]) -> str:
    times = [line.device_ns for line in recent if line.device_ns is not None]
    return "-" if len(times) < 2 or times[-1] <= times[0] else f"{(len(times) - 1) * 1e9 / (times[-1] - times[0]):.1f}"


def _mean(recent: list[DecisionLine], stage: str) -> float:
    return sum(float(getattr(line.timing, stage)) for line in recent) / len(recent)
