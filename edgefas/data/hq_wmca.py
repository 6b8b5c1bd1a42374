"""HQ-WMCA (Heusch et al., T-BIOM 2020), as an export that somebody made with Idiap's own tools.

The raw files need bob.db.hqwmca's calibration to bring the cameras onto one grid, so they are not read here. Of the
export, `<protocol>.csv` names the files in columns `path,group,pai`, and each HDF5 file holds `rgb` (T, H, W, 3) uint8,
`ir` and `depth` (T, H, W) uint8 or uint16, on one grid. File names stay the authors':
`<site>_<session>_<client>_<presenter>_<type>_<subtype>_<pai>-<hash>.h5`.
"""

from __future__ import annotations

import re
from pathlib import Path

from edgefas.data.lines import clean, need_list, read_csv
from edgefas.data.sample import BONA_FIDE, DataError, Facts, Split
from edgefas.data.table import ListNote, Rows, SampleTable

NAME = "hq-wmca"
PROTOCOLS = ("grand_test",)
GROUPS = {"train": Split.TRAIN, "validation": Split.DEV, "test": Split.TEST}
FORM = f"export of HQ-WMCA (pai {BONA_FIDE} and type 0 = bona fide)"
_MODALITIES = ("rgb", "ir", "depth")
_NAME = re.compile(r"([0-9]+)_([0-9]+)_([0-9]+)_([0-9]+)_([0-9]{1,9})_([0-9]+)_([0-9]+)-(\w+)\.h5")


def read(root: Path, protocol: str) -> SampleTable:
    """The samples of `<protocol>.csv`: one per video.

    Raises:
        DataError: the list is missing or wrong.
    """
    path = need_list(root, [f"{protocol}.csv"], ("", "protocols"), NAME)
    rows = Rows(*_MODALITIES)
    file = rows.files[path.relative_to(root).as_posix()]
    for number, row in read_csv(path, ("path", "group", "pai")):
        try:
            video = clean(row["path"])
            facts, split = facts_of(video, row["pai"]), _split_of(row["group"])
        except ValueError as error:
            raise DataError(f"{path}, line {number}: {error}") from None
        folder, _, name = video.rpartition("/")
        label = facts.label
        assert label is not None
        place = (rows.folders[folder], name)
        rows.add(rows.facts[facts], label, split, file, number, [place] * len(_MODALITIES))
    rows.lists.append(ListNote(path.relative_to(root).as_posix(), FORM, _MODALITIES, len(rows), len(rows)))
    return rows.table(NAME, protocol, root)


def facts_of(video: str, pai: str) -> Facts:
    """What a file's name says, held against the list's word.

    Raises:
        ValueError: they disagree, or the name is none of HQ-WMCA's.
    """
    found = _NAME.fullmatch(video.rpartition("/")[2])
    if found is None:
        raise ValueError(f"{video!r}: expected <site>_<session>_<client>_<presenter>_<type>_<subtype>_<pai>-<hash>.h5")
    site, session, client, _, kind, *_ = found.groups()
    if not pai or (int(kind) == 0) != (pai == BONA_FIDE):
        raise ValueError(
            f"pai is {pai!r}, and the file name has type {kind}; type 0 is {BONA_FIDE}, others are attacks"
        )
    return Facts(subject=client, session=session, device=f"site_{site}", pai=pai)


def _split_of(group: str) -> Split:
    if group not in GROUPS:
        raise ValueError(f"group is {group!r}; expected one of {', '.join(GROUPS)}")
    return GROUPS[group]
