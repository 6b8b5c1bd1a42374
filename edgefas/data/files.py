"""Whether the files that a protocol names are there and can be read."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache

from edgefas.data.check import SHOWN, Kind, Problem, Report
from edgefas.data.reading import load
from edgefas.data.sample import DataError
from edgefas.data.table import ABSENT, SampleTable

Progress = Callable[[int], None]
"""Told how many samples are done."""
_FOLDERS_KEPT = 1024


def check_files(table: SampleTable, report: Report, *, decode: bool, progress: Progress = lambda done: None) -> Report:
    """`report`, with the files that are missing or cannot be read.

    Args:
        decode: read a picture of each sample, too (of a clip one in the middle); else names are looked up only.

    Raises:
        MissingExtra: `decode`, an HDF5 file, and h5py is not installed.
    """
    missing, unreadable = _Examples(), _Examples()
    names_in = lru_cache(_FOLDERS_KEPT)(lambda folder: _names_in(os.path.join(table.root, folder)))
    for row in range(len(table)):
        gone = _missing_of(table, row, names_in)
        for path in gone:
            missing.add(f"{path} ({table.where(row)})")
        if decode and not gone:
            try:
                load(table[row])
            except DataError as error:
                unreadable.add(f"{error} ({table.where(row)})")
        if not row % 64:
            progress(row)
    problems = [
        problem
        for problem in (
            missing.problem(Kind.MISSING, "missing files"),
            unreadable.problem(Kind.UNREADABLE, "samples that cannot be read"),
        )
        if problem is not None
    ]
    return replace(report, files="decoded" if decode else "exist", problems=(*report.problems, *problems))


class _Examples:
    """A count, and the first of what is counted."""

    def __init__(self) -> None:
        self._count, self._first = 0, list[str]()

    def add(self, text: str) -> None:
        self._count += 1
        if len(self._first) < SHOWN:
            self._first.append(text)

    def problem(self, kind: Kind, what: str) -> Problem | None:
        if not self._count:
            return None
        more = f"; and {self._count - SHOWN} more" if self._count > SHOWN else ""
        return Problem(kind, f"{what}: {self._count}: {'; '.join(self._first)}{more}", self._count)


def _missing_of(table: SampleTable, row: int, names_in: Callable[[str], frozenset[str]]) -> list[str]:
    gone: dict[str | None, None] = {}
    for column in table.paths.values():
        if column.codes[row] == ABSENT:
            continue
        folder, name = column.folders[column.codes[row]], column.name(row)
        if not name:
            folder, _, name = folder.rpartition("/")
        if name not in names_in(folder):
            gone[column[row]] = None
    return [path for path in gone if path is not None]


def _names_in(folder: str) -> frozenset[str]:
    try:
        return frozenset(os.listdir(folder))
    except OSError:
        return frozenset()
