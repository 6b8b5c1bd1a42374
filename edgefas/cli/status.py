"""The status line of `edgefas live`: decision, state, score and where the time goes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from types import TracebackType

from rich.live import Live
from rich.table import Table

from edgefas.cli.console import errors
from edgefas.contracts import Verdict
from edgefas.live.line import DecisionLine
from edgefas.sensors.source import SourceStats

COLOURS = {Verdict.BONA_FIDE: "bold green", Verdict.ATTACK: "bold red", Verdict.NO_DECISION: "yellow"}
WINDOW = 30
REFRESH_HZ = 8


class StatusLine:
    """Redraws a two-row table on stderr; a context manager."""

    def __init__(self, model: str, stats: Callable[[], SourceStats]) -> None:
        self._model = model
        self._stats = stats
        self._recent: deque[DecisionLine] = deque(maxlen=WINDOW)
        self._live = Live(console=errors, refresh_per_second=REFRESH_HZ, get_renderable=self._draw, transient=True)

    def update(self, line: DecisionLine) -> None:
        """Take in the newest line; drawn at the next refresh."""
        self._recent.append(line)

    def _draw(self) -> Table:
        table = Table(box=None, padding=(0, 2, 0, 0), title=self._model, title_justify="left")
        for heading in ("state", "frame", "reason", "score", "z", "fps", "detect", "prepare", "engine", "lost"):
            table.add_column(heading)
        if not self._recent:
            table.add_row("waiting for the camera")
            return table
        line, stats = self._recent[-1], self._stats()
        table.add_row(
            f"[{COLOURS[line.state.decision]}]{line.state.decision.value}[/]",
            f"[{COLOURS[line.decision]}]{line.decision.value}[/]",
            line.reason.value,
            "-" if line.score is None else f"{line.score:+.2f}",
            "-" if line.median_z_mm is None else f"{line.median_z_mm:.0f} mm",
            self._rate(),
            *(f"{self._mean(stage):.1f} ms" for stage in ("detect_ms", "preprocess_ms", "engine_ms")),
            f"{stats.dropped + stats.overwritten}",
        )
        return table

    def _rate(self) -> str:
        times = [line.device_ns for line in self._recent if line.device_ns is not None]
        return (
            "-" if len(times) < 2 or times[-1] <= times[0] else f"{(len(times) - 1) * 1e9 / (times[-1] - times[0]):.1f}"
        )

    def _mean(self, stage: str) -> float:
        return sum(float(getattr(line.timing, stage)) for line in self._recent) / len(self._recent)

    def __enter__(self) -> StatusLine:
        self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.__exit__(kind, error, trace)
