"""Lists of samples: read line by line, columns told by the names in their paths, labels held against those paths.

Public lists disagree on what 1 means and on the order of columns, and copies of them are edited by hand. So each
`ListFormat` declares its polarity, and a line that contradicts its own path is an error that names file and line.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from edgefas.contracts import Label
from edgefas.data.lines import clean, lines_of
from edgefas.data.sample import DataError, Facts, Split
from edgefas.data.table import ListNote, Rows

PROBE = 50
"""Lines that are tried to find out where a list's paths begin."""
MODALITIES = {"color": "rgb", "profile": "rgb", "rgb": "rgb", "depth": "depth", "ir": "ir"}
"""What the last folder of a path, or the end of its name, says of the picture."""
PICTURES = (".jpg", ".jpeg", ".png", ".bmp")
_NAME_END = re.compile(r"[-_.](color|profile|rgb|depth|ir)(?:_resized)?\.[A-Za-z]+$")
_PICTURE_PATH = re.compile(r"\S.*?\.(?:jpe?g|png|bmp)(?=\s|$)", re.IGNORECASE)

FactsOf = Callable[[str], Facts]
"""What a folder's path says; raises ValueError, in words, where it is not of the data set's layout."""


@dataclass(frozen=True)
class ListFormat:
    """How one kind of list says things."""

    name: str
    columns: tuple[str, ...]
    """Modalities of the paths in a line, in the usual order; a label follows."""
    bona_fide: str
    """The label's word."""
    attack: str
    clips: bool = False
    """The paths are folders of pictures, not pictures."""
    inside: str = ""
    """Where the pictures lie in such a folder."""
    anonymous: bool = False
    """Its paths need not tell the label: nothing confirms it then."""

    def __str__(self) -> str:
        return f"{self.name} ({self.bona_fide} = bona fide, {self.attack} = attack)"

    def label(self, word: str) -> Label:
        """Raises: ValueError: neither word."""
        if word == self.bona_fide:
            return Label.BONA_FIDE
        if word == self.attack:
            return Label.ATTACK
        raise ValueError(f"the label is {word!r}; a {self} has {self.bona_fide} or {self.attack}")

    def word(self, label: Label) -> str:
        """The word for a label."""
        return self.bona_fide if label is Label.BONA_FIDE else self.attack


def read_list(path: Path, form: ListFormat, facts_of: FactsOf, rows: Rows, split: Split, root: Path) -> None:
    """Add every line of a list to `rows`, whose modalities are `form.columns`.

    Raises:
        DataError: a line is not as `form` says, or contradicts its path; names file, line and what was expected.
    """
    base, file = _Base(path, form, root), rows.files[path.relative_to(root).as_posix()]
    known: dict[str, _Folder] = {}
    order: tuple[str, ...] | None = None
    commas = False
    lines = checked = 0
    for number, text in lines_of(path):
        if number == 1 and (commas := _is_header(text)):
            continue
        try:
            *paths, word = _words(text, form, commas)
            label = form.label(word)
            pieces = [_piece(one, form) for one in paths]
            folders = []
            for folder, _ in pieces:
                if folder not in known:
                    known[folder] = _Folder.of(folder, base, facts_of, rows)
                folders.append(known[folder])
            names = tuple(f.modality or _modality(n) for f, (_, n) in zip(folders, pieces, strict=True))
            order = _check_columns(names, order, form)
            _check_row(folders, label, form)
        except ValueError as error:
            raise DataError(f"{path}, line {number}: {error}") from None
        found = {name: (f.code, leaf) for name, f, (_, leaf) in zip(names, folders, pieces, strict=True)}
        rows.add(folders[0].facts, label, split, file, number, [found[name] for name in form.columns])
        lines += 1
        checked += folders[0].label is not None
    if order is None:
        raise DataError(f"{path} names no samples; it should be a {form}")
    rows.lists.append(ListNote(path.relative_to(root).as_posix(), str(form), order, lines, checked))


@dataclass(frozen=True, slots=True)
class _Folder:
    """What is known of a folder, once for all the lines that name it."""

    code: int
    facts: int
    label: Label | None
    modality: str | None
    clip: str
    path: str

    @staticmethod
    def of(written: str, base: _Base, facts_of: FactsOf, rows: Rows) -> _Folder:
        path = base.place(written)
        parent, _, last = path.rpartition("/")
        modality = MODALITIES.get(last)
        facts = facts_of(path)
        return _Folder(rows.folders[path], rows.facts[facts], facts.label, modality, parent if modality else path, path)


class _Base:
    """Where a list's paths begin: lists are written from the data set's folder, one or two above it, or their own."""

    def __init__(self, path: Path, form: ListFormat, root: Path) -> None:
        own = path.parent.relative_to(root).as_posix()
        self._start, self._dropped = "", 0
        folders = list(_first_folders(path, form))
        for start, dropped in (("", 0), ("" if own == "." else own, 0), ("", 1), ("", 2)):
            self._start, self._dropped = start, dropped
            if any(folder.count("/") >= dropped and os.path.isdir(root / self._moved(folder)) for folder in folders):
                return
        self._start, self._dropped = "", 0

    def _moved(self, folder: str) -> str:
        parts = folder.split("/")[self._dropped :]
        return "/".join([self._start, *parts] if self._start else parts)

    def place(self, folder: str) -> str:
        """Below the data set's folder."""
        placed = self._moved(clean(folder))
        if not placed:
            raise ValueError(f"{folder!r} is too short: the other paths of the list lie deeper")
        return placed


def _first_folders(path: Path, form: ListFormat) -> Iterator[str]:
    commas = False
    for number, text in islice(lines_of(path), PROBE):
        commas = commas or (number == 1 and _is_header(text))
        try:
            yield clean(_piece(_words(text, form, commas)[0], form)[0])
        except ValueError:
            continue  # a header; or told with its line when the list is read


def _is_header(text: str) -> bool:
    """A first line of column names, as some copies have; it also means that commas part the columns."""
    return text.rpartition(",")[2].strip().lower() == "label"


def _words(text: str, form: ListFormat, commas: bool) -> list[str]:
    """Paths, then the label. A path may have spaces in it."""
    count = len(form.columns)
    words = [word.strip() for word in text.split(",")] if commas else text.split(" ")
    if len(words) != count + 1 and not commas:
        if count == 1:
            words = text.rsplit(None, 1)
        else:
            paths = _PICTURE_PATH.findall(text)
            words = [*paths, text[text.rfind(paths[-1]) + len(paths[-1]) :].strip()] if paths else []
    if len(words) != count + 1 or not words[-1]:
        unlabelled = " (a public list without labels?)" if len(words) == count or not words or not words[-1] else ""
        raise ValueError(f"expected {count} path{'s' * (count > 1)} and a label, got {text[:200]!r}{unlabelled}")
    return words


def _piece(path: str, form: ListFormat) -> tuple[str, str]:
    """(folder, name) of a path; a clip is its folder."""
    if form.clips:
        if path.lower().endswith(PICTURES):
            raise ValueError(f"{path!r} is a picture; this list names folders of pictures")
        return f"{path}/{form.inside}" if form.inside else path, ""
    folder, _, name = path.rpartition("/")
    if not name.lower().endswith(PICTURES):
        raise ValueError(f"{path!r} is no picture: its name must end in {', '.join(PICTURES)}")
    return folder, name


def _modality(name: str) -> str | None:
    found = _NAME_END.search(name)
    return MODALITIES[found[1]] if found else None


def _check_columns(names: tuple[str | None, ...], order: tuple[str, ...] | None, form: ListFormat) -> tuple[str, ...]:
    """The modalities of the columns; the same in every line."""
    if names == order:
        return order
    said = ", ".join(name or "nothing" for name in names)
    if None in names or set(names) != set(form.columns):
        raise ValueError(f"the paths' folders or names say {said}; expected one each of {', '.join(form.columns)}")
    if order is not None:
        raise ValueError(f"the columns are {said}, in the lines before they are {', '.join(order)}: swapped columns")
    return names  # type: ignore[return-value]


def _check_row(folders: Sequence[_Folder], label: Label, form: ListFormat) -> None:
    first = folders[0]
    for other in folders[1:]:
        if other.clip != first.clip:
            raise ValueError(f"the columns are of different clips: {first.path} and {other.path}")
    if first.label is None and not form.anonymous:
        raise ValueError(f"{first.path!r} says neither bona fide nor attack; a {form} names clips of the set's layout")
    if first.label is not None and first.label is not label:
        raise ValueError(
            f"the label {form.word(label)} means {label.value} in a {form}, and the path says {first.label.value} "
            f"({first.path}): expected {form.word(first.label)}; is the list of another polarity, or edited?"
        )
