"""Millions of samples as columns: what repeats is kept once and numbered, a `Sample` is made when it is asked for."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from edgefas.contracts import Label
from edgefas.data.sample import BONA_FIDE, UNKNOWN, DataError, Facts, Sample, Split

K = TypeVar("K")
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]
SPLITS = tuple(Split)
ABSENT = -1
"""In place of a folder's number: the sample lacks this modality."""


class Codes(dict[K, int]):
    """Numbers for keys, in the order in which they are first asked for."""

    def __missing__(self, key: K) -> int:
        code = self[key] = len(self)
        return code


@dataclass(frozen=True, eq=False)
class PathColumn:
    """(N,) paths of one modality: a numbered folder and a name in it; the names lie in one buffer."""

    folders: tuple[str, ...]
    codes: I32
    """(N,) into `folders`, or `ABSENT`."""
    names: bytes
    ends: I64
    """(N,) where each name ends in `names`; a name is empty where the folder itself is the path."""

    def name(self, row: int) -> str:
        """The last part of a path."""
        return self.names[self.ends[row - 1] if row else 0 : self.ends[row]].decode()

    def __getitem__(self, row: int) -> str | None:
        """A path below the data set's folder, or None."""
        code = self.codes[row]
        if code == ABSENT:
            return None
        folder, name = self.folders[code], self.name(row)
        return f"{folder}/{name}" if folder and name else folder or name

    def in_folders(self, rename: Callable[[str], str]) -> PathColumn:
        """The same names in other folders: depth beside colour."""
        return PathColumn(tuple(map(rename, self.folders)), self.codes, self.names, self.ends)


@dataclass(frozen=True)
class ListNote:
    """What was found in one list."""

    file: str
    form: str
    """How it says things, e.g. "CASIA-SURF challenge list (1 = bona fide, 0 = attack)"."""
    columns: tuple[str, ...]
    """Modalities, in the order in which the list's columns have them."""
    lines: int
    checked: int
    """Lines whose label the path confirms; for the others the list's word is all there is."""


@dataclass(frozen=True, eq=False)
class SampleTable:
    """The samples of one protocol of a data set."""

    dataset: str
    protocol: str
    root: Path
    facts: tuple[Facts, ...]
    fact_codes: I32
    """(N,) into `facts`."""
    attack: npt.NDArray[np.bool_]
    """(N,)"""
    splits: npt.NDArray[np.int8]
    """(N,) into `SPLITS`."""
    files: tuple[str, ...]
    file_codes: npt.NDArray[np.int16]
    """(N,) into `files`: the list that names the sample."""
    lines: I32
    """(N,) and its line there; 0: no list does, the data set's rule does."""
    paths: Mapping[str, PathColumn]
    lists: tuple[ListNote, ...]
    notes: tuple[str, ...]
    """What a user should know of this copy, e.g. a split without labels."""

    def __len__(self) -> int:
        return len(self.fact_codes)

    def __getitem__(self, row: int) -> Sample:
        if not -len(self) <= row < len(self):
            raise IndexError(row)
        row %= len(self)
        facts = self.facts[self.fact_codes[row]]
        paths = {name: path for name, column in self.paths.items() if (path := column[row]) is not None}
        return Sample(
            id=next(iter(paths.values())),
            subject=facts.subject,
            session=facts.session,
            device=facts.device,
            label=Label.ATTACK if self.attack[row] else Label.BONA_FIDE,
            pai=self.pai(row),
            split=SPLITS[self.splits[row]],
            paths={name: self.root / path for name, path in paths.items()},
            upside_down=facts.upside_down,
        )

    def __iter__(self) -> Iterator[Sample]:
        return (self[row] for row in range(len(self)))

    def pai(self, row: int) -> str:
        """See `Sample.pai`."""
        return self.facts[self.fact_codes[row]].pai or (UNKNOWN if self.attack[row] else BONA_FIDE)

    def rows(self, split: Split) -> I64:
        """The rows of one split, (n,).

        Raises:
            DataError: it has none.
        """
        found = np.flatnonzero(self.splits == SPLITS.index(split))
        if not len(found):
            why = "; ".join(self.notes) or f"its lists name only {', '.join(split.value for split in self.present())}"
            raise DataError(f"{self.dataset} {self.protocol} has no {split.value} split in {self.root}: {why}")
        return found

    def present(self) -> list[Split]:
        """The splits that have samples."""
        return [SPLITS[code] for code in np.unique(self.splits)]

    def where(self, row: int) -> str:
        """The list and line that name a sample, for messages."""
        file, line = self.files[self.file_codes[row]], self.lines[row]
        return f"{file}, line {line}" if line else file


class Rows:
    """Samples while lists are read; `table` ends it."""

    def __init__(self, *modalities: str) -> None:
        """Args: modalities: those whose paths the lists give, in the order in which `add` takes them."""
        self.facts, self.folders, self.files = Codes[Facts](), Codes[str](), Codes[str]()
        self.lists: list[ListNote] = []
        self.notes: list[str] = []
        self._facts, self._attack, self._split = array("i"), array("b"), array("b")
        self._file, self._line = array("h"), array("i")
        self._paths = {name: (array("i"), bytearray(), array("q")) for name in modalities}

    def __len__(self) -> int:
        return len(self._facts)

    def add(
        self, facts: int, label: Label, split: Split, file: int, line: int, paths: Sequence[tuple[int, str] | None]
    ) -> None:
        """One sample.

        Args:
            facts, file: numbers that `self.facts` and `self.files` gave.
            paths: per modality the number that `self.folders` gave, and a name in that folder; None: it has none.
        """
        self._facts.append(facts)
        self._attack.append(label is Label.ATTACK)
        self._split.append(SPLITS.index(split))
        self._file.append(file)
        self._line.append(line)
        for (codes, names, ends), path in zip(self._paths.values(), paths, strict=True):
            if path is None:
                codes.append(ABSENT)
            else:
                codes.append(path[0])
                names += path[1].encode()
            ends.append(len(names))

    def table(self, dataset: str, protocol: str, root: Path) -> SampleTable:
        """What was added; nothing can be added any more. A modality that no sample has is none of the table's."""
        if not len(self):
            raise DataError(f"{dataset} {protocol} in {root} names no samples; its lists are empty")
        folders = tuple(self.folders)
        columns = {
            name: PathColumn(folders, np.frombuffer(codes, np.int32), bytes(names), np.frombuffer(ends, np.int64))
            for name, (codes, names, ends) in self._paths.items()
        }
        return SampleTable(
            dataset=dataset,
            protocol=protocol,
            root=root,
            facts=tuple(self.facts),
            fact_codes=np.frombuffer(self._facts, np.int32),
            attack=np.frombuffer(self._attack, np.bool_),
            splits=np.frombuffer(self._split, np.int8),
            files=tuple(self.files),
            file_codes=np.frombuffer(self._file, np.int16),
            lines=np.frombuffer(self._line, np.int32),
            paths={name: column for name, column in columns.items() if (column.codes != ABSENT).any()},
            lists=tuple(self.lists),
            notes=tuple(self.notes),
        )
