"""Tables of scores as CSV, read strictly: what is not as it must be is told with its line.

Columns `id,subject,label,pai,split,score` and perhaps `video`, in any order; others are not read. One row is one line,
UTF-8. Rows are taken some thousand at a time and checked by column, so ten million are no trouble.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from itertools import islice
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from edgefas.contracts import Label
from edgefas.evaluation.scores import SPLITS, Scores, ScoresError, Words
from edgefas.files import file_written_atomically

COLUMNS = ("id", "subject", "label", "pai", "split", "score")
VIDEO = "video"
CHUNK_ROWS = 4_000
MAX_SCORE = float(np.finfo(np.float32).max)
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_DIGITS = re.compile(r"[0-9eE.+-]*")
_NAME = "a word of printable characters without spaces around it"
_FORM = f"expected is a CSV file with the columns {','.join(COLUMNS)}"

Column = Sequence[str]


def read_scores(path: Path) -> Scores:
    """A file of scores.

    Raises:
        ScoresError: it cannot be read; or names the line and what was expected there.
    """
    if not path.is_file():
        raise ScoresError(f"{path} is not there, or no file; {_FORM}")
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return _table(path, csv.reader(file, strict=True))
    except UnicodeDecodeError as error:
        line = next(number for number, data in enumerate(path.open("rb"), 1) if not _is_utf8(data))
        _refuse(path, line, f"bytes that are not UTF-8 ({error.reason}); {_FORM} in UTF-8")
    except OSError as error:
        raise ScoresError(f"cannot read {path}: {error.strerror}") from error


def write_scores(path: Path, scores: Scores) -> None:
    """Write what `read_scores` reads, whole or not at all; scores in the fewest digits that give them back.

    Raises:
        FileWriteError: it cannot be written.
    """
    columns: dict[str, Any] = {
        "id": scores.id,
        "subject": _spelt(scores.subject),
        "label": (Label.BONA_FIDE.value if alive else Label.ATTACK.value for alive in scores.bona_fide.tolist()),
        "pai": _spelt(scores.pai),
        "split": _spelt(scores.split),
        "score": ("" if score != score else repr(score) for score in scores.score.tolist()),
    }
    if scores.video is not None:
        columns[VIDEO] = _spelt(scores.video)
    with file_written_atomically(path) as file:
        text = io.TextIOWrapper(file, encoding="utf-8", newline="")
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
        text.detach()


def _spelt(column: Words) -> Iterator[str]:
    return map(column.words.__getitem__, column.codes.tolist())


def _table(path: Path, reader: Any) -> Scores:
    header = _rows(path, reader, 0, 1)
    if not header:
        raise ScoresError(f"{path} is empty; {_FORM}")
    places = _places(path, header[0])
    ids: list[npt.NDArray[np.object_]] = []
    scores: list[npt.NDArray[np.float64]] = []
    coders = {name: _Coder() for name in places if name not in ("id", "score")}
    line = 2
    while rows := _rows(path, reader, line - 1, CHUNK_ROWS):
        if set(map(len, rows)) != {len(header[0])}:
            wrong = next(n for n, row in enumerate(rows) if len(row) != len(header[0]))
            _refuse(path, line + wrong, f"{len(rows[wrong])} fields; the header has {len(header[0])}")
        every = list(zip(*rows, strict=True))
        columns = {name: every[place] for name, place in places.items()}
        _check(path, line, columns)
        ids.append(np.array(columns["id"], dtype=object))
        scores.append(_numbers(path, line, columns["score"]))
        for name, coder in coders.items():
            coder.add(columns[name])
        line += len(rows)
    if not ids:
        raise ScoresError(f"{path} has a header and no rows; {_FORM}")
    words = {name: coder.words() for name, coder in coders.items()}
    found = Scores(
        np.concatenate(ids),
        words["subject"],
        words["label"].are(Label.BONA_FIDE.value),
        words["pai"],
        words["split"],
        np.concatenate(scores),
        words.get(VIDEO),
    )
    _refuse_twice(path, found.id)
    return found


def _rows(path: Path, reader: Any, read: int, count: int) -> list[list[str]]:
    """The next rows; every line is one row, so that a row's number tells its line."""
    rows: list[list[str]] = []
    try:
        rows.extend(islice(reader, count))  # what came before an error stays
    except csv.Error as error:
        _refuse(path, read + len(rows) + 1, f"no CSV ({error}); fields with commas or quotes stand in double quotes")
    if reader.line_num != read + len(rows):
        broken = next(n for n, row in enumerate(rows) if any("\n" in field or "\r" in field for field in row))
        _refuse(path, read + broken + 1, "a field that runs over its line; one row is one line")
    return rows


def _places(path: Path, header: list[str]) -> dict[str, int]:
    """Where the columns are."""
    for name in COLUMNS:
        if name not in header:
            close = get_close_matches(name, set(header) - set(COLUMNS), 1)
            hint = f"is {close[0]!r} meant? " if close else ""
            _refuse(path, 1, f"no column {name!r}; {hint}{_FORM}")
    twice = next((name for name in (*COLUMNS, VIDEO) if header.count(name) > 1), None)
    if twice is not None:
        _refuse(path, 1, f"two columns {twice!r}; {_FORM}")
    return {name: header.index(name) for name in (*COLUMNS, VIDEO) if name in header}


def _check(path: Path, line: int, columns: Mapping[str, Column]) -> None:
    """Words of the rows that begin at `line`, and that label and pai fit."""
    ids = columns["id"]
    if not all(ids) or not "".join(ids).isprintable():
        wrong = next(n for n, word in enumerate(ids) if not word or not word.isprintable())
        _refuse(path, line + wrong, f"id {ids[wrong]!r}; expected is {_NAME}")
    labels = [label.value for label in Label]
    _expect(path, line, columns, "label", labels.__contains__, " or ".join(labels))
    _expect(path, line, columns, "split", SPLITS.__contains__, ", ".join(SPLITS))
    _expect(path, line, columns, "subject", lambda word: not word or _is_name(word), f"{_NAME}, or nothing")
    _expect(
        path, line, columns, "pai", lambda word: not word or (_is_name(word) and word not in labels),
        f"{_NAME} for an attack (print, replay, ...), nothing for bona fide",
    )  # fmt: skip
    if VIDEO in columns:
        _expect(path, line, columns, VIDEO, _is_name, _NAME)
    pairs = list(zip(columns["label"], columns["pai"], strict=True))
    for label, pai in set(pairs):
        if (label == Label.BONA_FIDE.value) != (not pai):
            wrong = line + pairs.index((label, pai))
            _refuse(path, wrong, f"label {label} with pai {pai!r}; an attack has a pai, bona fide has none")


def _expect(
    path: Path, line: int, columns: Mapping[str, Column], name: str, allowed: Callable[[str], bool], expected: str
) -> None:
    column = columns[name]
    wrong = min((column.index(word) for word in set(column) if not allowed(word)), default=None)
    if wrong is not None:
        _refuse(path, line + wrong, f"{name} {column[wrong]!r}; expected is {expected}")


def _is_name(word: str) -> bool:
    return bool(word) and word.isprintable() and word == word.strip()


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _numbers(path: Path, line: int, column: Column) -> npt.NDArray[np.float64]:
    """NaN where there is none."""
    try:
        # without the look at the digits float() takes nan, spaces, 1_000 and numbers of other scripts
        allowed = _DIGITS.fullmatch("".join(column))
        values = np.array([float(word) if word else np.nan for word in column])
    except ValueError:
        allowed = None
    if not allowed or (np.abs(values) > MAX_SCORE).any():
        wrong = next(n for n, word in enumerate(column) if word and not _is_score(word))
        expected = f"a finite number of at most {MAX_SCORE:.3g}, or nothing where no face was found"
        _refuse(path, line + wrong, f"score {column[wrong]!r}; expected is {expected}")
    return values


def _is_score(word: str) -> bool:
    return _NUMBER.fullmatch(word) is not None and abs(float(word)) <= MAX_SCORE


class _Coder:
    """Turns words to numbers, chunk by chunk."""

    def __init__(self) -> None:
        self._known: dict[str, int] = {}
        self._codes: list[npt.NDArray[np.int32]] = []

    def add(self, column: Column) -> None:
        for word in dict.fromkeys(column):
            self._known.setdefault(word, len(self._known))
        self._codes.append(np.fromiter(map(self._known.__getitem__, column), np.int32, len(column)))

    def words(self) -> Words:
        return Words(np.concatenate(self._codes), tuple(self._known))


def _refuse_twice(path: Path, ids: npt.NDArray[np.object_]) -> None:
    """Equal ids have equal hashes; few others do, and only those are compared."""
    hashes = np.fromiter(map(hash, ids), np.int64, len(ids))
    ranked = np.sort(hashes)
    suspects = np.isin(hashes, ranked[1:][ranked[1:] == ranked[:-1]])
    seen: dict[str, int] = {}
    for row in np.flatnonzero(suspects).tolist():
        first = seen.setdefault(ids[row], row)
        if first != row:
            _refuse(path, row + 2, f"id {ids[row]!r} again; line {first + 2} has it; each counts once")


def _refuse(path: Path, line: int, what: str) -> NoReturn:
    raise ScoresError(f"{path}, line {line}: {what if len(what) < 500 else what[:250] + ' ... ' + what[-250:]}")
