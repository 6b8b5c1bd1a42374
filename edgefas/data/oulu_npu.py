"""OULU-NPU (Boulkenafet et al., FG 2017): 4950 videos of 55 people with six phones in three sessions.

`Protocols/Protocol_<n>/{Train,Dev,Test}[_<k>].txt` with lines `+1,P_S_UU_F`: phone, session, user, and what it is
(1 bona fide, 2 and 3 prints, 4 and 5 replays). Copies disagree on the number of an attack: every negative is one, and
its species comes from F. Videos lie in `{Train,Dev,Test}_files/P_S_UU_F.avi`.
"""

from __future__ import annotations

import re
from pathlib import Path

from edgefas.contracts import Label
from edgefas.data.lines import lines_of, need_list
from edgefas.data.sample import BONA_FIDE, DataError, Facts, Split
from edgefas.data.table import ListNote, Rows, SampleTable

NAME = "oulu-npu"
PROTOCOLS = ("1", "2", *(f"{number}.{part}" for number in (3, 4) for part in range(1, 7)))
PAIS = {"1": BONA_FIDE, "2": "print_1", "3": "print_2", "4": "replay_1", "5": "replay_2"}
FORM = "OULU-NPU protocol (+1 = bona fide, negative = attack)"
_SPLITS = {Split.TRAIN: "Train", Split.DEV: "Dev", Split.TEST: "Test"}
_LINE = re.compile(r"([+-]?[0-9]{1,3})\s*,\s*(([1-6])_([1-3])_([0-9]{2})_([1-5]))(?:\.avi)?")


def read(root: Path, protocol: str) -> SampleTable:
    """The samples of a protocol in `PROTOCOLS`; 3.4 is the fourth part of protocol 3.

    Raises:
        DataError: a list is missing or wrong.
    """
    rows = Rows("rgb")
    number, _, part = protocol.partition(".")
    for split, name in _SPLITS.items():
        file = f"{name}_{part}.txt" if part else f"{name}.txt"
        path = need_list(root, [file], (f"Protocols/Protocol_{number}",), NAME)
        shown, before, folder = path.relative_to(root).as_posix(), len(rows), rows.folders[f"{name}_files"]
        for line, text in lines_of(path):
            try:
                video, label, facts = video_of(text)
            except ValueError as error:
                raise DataError(f"{path}, line {line}: {error}") from None
            rows.add(rows.facts[facts], label, split, rows.files[shown], line, [(folder, f"{video}.avi")])
        if len(rows) == before:
            raise DataError(f"{path} names no samples; its lines should be as +1,1_1_01_1")
        rows.lists.append(ListNote(shown, FORM, ("rgb",), len(rows) - before, len(rows) - before))
    return rows.table(NAME, protocol, root)


def video_of(text: str) -> tuple[str, Label, Facts]:
    """(name, label, facts) of one line.

    Raises:
        ValueError: it is none of a protocol, or number and name disagree.
    """
    found = _LINE.fullmatch(text)
    if found is None or int(found[1]) == 0:
        raise ValueError(
            f"{text[:80]!r}: expected +1 or a negative number, and phone_session_user_file, as +1,1_1_01_1"
        )
    word, video, phone, session, user, kind = found.groups()
    label = Label.BONA_FIDE if int(word) > 0 else Label.ATTACK
    facts = Facts(f"user_{user}", f"session_{session}", f"phone_{phone}", PAIS[kind])
    if facts.label is not label:
        raise ValueError(f"{word} means {label.value}, and the name {video} ends in {kind}: {facts.pai}")
    return video, label, facts
