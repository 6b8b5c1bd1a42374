"""CASIA-SURF (Zhang et al., CVPR 2019 and T-BIOM 2020): RGB, depth and infrared of 1000 people, faces cut out.

`Training/{real_part,fake_part}/<subject>/<clip>.rssdk/{color,depth,ir}/NNNN.jpg`; the attacks are prints with holes
where eyes (e), nose (n) and mouth (m) are, held flat (s) or bent (b). 04 to 06 are for training, 01 to 03 for dev and
test: every attack of the test is of an unseen kind. The challenge's Val and Testing are anonymous.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from edgefas.data.lines import find_list, need_list
from edgefas.data.lists import ListFormat, read_list
from edgefas.data.sample import BONA_FIDE, Facts, Split
from edgefas.data.siblings import with_siblings
from edgefas.data.table import Rows, SampleTable

NAME = "casia-surf"
PROTOCOLS = ("challenge", "paper", "paper-video")
CHALLENGE = ListFormat("CASIA-SURF challenge list", ("rgb", "depth", "ir"), bona_fide="1", attack="0")
CHALLENGE_ANONYMOUS = replace(CHALLENGE, anonymous=True)
PAPER = ListFormat("CASIA-SURF paper list", ("rgb",), bona_fide="0", attack="1")
PAPER_VIDEO = ListFormat("CASIA-SURF paper list of clips", ("rgb",), bona_fide="0", attack="1", clips=True)
CLIPS = {
    "real": BONA_FIDE,
    "01_e_s": "cut_print_eyes_flat",
    "02_e_b": "cut_print_eyes_bent",
    "03_en_s": "cut_print_eyes_nose_flat",
    "04_en_b": "cut_print_eyes_nose_bent",
    "05_enm_s": "cut_print_eyes_nose_mouth_flat",
    "06_enm_b": "cut_print_eyes_nose_mouth_bent",
}
_PARTS = {"real_part": True, "fake_part": False}
_FOLDERS = ("", "phase1", "phase2", "protocol")
_CHALLENGE_FILES = {Split.TRAIN: "train_list.txt", Split.DEV: "val_{}_list.txt", Split.TEST: "test_{}_list.txt"}


def read(root: Path, protocol: str) -> SampleTable:
    """The samples of a protocol in `PROTOCOLS`.

    Raises:
        DataError: a list is missing or wrong.
    """
    if protocol == "challenge":
        rows = Rows(*CHALLENGE.columns)
        for split, name in _CHALLENGE_FILES.items():
            path = find_list(root, [name.format("private")], _FOLDERS)
            public = find_list(root, [name.format("public")], _FOLDERS)
            if path is None and public is not None:
                rows.notes.append(
                    f"{public.name} has no labels; for a {split.value} split get {name.format('private')}"
                )
            elif path is not None or split is Split.TRAIN:
                path = path or need_list(root, [name], _FOLDERS, NAME)
                form = CHALLENGE if split is Split.TRAIN else CHALLENGE_ANONYMOUS
                read_list(path, form, facts_of, rows, split, root)
        return rows.table(NAME, protocol, root)
    rows = Rows("rgb")
    form, unit = (PAPER_VIDEO, "video") if protocol == "paper-video" else (PAPER, "image")
    for split in Split:
        path = need_list(root, [f"CASIA_SURF@p1_{unit}_{split.value}.txt"], _FOLDERS, NAME)
        read_list(path, form, facts_of, rows, split, root)
    return with_siblings(rows.table(NAME, protocol, root), "color", {"depth": "depth", "ir": "ir"})


def facts_of(folder: str) -> Facts:
    """What `.../real_part/<subject>/<clip>.rssdk/color` says; nothing of the challenge's anonymous folders."""
    parts = folder.split("/")
    part = next((name for name in parts if name in _PARTS), None)
    if part is None:
        return Facts()
    subject, clip = [*parts[parts.index(part) + 1 :], "", ""][:2]
    name, _, device = clip.partition(".")
    if name not in CLIPS:
        raise ValueError(f"{folder!r}: the clip is called {name!r}; expected one of {', '.join(CLIPS)}")
    if _PARTS[part] != (CLIPS[name] == BONA_FIDE):
        raise ValueError(
            f"{folder!r}: the clip {name} lies in {part}; expected {'real' if _PARTS[part] else 'an attack'}"
        )
    return Facts(subject=subject, device=device, pai=CLIPS[name])
