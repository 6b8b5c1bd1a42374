"""WMCA (George et al., T-IFS 2019): colour, depth, infrared and thermal of 72 people, preprocessed by its authors.

`preprocessed-face-station_{RGB,CDIT}/[face-station/]<dd.mm.yy>/<client>_<session>_<presenter>_<type>_<pai>.hdf5`. The
type is not the species: glasses of type 1 are rigid masks or wigs for some numbers, prints of type 3 are replays. The
leave-one-out protocols are made here from grandtest, as bob made them: the attack is taken out of train and dev, and
the test has bona fide and that attack only.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from edgefas.contracts import Label
from edgefas.data.lines import clean, csv_cells, lines_of, need_list
from edgefas.data.sample import BONA_FIDE, DataError, Facts, Split
from edgefas.data.table import ListNote, Rows, SampleTable

NAME = "wmca"
LEFT_OUT = ("fakehead", "flexiblemask", "glasses", "papermask", "prints", "replay", "rigidmask")
PROTOCOLS = ("grandtest", *(f"LOO_{pai}" for pai in LEFT_OUT))
GROUPS = {"train": Split.TRAIN, "dev": Split.DEV, "eval": Split.TEST}
LABELS = {"bonafide": Label.BONA_FIDE, "attack": Label.ATTACK}
FORM = "WMCA protocol (type 0 = bona fide, or the words bonafide and attack)"
_FILES = ("PROTOCOL-grandtest.csv", "WMCA_Grandtest.txt")
_FOLDERS = ("", "wmca-protocols-csv", "documentation")
_NAME = re.compile(r"([0-9]{3})_([0-9]{2})_([0-9]{3})_([0-9])_([0-9]{2})")
_RGB, _CDIT = "preprocessed-face-station_RGB", "preprocessed-face-station_CDIT"


def read(root: Path, protocol: str) -> SampleTable:
    """The samples of a protocol in `PROTOCOLS`: one per video.

    Raises:
        DataError: the list of grandtest is missing or wrong.
    """
    path = need_list(root, _FILES, _FOLDERS, NAME)
    left_out = protocol.removeprefix("LOO_") if protocol != "grandtest" else None
    rows = Rows("rgb", "depth", "ir", "thermal")
    file, makeup, lines = rows.files[path.relative_to(root).as_posix()], 0, 0
    tops = [_top(root, name) for name in (_RGB, _CDIT)]
    for number, video, facts, split in _videos(path):
        lines += 1
        makeup += facts.pai == "makeup"
        if facts.pai == "makeup" or not keep(facts.pai, split, left_out):
            continue
        folder, _, name = video.rpartition("/")
        rgb, cdit = (rows.folders[f"{top}/{folder}"] for top in tops)
        label = facts.label
        assert label is not None
        paths = [(rgb, f"{name}.hdf5"), *[(cdit, f"{name}.hdf5")] * 3]
        rows.add(rows.facts[facts], label, split, file, number, paths)
    if makeup:
        rows.notes.append(f"{makeup} videos of makeup are left out, as its authors do: they are no clear attack")
    rows.lists.append(
        ListNote(path.relative_to(root).as_posix(), FORM, ("rgb", "depth", "ir", "thermal"), lines, lines)
    )
    return rows.table(NAME, protocol, root)


def keep(pai: str, split: Split, left_out: str | None) -> bool:
    """Whether a leave-one-out protocol has a video of grandtest's `split`."""
    if left_out is None or pai == BONA_FIDE:
        return True
    return (pai == left_out) == (split is Split.TEST)


def pai_of(kind: str, number: str) -> str:
    """Species of a type and a number (idiap_converter_v2.json of bob.pad.face).

    Raises:
        ValueError: the table has no such number.
    """
    pai = int(number)
    if kind == "0" and pai <= 2:
        return BONA_FIDE
    if kind == "1":
        return "rigidmask" if pai in (2, 13, 14) else "wig" if 8 <= pai <= 12 else "glasses"
    if kind == "2":
        for species, first, last in _TYPE_2:
            if first <= pai <= last:
                return species
    if kind == "3":
        return "replay" if pai in (5, 10, 15) else "prints"
    if kind in ("4", "5"):
        return "replay" if kind == "4" else "makeup"
    raise ValueError(f"type {kind}, number {number} is in no table of WMCA's attacks")


_TYPE_2 = (
    ("fakehead", 1, 7),
    ("papermask", 8, 11),
    ("rigidmask", 12, 17),
    ("flexiblemask", 18, 18),
    ("flexiblemask", 75, 99),
)


def _videos(path: Path) -> Iterator[tuple[int, str, Facts, Split]]:
    """(line, path without extension, facts, split); columns are told by what is in them."""
    for number, text in lines_of(path):
        cells = [cell.strip() for cell in csv_cells(path, number, text)]
        places = [place for place, cell in enumerate(cells) if _name_of(cell)]
        if number == 1 and not places:
            continue  # a header
        try:
            yield number, *_video(cells, places)
        except ValueError as error:
            raise DataError(f"{path}, line {number}: {error}") from None


def _video(cells: list[str], places: list[int]) -> tuple[str, Facts, Split]:
    groups = [cell for cell in cells if cell in GROUPS]
    if len(places) != 1 or len(groups) != 1:
        wanted = f"one path <date>/<client>_<session>_<presenter>_<type>_<pai> and one of {', '.join(GROUPS)}"
        raise ValueError(f"expected {wanted}, got {','.join(cells)[:200]!r}")
    video = clean(cells[places[0]].removesuffix(".hdf5")).removeprefix("face-station/")
    client, session, _, kind, number = _name_of(video)
    facts = Facts(subject=client, session=session, pai=pai_of(kind, number))
    _check_words(cells[places[0] + 1 :], kind, facts)
    return video, facts, GROUPS[groups[0]]


def _check_words(cells: list[str], kind: str, facts: Facts) -> None:
    """The columns behind the path: the type, or a word for the label."""
    said = next((cell for cell in cells if cell in LABELS), None)
    if said is not None and LABELS[said] is not facts.label:
        raise ValueError(f"the label is {said}, and the file name has type {kind}: {facts.pai}")
    if said is None and cells and cells[0] != kind:
        raise ValueError(f"the column behind the path says {cells[0]!r}, the file name has type {kind}; 0 is bona fide")


def _name_of(path: str) -> tuple[str, ...]:
    found = _NAME.fullmatch(path.removesuffix(".hdf5").rpartition("/")[2])
    return found.groups() if found else ()


def _top(root: Path, name: str) -> str:
    """Some copies have `face-station` below the folder of the channels, others do not."""
    return f"{name}/face-station" if os.path.isdir(root / name / "face-station") else name
