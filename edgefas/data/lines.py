"""Lists as text: lines and cells within bounds, and where a data set keeps its lists."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path

from edgefas.data.sample import DataError

MAX_LINE = 4096
"""Bytes; a longer line is no line of a list, and is not read into memory."""


def lines_of(path: Path) -> Iterator[tuple[int, str]]:
    """(number from 1, text) of each line that is not blank, without the white space around it and a byte order mark.

    Raises:
        DataError: the file cannot be read, or a line is too long or not UTF-8.
    """
    try:
        with path.open("rb") as file:
            number = 0
            while raw := file.readline(MAX_LINE + 1):
                number += 1
                text = _decoded(raw, f"{path}, line {number}").strip()
                if number == 1:
                    text = text.lstrip("\ufeff").strip()
                if text:
                    yield number, text
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from None


def _decoded(raw: bytes, where: str) -> str:
    if len(raw) > MAX_LINE or b"\0" in raw:
        what = f"more than {MAX_LINE} bytes" if len(raw) > MAX_LINE else "zero bytes"
        raise DataError(f"{where}: {what}; this is no list")
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise DataError(f"{where}: not UTF-8 ({error.reason}); save it as UTF-8") from None


def clean(path: str) -> str:
    """A relative path in its shortest form, so that two spellings of one path are seen as one.

    Raises:
        ValueError: it leaves the data set's folder.
    """
    if path.startswith("/"):
        raise ValueError(f"{path!r} begins at the file system's root: it is a path of the machine that made the list")
    if "/../" in f"/{path}/":
        raise ValueError(f"{path!r} leaves the data set's folder; '..' is not allowed")
    return "/".join(part for part in path.split("/") if part not in ("", "."))


def find_list(root: Path, names: Sequence[str], folders: Sequence[str]) -> Path | None:
    """The first of `names` in the first of `folders` that has one."""
    places = (root / folder / name for name in names for folder in folders)
    return next((place for place in places if os.path.isfile(place)), None)


def need_list(root: Path, names: Sequence[str], folders: Sequence[str], page: str) -> Path:
    """As `find_list`.

    Raises:
        DataError: there is none.
    """
    if not os.path.isdir(root):
        raise DataError(
            f"no such folder: {root}; simulated sets are made by: edgefas data synth {root} --layout LAYOUT"
        )
    found = find_list(root, names, folders)
    if found is None:
        shown = " or ".join(f"{folder}/" if folder else "the folder itself" for folder in folders)
        raise DataError(f"{root} has no {' or '.join(names)} in {shown}; docs/datasets/{page}.md says where it is from")
    return found


def read_csv(path: Path, required: Sequence[str], optional: Sequence[str] = ()) -> Iterator[tuple[int, dict[str, str]]]:
    """(line, values by column) of a CSV file with a header; a column that is left out is "".

    Raises:
        DataError: a column is unknown, missing or named twice, or a line has another number of cells.
    """
    header: list[str] = []
    for number, text in lines_of(path):
        cells = csv_cells(path, number, text)
        if not header:
            header = [cell.strip() for cell in cells]
            _check_header(f"{path}, line {number}", header, required, optional)
        elif len(cells) != len(header):
            raise DataError(
                f"{path}, line {number}: {len(cells)} cells, the header has {len(header)}; a cell with a comma in it "
                'needs "quotes"'
            )
        else:
            row = {name: cell.strip() for name, cell in zip(header, cells, strict=True)}
            yield number, {**dict.fromkeys(optional, ""), **row}
    if not header:
        raise DataError(f"{path} is empty; its first line must name the columns {', '.join(required)}")


def csv_cells(path: Path, number: int, text: str) -> list[str]:
    """The cells of one line of a CSV file."""
    try:
        return next(csv.reader([text], strict=True))
    except csv.Error as error:
        raise DataError(f"{path}, line {number}: not CSV ({error})") from None


def _check_header(where: str, header: list[str], required: Sequence[str], optional: Sequence[str]) -> None:
    known = [*required, *optional]
    for name in header:
        if name not in known or header.count(name) > 1:
            close = get_close_matches(name, known, 1)
            hint = f"did you mean {close[0]!r}?" if close and close[0] != name else f"allowed: {', '.join(known)}"
            raise DataError(f"{where}: unknown or repeated column {name!r}; {hint}")
    lacking = [name for name in required if name not in header]
    if lacking:
        raise DataError(f"{where}: no column {', '.join(lacking)}")


def _shown(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix()


def dev_subjects(train: Sequence[str]) -> frozenset[str]:
    """Which training subjects are the dev split of a data set that has none: every fifth, in sorted order.

    A rule of edgefas, not of the data sets' authors; it needs no random numbers, so everybody gets the same.
    """
    return frozenset(sorted(train)[4::5])
