"""Own captures: a CSV beside folders that `edgefas replay --to-folder` wrote, or beside pictures of any camera.

Its columns are `split` (train, dev, test) and either `folder`, an exported recording, or at least one of rgb, ir,
depth, ir_lit, ir_unlit and thermal, a picture, a folder of pictures or a video each; and `label`, `pai`, `subject`,
`session`, `device`. Of an exported recording, what a column leaves out comes from its recording.json and camera.json;
what both tell must agree. `<protocol>.csv` is the protocol: a folder may have several.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from edgefas.contracts import Label
from edgefas.data.lines import clean, need_list, read_csv
from edgefas.data.sample import BONA_FIDE, UNKNOWN, DataError, Facts, Split
from edgefas.data.table import ListNote, Rows, SampleTable
from edgefas.errors import EdgefasError
from edgefas.sensors.folder import FolderSource
from edgefas.sensors.notes import Shown, read_notes

NAME = "folder"
PROTOCOLS = ("captures",)
STREAMS = {"color": "rgb", "ir_lit": "ir_lit", "ir_unlit": "ir_unlit", "depth": "depth"}
"""Folders of an exported recording, and the modality of each."""
MODALITIES = ("rgb", "ir", "depth", "ir_lit", "ir_unlit", "thermal")
FORM = "captures (label: bona_fide or attack)"
_OPTIONAL = ("folder", *MODALITIES, "label", "pai", "subject", "session", "device")


@dataclass(frozen=True)
class _Capture:
    facts: Facts
    label: Label
    moments: list[dict[str, str]]
    """Paths below the data set's folder, by modality."""


def read(root: Path, protocol: str) -> SampleTable:
    """The samples of `<protocol>.csv`: a picture of each stream per frame of an exported recording, else one per line.

    Raises:
        DataError: the list, or a recording it names, is missing or wrong.
    """
    path = need_list(root, [f"{protocol}.csv"], ("",), NAME)
    rows = Rows(*MODALITIES)
    file, lines = rows.files[path.name], 0
    for number, row in read_csv(path, ("split",), _OPTIONAL):
        try:
            split, capture = _split_of(row["split"]), _capture_of(row, root)
        except (ValueError, EdgefasError) as error:
            raise DataError(f"{path}, line {number}: {error}") from None
        lines += 1
        facts = rows.facts[capture.facts]
        for moment in capture.moments:
            places = [_place(rows, moment[name]) if name in moment else None for name in MODALITIES]
            rows.add(facts, capture.label, split, file, number, places)
    rows.lists.append(ListNote(path.name, FORM, MODALITIES, lines, 0))
    return rows.table(NAME, protocol, root)


def _place(rows: Rows, path: str) -> tuple[int, str]:
    folder, _, name = path.rpartition("/")
    return rows.folders[folder], name


def _split_of(word: str) -> Split:
    try:
        return Split(word)
    except ValueError:
        raise ValueError(f"split is {word!r}; expected {', '.join(split.value for split in Split)}") from None


def _capture_of(row: dict[str, str], root: Path) -> _Capture:
    paths = {name: clean(row[name]) for name in MODALITIES if row[name]}
    if bool(row["folder"]) == bool(paths):
        raise ValueError(f"expected a folder, or a path in one of {', '.join(MODALITIES)}; not both, not neither")
    if paths:
        return _Capture(*_agreed(row, Shown(), "", ""), [paths])
    folder = clean(row["folder"])
    if not os.path.isdir(root / folder):
        raise ValueError(
            f"no such folder: {root / folder}; edgefas replay REC.db3 --to-folder makes one of a recording"
        )
    source = FolderSource(root / folder)
    camera, moments = source.identity().serial, list(_moments(source, root))
    notes = read_notes(root / folder)
    session = folder.rpartition("/")[0]
    return _Capture(*_agreed(row, Shown() if notes is None else notes.shown, session, camera), moments)


def _moments(source: FolderSource, root: Path) -> Iterator[dict[str, str]]:
    for pictures in source.pictures():
        yield {STREAMS[name]: path.relative_to(root).as_posix() for name, path in pictures.items()}


def _agreed(row: dict[str, str], shown: Shown, session: str, camera: str) -> tuple[Facts, Label]:
    """The columns of a line, completed by what the recording's own notes say.

    Raises:
        ValueError: they disagree, or neither tells the label.
    """
    told = {
        "label": shown.label.value if shown.label else "",
        "pai": shown.species or "",
        "subject": shown.subject or "",
    }
    both = {name: row[name] or own for name, own in told.items()}
    for name, own in told.items():
        if own and own != both[name]:
            raise ValueError(f"{name} is {row[name]!r}, and the recording's own notes say {own!r}; mend one of them")
    if both["label"] not in {label.value for label in Label}:
        raise ValueError(f"label is {both['label']!r}; expected {' or '.join(label.value for label in Label)}")
    label = Label(both["label"])
    if both["pai"] and (both["pai"] == BONA_FIDE) != (label is Label.BONA_FIDE):
        raise ValueError(f"label is {label.value} and pai is {both['pai']!r}; pai is the kind of attack")
    pai = both["pai"] or (BONA_FIDE if label is Label.BONA_FIDE else UNKNOWN)
    return Facts(both["subject"], row["session"] or session, row["device"] or camera, pai), label
