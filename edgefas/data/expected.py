"""Data sets without lists: their rules say which files there must be, and what is not there is told as missing."""

from __future__ import annotations

import os
from pathlib import Path

from edgefas.data.lines import lines_of
from edgefas.data.sample import DataError, Facts, Split
from edgefas.data.table import Rows


def add_expected(
    rows: Rows, facts: Facts, split: Split, folder: str, names: tuple[str, ...], where: tuple[str, int], root: Path
) -> None:
    """Add a file that a rule names: the first of `names` that is there, else the first, to be told as missing.

    Args:
        where: the list and line, or 0, that make it expected.
    """
    name = next((name for name in names if os.path.isfile(root / folder / name)), names[0])
    label = facts.label
    assert label is not None
    rows.add(rows.facts[facts], label, split, rows.files[where[0]], where[1], [(rows.folders[folder], name)])


def numbers_of(path: Path, highest: int) -> dict[int, int]:
    """(number: line) of a list with one number a line.

    Raises:
        DataError: something else stands in it, or a number twice.
    """
    found: dict[int, int] = {}
    for line, text in lines_of(path):
        number = int(text) if text.isascii() and text.isdigit() and len(text) < 9 else 0
        if not 1 <= number <= highest:
            raise DataError(f"{path}, line {line}: {text[:60]!r} is no subject; expected 1 to {highest}")
        if number in found:
            raise DataError(f"{path}, line {line}: subject {number} stands in line {found[number]}, too; remove one")
        found[number] = line
    return found
