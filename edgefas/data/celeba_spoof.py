"""CelebA-Spoof (Zhang et al., ECCV 2020): RGB pictures of 10,177 people.

`metas/<protocol>/{train,test}_label.json` names `Data/{train,test}/<subject>/{live,spoof}/NNNNNN.{jpg,png}` with 44
numbers each: [40] species, [41] illumination, [42] environment, [43] 0 live, 1 spoof. The folder train or test of a
path is not its split: the file that names it decides. There is no dev split; see `dev_subjects`.
"""

from __future__ import annotations

import math
import mmap
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from edgefas.contracts import Label
from edgefas.data.lines import clean, dev_subjects, need_list
from edgefas.data.lists import PICTURES
from edgefas.data.sample import BONA_FIDE, DataError, Facts, Split
from edgefas.data.table import Codes, ListNote, Rows, SampleTable

NAME = "celeba-spoof"
PROTOCOLS = ("intra_test",)
SPECIES = (
    BONA_FIDE, "print_photo", "print_poster", "print_a4", "paper_cut_face", "paper_cut_upper_body", "paper_cut_region",
    "replay_pc", "replay_pad", "replay_phone", "mask_3d",
)  # fmt: skip
NUMBERS = 44
_SPECIES = {str(number): species for number, species in enumerate(SPECIES)}
FORM = "CelebA-Spoof labels ([43]: 0 = bona fide, 1 = attack)"
_PARTS = {"live": Label.BONA_FIDE, "spoof": Label.ATTACK}
_ENTRY = re.compile(rb'\s*"((?:[^"\\\x00-\x1f]){1,1024})"\s*:\s*\[([-0-9,\s]{1,1024})\]\s*([,}])')
_BOX_GRID_PX = 224
_MIN_BOX_PX = 3


def read(root: Path, protocol: str) -> SampleTable:
    """The samples of a folder of `metas/`.

    Raises:
        DataError: a list is missing or wrong.
    """
    rows = Rows("rgb")
    for name in ("train", "test"):
        path = need_list(root, [f"{name}_label.json"], (f"metas/{protocol}",), NAME)
        dev = _dev_of(path) if name == "train" else frozenset()
        _read_labels(path, dev, rows, Split(name), root)
    rows.notes.append("there is no official dev split: every fifth training subject, in sorted order, is dev")
    return rows.table(NAME, protocol, root)


def _read_labels(path: Path, dev: frozenset[str], rows: Rows, split: Split, root: Path) -> None:
    shown = path.relative_to(root).as_posix()
    file, before = rows.files[shown], len(rows)
    known: dict[tuple[str, ...], tuple[int, int, Label, Split]] = {}
    for offset, picture, numbers in _entries(path):
        folder, _, name = picture.rpartition("/")
        attributes, *last = numbers.rsplit(",", 4)
        try:
            if not name.lower().endswith(PICTURES) or attributes.count(",") != NUMBERS - 5 or len(last) != 4:
                raise ValueError(
                    f"{picture!r}: expected a picture and {NUMBERS} numbers, the last 0 (live) or 1 (spoof)"
                )
            key = (folder, *last)
            if key not in known:
                facts = facts_of(clean(folder), last)
                label = facts.label
                assert label is not None
                where = Split.DEV if facts.subject in dev else split
                known[key] = rows.facts[facts], rows.folders[clean(folder)], label, where
        except ValueError as error:
            raise DataError(f"{path}, byte {offset}: {error}") from None
        facts_code, folder_code, label, where = known[key]
        rows.add(facts_code, label, where, file, 0, [(folder_code, name)])
    rows.lists.append(ListNote(shown, FORM, ("rgb",), len(rows) - before, len(rows) - before))


def _entries(path: Path) -> Iterator[tuple[int, str, str]]:
    """(byte, path, numbers) of each entry, without the whole file in memory."""
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            opened = re.compile(rb"(?:\xef\xbb\xbf)?\s*\{").match(data)
            at, last = opened.end() if opened else 0, b""
            while opened and (found := _ENTRY.match(data, at)):
                try:
                    yield at, found[1].decode(), found[2].decode()
                except UnicodeDecodeError:
                    raise DataError(f"{path}, byte {at}: not UTF-8") from None
                at, last = found.end(), found[3]
            if last != b"}" or data[at : at + 1024].strip():
                wanted = f'"Data/.../000001.jpg": [{NUMBERS} numbers]'
                raise DataError(f"{path}, byte {at}: expected {wanted}, got {data[at : at + 60]!r}")
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from None
    except ValueError:  # mmap refuses an empty file
        raise DataError(f"{path} is empty") from None


def _dev_of(path: Path) -> frozenset[str]:
    subjects = Codes[str]()
    for _, picture, _ in _entries(path):
        subjects[_subject(picture)]
    return dev_subjects(tuple(subjects))


def _subject(picture: str) -> str:
    parts = picture.split("/")
    return parts[-3] if len(parts) > 2 else ""


def facts_of(folder: str, last: Sequence[str]) -> Facts:
    """What `Data/train/<subject>/{live,spoof}` and the last four numbers say.

    Raises:
        ValueError: they disagree.
    """
    part, subject = folder.rpartition("/")[2], _subject(f"{folder}/x")
    words = [word.strip() for word in last]
    if part not in _PARTS or not subject or words[0] not in _SPECIES or words[3] not in ("0", "1"):
        raise ValueError(
            f"{folder!r} with [40] {words[0]} and [43] {words[3]}: expected Data/.../<subject>/live or spoof, "
            f"0 to {len(SPECIES) - 1}, and 0 or 1"
        )
    species = _SPECIES[words[0]]
    said = {_PARTS[part], Label.ATTACK if words[3] == "1" else Label.BONA_FIDE}
    if said != {Facts(pai=species).label}:
        raise ValueError(f"{folder!r}: the folder says {part}, [40] is {words[0]} and [43] is {words[3]}; 0 is live")
    # light and place are 0 for everything live: not told, rather than a place of its own
    session = "" if species == BONA_FIDE else f"light_{words[1]}_place_{words[2]}"
    return Facts(subject=subject, session=session, pai=species)


def face_box_px(picture: Path, width_px: int, height_px: int) -> tuple[float, float, float, float] | None:
    """(x, y, width, height) of the face in pixels, from `<name>_BB.txt`, which counts on a grid of 224x224.

    Args:
        width_px, height_px: of the picture.

    Returns:
        None where the file is missing or empty, or the box is narrower than 3 pixels: both are found in the set.

    Raises:
        DataError: something else stands in it.
    """
    path = picture.with_name(f"{picture.stem}_BB.txt")
    try:
        words = path.read_bytes()[:256].split()
        values = [float(word) for word in words[:4]]
    except FileNotFoundError:
        return None
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from None
    except ValueError:
        raise DataError(f"{path}: expected x y width height score, got {b' '.join(words)[:60]!r}") from None
    if not words:
        return None
    scale = (width_px / _BOX_GRID_PX, height_px / _BOX_GRID_PX) * 2
    box = tuple(value * factor for value, factor in zip(values, scale, strict=False))
    if len(box) < 4 or not all(map(math.isfinite, box)):
        raise DataError(f"{path}: expected x y width height score, got {b' '.join(words)[:60]!r}")
    return (box[0], box[1], box[2], box[3]) if min(box[2:]) >= _MIN_BOX_PX else None
