"""What training tells as it goes on, and its end before its time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from edgefas.errors import EdgefasError


class Report(Protocol):
    """Called as work goes on."""

    def __call__(self, what: str, done: int, total: int, note: str = "") -> None:
        """`done` of `total` of something; `note` says how it goes, as the loss."""


class TrainingStopped(EdgefasError):
    """Somebody asked for the end; what was done is saved."""

    exit_code = 130


def silent(what: str, done: int, total: int, note: str = "") -> None:
    """A report to nobody."""


def until(asked: Callable[[], bool], report: Report) -> Report:
    """`report`, which raises TrainingStopped once the end is asked for: of work that keeps nothing half done."""

    def told(what: str, done: int, total: int, note: str = "") -> None:
        if asked():
            raise TrainingStopped(f"stopped while {what}, {done} of {total}; nothing is trained yet: start again")
        report(what, done, total, note)

    return told
