"""CASIA-SURF CeFA (Liu et al., WACV 2021): RGB, depth and infrared of three ethnicities, and masks.

A clip is called `<race>_<id>_<device>_<session>_<pai>`, or with seven fields `<mask>_<id>_<dress>_<glasses>_<device>_
<session>_<light>`: only in the first form the last field is the attack. Challenge lists (CVPR 2020) call the folder of
RGB `profile` and bona fide 1, paper lists call it `color` and bona fide 0. Dev and test clips of the challenge are
anonymous.
"""

from __future__ import annotations

import re
from pathlib import Path

from edgefas.data.lines import find_list, need_list
from edgefas.data.lists import MODALITIES, ListFormat, read_list
from edgefas.data.sample import BONA_FIDE, Facts, Split
from edgefas.data.siblings import with_siblings
from edgefas.data.table import Rows, SampleTable

NAME = "cefa"
CHALLENGE_PROTOCOLS = ("4@1", "4@2", "4@3")
PAPER_PROTOCOLS = ("1.1", "1.3", "1.5", "2.1", "2.2", "3", "4.1", "4.3", "4.5")
PROTOCOLS = (*CHALLENGE_PROTOCOLS, *PAPER_PROTOCOLS, *(f"{name}-video" for name in PAPER_PROTOCOLS))
CHALLENGE = ListFormat("CeFA challenge list", ("rgb",), bona_fide="1", attack="0")
CHALLENGE_CLIPS = ListFormat(
    "CeFA challenge list of clips", ("rgb",), bona_fide="1", attack="0", clips=True, inside="profile", anonymous=True
)
PAPER = ListFormat("CeFA paper list", ("rgb",), bona_fide="0", attack="1")
PAPER_VIDEO = ListFormat("CeFA paper list of clips", ("rgb",), bona_fide="0", attack="1", clips=True)
RACES = {"1": "AF", "2": "CA", "3": "EA"}
PAIS = {"1": BONA_FIDE, "2": "print_cloth", "3": "print_photo", "4": "replay_screen"}
MASKS = {"1": ("3D-Mask", "mask_3d"), "2": ("Silicone-Mask", "mask_silicone")}
DEVICES = {"1": "rssdk", "2": "mp4", "3": "bag", "4": "mov"}
MASK_DEVICES = {"1": "camera", "2": "d435i"}
SESSIONS = {"1": "indoor", "2": "outdoor", "3": "random"}
_FOLDERS = ("", "phase1", "phase2", "protocol")
_ANONYMOUS = re.compile(r"[0-9]+")


def read(root: Path, protocol: str) -> SampleTable:
    """The samples of a protocol in `PROTOCOLS`; those of a clip list are clips.

    Raises:
        DataError: a list is missing or wrong.
    """
    rows = Rows("rgb")
    if protocol in CHALLENGE_PROTOCOLS:
        train = need_list(root, [f"{protocol}_train.txt"], _FOLDERS, NAME)
        read_list(train, CHALLENGE, facts_of, rows, Split.TRAIN, root)
        for split in (Split.DEV, Split.TEST):
            path = find_list(root, [f"{protocol}_{split.value}_ref.txt"], _FOLDERS)
            if path is None:
                rows.notes.append(
                    f"there is no {protocol}_{split.value}_ref.txt ({protocol}_{split.value}_res.txt has no labels)"
                )
            else:
                read_list(path, CHALLENGE_CLIPS, facts_of, rows, split, root)
        return with_siblings(rows.table(NAME, protocol, root), "profile", {"depth": "depth", "ir": "ir"})
    number, _, unit = protocol.partition("-")
    for split in Split:
        path = need_list(root, [f"CASIA_CeFA@p{number}_{unit or 'image'}_{split.value}.txt"], _FOLDERS, NAME)
        read_list(path, PAPER_VIDEO if unit else PAPER, facts_of, rows, split, root)
    return with_siblings(rows.table(NAME, protocol, root), "color", {"depth": "depth", "ir": "ir"})


def facts_of(folder: str) -> Facts:
    """What the name of a clip says, and the folder of its subject where it lies in one."""
    parts = folder.split("/")
    if len(parts) > 1 and parts[-1] in MODALITIES:
        del parts[-1]
    clip, parent = parts[-1], parts[-2] if len(parts) > 1 else ""
    fields = clip.split("_")
    if _ANONYMOUS.fullmatch(clip):
        return Facts()
    if len(fields) == 5:
        race, number, device, session, pai = fields
        subject = f"{_one_of('race', race, RACES)}-{number}"
        if parent[:2] in RACES.values() and not f"{parent}-".startswith(f"{subject}-"):
            raise ValueError(f"{folder!r}: the clip is of {subject} and lies in the folder of {parent}")
        species = _one_of("attack", pai, PAIS)
        return Facts(subject, _one_of("session", session, SESSIONS), _one_of("device", device, DEVICES), species)
    if len(fields) == 7:
        mask, number, _, _, device, session, _ = fields
        kind, species = MASKS.get(mask, ("", ""))
        if not kind or not _in_folder_of(kind, parts):
            raise ValueError(f"{folder!r}: a clip of seven fields is of a mask, in {MASKS['1'][0]} or {MASKS['2'][0]}")
        device = _one_of("device", device, MASK_DEVICES)
        return Facts(f"{kind}-{number}", _one_of("session", session, SESSIONS), device, species)
    raise ValueError(f"{folder!r}: the clip's name has {len(fields)} fields; expected 5, or 7 of a mask")


def _in_folder_of(kind: str, parts: list[str]) -> bool:
    others = {name for name, _ in MASKS.values()} - {kind}
    return not others & set(parts)


def _one_of(field: str, value: str, allowed: dict[str, str]) -> str:
    if value not in allowed:
        shown = ", ".join(f"{code} {meaning}" for code, meaning in allowed.items())
        raise ValueError(f"the clip's {field} field is {value!r}; expected {shown}")
    return allowed[value]
