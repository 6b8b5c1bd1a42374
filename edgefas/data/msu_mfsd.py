"""MSU-MFSD (Wen et al., T-IFS 2015): 280 videos of 35 people, before a laptop and an Android phone.

`scene01/{real,attack}/{real,attack}_clientNNN_{android,laptop}_SD_[<attack>_]scene01.{mp4,mov}`; `train_sub_list.txt`
and `test_sub_list.txt` name the clients. There is no dev split; see `dev_subjects`.
"""

from __future__ import annotations

from pathlib import Path

from edgefas.data.expected import add_expected, numbers_of
from edgefas.data.lines import dev_subjects, need_list
from edgefas.data.sample import BONA_FIDE, Facts, Split
from edgefas.data.table import ListNote, Rows, SampleTable

NAME = "msu-mfsd"
PROTOCOLS = ("official",)
ATTACKS = {"ipad_video": "replay_tablet", "iphone_video": "replay_phone", "printed_photo": "print_photo"}
DEVICES = {"android": (".mp4", ".mov"), "laptop": (".mov", ".mp4")}
"""With the usual extension first."""
UPSIDE_DOWN = {3, 5, 6, 7, 8, 9}
"""Clients whose bona fide Android videos stand on their head (rotated_videos.txt of bob.db.msu_mfsd_mod)."""
FORM = "MSU-MFSD subjects (the folder real = bona fide, attack = attack)"
_HIGHEST = 999


def read(root: Path, protocol: str) -> SampleTable:
    """The one protocol, "official".

    Raises:
        DataError: a list is missing or wrong.
    """
    rows = Rows("rgb")
    for split in (Split.TRAIN, Split.TEST):
        path = need_list(root, [f"{split.value}_sub_list.txt"], ("",), NAME)
        clients = numbers_of(path, _HIGHEST)
        dev = dev_subjects([_client(number) for number in clients]) if split is Split.TRAIN else frozenset()
        for number, line in clients.items():
            _add(rows, number, Split.DEV if _client(number) in dev else split, (path.name, line), root)
        rows.lists.append(ListNote(path.name, FORM, ("rgb",), len(clients), len(clients)))
    rows.notes.append("there is no official dev split: every fifth training subject, in sorted order, is dev")
    return rows.table(NAME, protocol, root)


def _client(number: int) -> str:
    return f"client{number:03d}"


def _add(rows: Rows, number: int, split: Split, where: tuple[str, int], root: Path) -> None:
    client = _client(number)
    for device, suffixes in DEVICES.items():
        upside_down = device == "android" and number in UPSIDE_DOWN
        facts = Facts(client, "scene01", device, BONA_FIDE, upside_down)
        names = tuple(f"real_{client}_{device}_SD_scene01{suffix}" for suffix in suffixes)
        add_expected(rows, facts, split, "scene01/real", names, where, root)
        for attack, species in ATTACKS.items():
            names = tuple(f"attack_{client}_{device}_SD_{attack}_scene01{suffix}" for suffix in suffixes)
            add_expected(rows, Facts(client, "scene01", device, species), split, "scene01/attack", names, where, root)
