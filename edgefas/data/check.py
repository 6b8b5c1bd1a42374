"""Whether the lists of a protocol can be trusted: leaks between splits, labels that something else gives away.

Nothing here opens a picture; `check_files` does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from enum import Enum
from itertools import combinations
from typing import Literal

import numpy as np

from edgefas.data.sample import BONA_FIDE, Split
from edgefas.data.table import I64, SPLITS, ListNote, PathColumn, SampleTable
from edgefas.errors import CheckFailed

SHOWN = 3
"""Examples in a message."""


class Kind(str, Enum):
    """What can be wrong with samples that were read without an error."""

    SHARED_SUBJECTS = "shared_subjects"
    SHARED_PATHS = "shared_paths"
    REPEATED = "repeated"
    ONE_CLASS = "one_class"
    CONFOUND = "confound"
    MISSING = "missing"
    UNREADABLE = "unreadable"


LEAKS = (Kind.SHARED_SUBJECTS, Kind.SHARED_PATHS)
"""With these, what is measured on one split was learned on another."""


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong, in words that name examples."""

    kind: Kind
    text: str
    count: int


@dataclass(frozen=True)
class Report:
    """What a protocol holds, and what is wrong with it."""

    dataset: str
    protocol: str
    root: str
    samples: int
    counts: dict[str, dict[str, int]]
    """Samples by split and PAI."""
    subjects: dict[str, int]
    """By split; 0 where the lists do not tell."""
    lists: tuple[ListNote, ...]
    files: Literal["not_looked_at", "exist", "decoded"]
    problems: tuple[Problem, ...]
    notes: tuple[str, ...]


def check_lists(table: SampleTable) -> Report:
    """Counts, and every problem that the lists alone show."""
    problems = [*_one_class(table), *leaks(table), *_repeated(table), *_confounds(table)]
    return Report(
        dataset=table.dataset,
        protocol=table.protocol,
        root=str(table.root),
        samples=len(table),
        counts=counts(table),
        subjects={split.value: len(_subjects(table, split)) for split in table.present()},
        lists=table.lists,
        files="not_looked_at",
        problems=tuple(problems),
        notes=(*table.notes, *_order_notes(table)),
    )


def require_sound(table: SampleTable, allow: Collection[Kind] = ()) -> None:
    """Refuse to train or judge on a protocol whose splits leak into each other.

    Raises:
        CheckFailed: a leak that is not in `allow`.
    """
    found = [problem for problem in leaks(table) if problem.kind not in allow]
    if found:
        raise CheckFailed(
            f"{table.dataset} {table.protocol} leaks: {'; '.join(problem.text for problem in found)}. Mend the lists "
            f"(edgefas data check {table.root} --dataset {table.dataset} --protocol {table.protocol}), or allow "
            f"{', '.join(problem.kind.value for problem in found)} and say so beside every figure"
        )


def counts(table: SampleTable) -> dict[str, dict[str, int]]:
    """Samples by split and PAI, bona fide first."""
    _, rows, sizes = np.unique(_kind_keys(table), return_index=True, return_counts=True)
    found = {split.value: Counter[str]() for split in table.present()}
    for row, size in zip(rows.tolist(), sizes.tolist(), strict=True):
        found[SPLITS[table.splits[row]].value][table.pai(row)] += size
    return {
        split: {name: by_pai[name] for name in sorted(by_pai, key=lambda name: (name != BONA_FIDE, name))}
        for split, by_pai in found.items()
    }


def leaks(table: SampleTable) -> list[Problem]:
    """Subjects and files that two splits share."""
    return [*_shared_subjects(table), *_shared_paths(table)]


def _kind_keys(table: SampleTable) -> I64:
    """(N,) equal where split, label and facts are."""
    return (table.fact_codes.astype(np.int64) * 2 + table.attack) * len(SPLITS) + table.splits


def _subjects(table: SampleTable, split: Split) -> set[str]:
    codes = np.unique(table.fact_codes[table.splits == SPLITS.index(split)])
    return {table.facts[code].subject for code in codes} - {""}


def _shared_subjects(table: SampleTable) -> Iterator[Problem]:
    subjects = {split: _subjects(table, split) for split in table.present()}
    for one, other in combinations(subjects, 2):
        shared = sorted(subjects[one] & subjects[other])
        if shared:
            shown = "; ".join(_where_subject(table, subject, (one, other)) for subject in shared[:SHOWN])
            text = f"{one.value} and {other.value} share {len(shared)} of the subjects: {shown}{_more(len(shared))}"
            yield Problem(Kind.SHARED_SUBJECTS, text, len(shared))


def _where_subject(table: SampleTable, subject: str, splits: tuple[Split, ...]) -> str:
    codes = [code for code, facts in enumerate(table.facts) if facts.subject == subject]
    mine = np.isin(table.fact_codes, codes)
    rows = [int(np.flatnonzero(mine & (table.splits == SPLITS.index(split)))[0]) for split in splits]
    return f"{subject} ({', '.join(table.where(row) for row in rows)})"


def _shared_paths(table: SampleTable) -> Iterator[Problem]:
    for name, pairs in _twins(table):
        across = table.splits[pairs[:, 0]] != table.splits[pairs[:, 1]]
        if across.any():
            yield _told(
                table, Kind.SHARED_PATHS, f"two splits share {across.sum()} of the files of {name}", name, pairs[across]
            )


def _repeated(table: SampleTable) -> Iterator[Problem]:
    for name, pairs in _twins(table):
        within = pairs[table.splits[pairs[:, 0]] == table.splits[pairs[:, 1]]]
        if len(within):
            contrary = int((table.attack[within[:, 0]] != table.attack[within[:, 1]]).sum())
            what = f"one split has {len(within)} of the files of {name} twice ({contrary} with contrary labels)"
            yield _told(table, Kind.REPEATED, what, name, within)


def _told(table: SampleTable, kind: Kind, what: str, modality: str, pairs: I64) -> Problem:
    shown = "; ".join(
        f"{table.paths[modality][one]} ({table.where(one)}, {table.where(other)})"
        for one, other in pairs[:SHOWN].tolist()
    )
    return Problem(kind, f"{what}: {shown}{_more(len(pairs))}", len(pairs))


def _twins(table: SampleTable) -> Iterator[tuple[str, I64]]:
    """(modality, (n, 2) neighbouring rows that have the same path); siblings of a column have its twins, too."""
    seen: list[PathColumn] = []
    for name, column in table.paths.items():
        if any(column.names is other.names and column.codes is other.codes for other in seen):
            continue
        seen.append(column)
        keys = _path_keys(column)
        order = np.argsort(keys, kind="stable")
        order = order[column.codes[order] >= 0]
        same = np.flatnonzero(keys[order[1:]] == keys[order[:-1]])
        pairs = np.stack([order[same], order[same + 1]], axis=1)
        yield name, pairs[[column[one] == column[other] for one, other in pairs.tolist()]]


def _path_keys(column: PathColumn) -> I64:
    """(N,) 64-bit hashes of paths."""
    names, ends = column.names, column.ends.tolist()
    hashes = np.fromiter(map(hash, _slices(names, ends)), np.int64, len(ends))
    return hashes * np.int64(1_000_003) ^ column.codes


def _slices(names: bytes, ends: list[int]) -> Iterator[bytes]:
    start = 0
    for end in ends:
        yield names[start:end]
        start = end


def _one_class(table: SampleTable) -> Iterator[Problem]:
    for split in table.present():
        attack = table.attack[table.splits == SPLITS.index(split)]
        if attack.all() or not attack.any():
            what = "attacks" if attack.all() else "bona fide samples"
            yield Problem(Kind.ONE_CLASS, f"{split.value} has {what} only", len(attack))


def _confounds(table: SampleTable) -> Iterator[Problem]:
    """Devices and sessions (own captures: also folders) that predict the label by themselves."""
    for split in table.present():
        mine = table.splits == SPLITS.index(split)
        for attribute in ("device", "session"):
            found = _by_value(table, mine, attribute)
            pure = all(0 in pair for pair in found.values())
            if pure and len(found) > 1 and len({pair[0] == 0 for pair in found.values()}) == 2:
                shown = ", ".join(
                    f"{value} has {one} bona fide and {two} attacks" for value, (one, two) in found.items()
                )
                text = f"the {attribute} alone tells the label in {split.value}: {shown}"
                yield Problem(Kind.CONFOUND, text[:600], sum(map(sum, found.values())))


def _by_value(table: SampleTable, mine: np.ndarray, attribute: str) -> dict[str, tuple[int, int]]:
    """(bona fide, attacks) by value. A session of a single subject is a recording, and has one label by its nature."""
    codes = np.flatnonzero(np.bincount(table.fact_codes[mine], minlength=len(table.facts)))
    of_value: dict[str, list[int]] = {}
    for code in codes.tolist():
        of_value.setdefault(getattr(table.facts[code], attribute), []).append(code)
    sizes = [
        np.bincount(table.fact_codes[mine & (table.attack == attack)], minlength=len(table.facts))
        for attack in (False, True)
    ]
    found = {}
    for value, its in sorted(of_value.items()):
        people = {table.facts[code].subject for code in its}
        if value and (attribute == "device" or len(people) > 1 or "" in people):
            found[value] = (int(sizes[0][its].sum()), int(sizes[1][its].sum()))
    return found


def _order_notes(table: SampleTable) -> Iterator[str]:
    for note in table.lists:
        usual = [name for name in table.paths if name in note.columns]
        if list(note.columns) != usual:
            yield f"{note.file} has its columns in the order {', '.join(note.columns)}; they are told by their paths"


def _more(count: int) -> str:
    return f" and {count - SHOWN} more" if count > SHOWN else ""
