"""CASIA-FASD (Zhang et al., ICB 2012): 600 videos of 50 people in three qualities.

`train_release/<1..20>` and `test_release/<1..30>`, twelve videos each. The numbers begin anew in the test: subject 1 of
one folder is not subject 1 of the other. There is no dev split; see `dev_subjects`.
"""

from __future__ import annotations

import os
from pathlib import Path

from edgefas.data.expected import add_expected
from edgefas.data.lines import dev_subjects
from edgefas.data.sample import BONA_FIDE, DataError, Facts, Split
from edgefas.data.table import ListNote, Rows, SampleTable

NAME = "casia-fasd"
PROTOCOLS = ("official",)
FOLDERS = {"train_release": (20, Split.TRAIN), "test_release": (30, Split.TEST)}
VIDEOS = {
    "1": ("low", BONA_FIDE),
    "2": ("normal", BONA_FIDE),
    "HR_1": ("high", BONA_FIDE),
    "3": ("low", "print_warped"),
    "4": ("normal", "print_warped"),
    "HR_2": ("high", "print_warped"),
    "5": ("low", "print_cut"),
    "6": ("normal", "print_cut"),
    "HR_3": ("high", "print_cut"),
    "7": ("low", "replay_tablet"),
    "8": ("normal", "replay_tablet"),
    "HR_4": ("high", "replay_tablet"),
}
"""(quality, species); a camera stands behind each quality."""
FORM = "CASIA-FASD names (1, 2, HR_1 = bona fide, others = attack)"


def read(root: Path, protocol: str) -> SampleTable:
    """The one protocol, "official".

    Raises:
        DataError: `root` has neither folder.
    """
    if not any(os.path.isdir(root / folder) for folder in FOLDERS):
        raise DataError(
            f"{root} has neither {' nor '.join(FOLDERS)}; docs/datasets/{NAME}.md says how the data set is laid out"
        )
    rows = Rows("rgb")
    for folder, (people, split) in FOLDERS.items():
        subjects = [f"{folder}/{number}" for number in range(1, people + 1)]
        dev = dev_subjects(subjects) if split is Split.TRAIN else frozenset()
        for subject in subjects:
            for video, (quality, species) in VIDEOS.items():
                facts = Facts(subject=subject, device=quality, pai=species)
                where = Split.DEV if subject in dev else split
                add_expected(rows, facts, where, subject, (f"{video}.avi",), (folder, 0), root)
        rows.lists.append(ListNote(folder, FORM, ("rgb",), people * len(VIDEOS), people * len(VIDEOS)))
    rows.notes.append("there is no official dev split: every fifth training subject, in sorted order, is dev")
    return rows.table(NAME, protocol, root)
