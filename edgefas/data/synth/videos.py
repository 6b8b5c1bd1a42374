"""Sets of colour videos: MSU-MFSD, CASIA-FASD and OULU-NPU."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from edgefas.data import casia_fasd, msu_mfsd, oulu_npu
from edgefas.data.lines import dev_subjects
from edgefas.data.sample import BONA_FIDE, Split
from edgefas.data.synth import products
from edgefas.data.synth.plan import (
    Clip,
    Conditions,
    Layout,
    Tree,
    Wanted,
    episode_of,
    indices,
    lines,
    people,
    site_of,
    splits_of,
)
from edgefas.files import FileWriteError
from edgefas.sensors.frame import U8
from edgefas.sensors.simulator import Presentation
from edgefas.sensors.simulator.rig import WHOLE
from edgefas.sensors.simulator.truth import EYES, face_points

FPS = 25
_MET = Conditions(near_mm=350, far_mm=700)
_NEAR = Conditions(near_mm=300, far_mm=450)
_PRINT, _REPLAY = Presentation.FLAT_PRINT, Presentation.PHONE_REPLAY
_KINDS: dict[str, tuple[Presentation, dict[str, Any]]] = {
    BONA_FIDE: (Presentation.BONA_FIDE, {}),
    "print_photo": (_PRINT, {}),
    "replay_tablet": (_REPLAY, {"device": "tablet"}),
    "replay_phone": (_REPLAY, {"device": "phone"}),
    "print_warped": (Presentation.BENT_PRINT, {}),
    "print_cut": (Presentation.CUT_PRINT, {"cut": "eyes"}),
    "print_1": (_PRINT, {"ink": "dye"}),
    "print_2": (_PRINT, {"ink": "toner"}),
    "replay_1": (_REPLAY, {"device": "tablet"}),
    "replay_2": (_REPLAY, {"device": "phone"}),
}
_RIGS = ("d435", "d455")


def plan_msu(wanted: Wanted) -> Tree:
    """Three training clients to four of the test, as in the set; dev by the reader's rule."""
    clients = range(1, wanted.subjects + 1)
    trained = max(5, round(wanted.subjects * 3 / 7))
    dev = dev_subjects([f"client{number:03}" for number in clients[:trained]])
    clips = []
    for number, person in zip(clients, people(wanted.seed), strict=False):
        client = f"client{number:03}"
        split = Split.TEST if number > trained else Split.DEV if client in dev else Split.TRAIN
        for rig, (device, (suffix, _)) in zip(_RIGS, msu_mfsd.DEVICES.items(), strict=True):
            for attack, pai in {"": BONA_FIDE, **msu_mfsd.ATTACKS}.items():
                part = f"attack_{client}_{device}_SD_{attack}" if attack else f"real_{client}_{device}_SD"
                name = f"scene01/{part.partition('_')[0]}/{part}_scene01{suffix}"
                clips.append(_clip(wanted, name, split, pai, client, person, number, _MET, rig=rig))
    named = {"train": clients[:trained], "test": clients[trained:]}
    lists = {f"{split}_sub_list.txt": lines(f"{number:02}" for number in its) for split, its in named.items()}
    return Tree(tuple(clips), lists)


def plan_casia_fasd(wanted: Wanted) -> Tree:
    """All fifty people: the set has no lists, every video is expected."""
    clips, shown = [], iter(people(wanted.seed))
    for folder, (count, split) in casia_fasd.FOLDERS.items():
        subjects = [f"{folder}/{number}" for number in range(1, count + 1)]
        dev = dev_subjects(subjects) if split is Split.TRAIN else frozenset()
        for number, subject in enumerate(subjects):
            person, where = next(shown), Split.DEV if subject in dev else split
            for video, (quality, pai) in casia_fasd.VIDEOS.items():
                met = _NEAR if quality == "high" else _MET
                clips.append(_clip(wanted, f"{subject}/{video}.avi", where, pai, subject, person, number, met))
    return Tree(tuple(clips), {})


def plan_oulu(wanted: Wanted) -> Tree:
    """Every person before six phones in three sessions, as in the set: 90 videos each."""
    clips = [clip for parts in zip(
        range(1, wanted.subjects + 1), people(wanted.seed), splits_of(wanted.subjects, (20, 15, 20)), strict=False
    ) for clip in _oulu_clips(wanted, *parts)]  # fmt: skip
    lists = {}
    for protocol in oulu_npu.PROTOCOLS:
        number, _, part = protocol.partition(".")
        for split in Split:
            mine = [_oulu_name(clip) for clip in clips if clip.split is split]
            rows = [f"{_sign(name)},{name}" for name in mine if _oulu_has(number, part, split, name)]
            file = f"{split.value.title()}_{part}.txt" if part else f"{split.value.title()}.txt"
            lists[f"Protocols/Protocol_{number}/{file}"] = lines(rows)
    return Tree(tuple(clips), lists)


def _oulu_clips(wanted: Wanted, user: int, person: int, split: Split) -> Iterator[Clip]:
    for phone in range(1, 7):
        for session in range(1, 4):
            for kind, pai in oulu_npu.PAIS.items():
                name = f"{split.value.title()}_files/{phone}_{session}_{user:02}_{kind}.avi"
                place, rig = 6 * session + phone, _RIGS[phone % 2]
                yield _clip(wanted, name, split, pai, f"user_{user:02}", person, place, _MET, rig=rig)


def _oulu_name(clip: Clip) -> str:
    return Path(clip.name).stem


def _sign(name: str) -> str:
    return {"1": "+1", "2": "-1", "3": "-1"}.get(name[-1], "-2")


def _oulu_has(protocol: str, part: str, split: Split, name: str) -> bool:
    """1 keeps a session for the test, 2 a printer and a screen, 3 a phone, 4 all of them."""
    phone, session, _, kind = name.split("_")
    tested = split is Split.TEST
    return (
        (protocol not in ("1", "4") or (session == "3") == tested)
        and (protocol not in ("2", "4") or kind in ("135" if tested else "124"))
        and (protocol not in ("3", "4") or (phone == part) == tested)
    )


def _clip(
    wanted: Wanted, name: str, split: Split, pai: str, subject: str, person: int, place: int, met: Conditions,
    **more: Any,
) -> Clip:  # fmt: skip
    kind, fixed = _KINDS[pai]
    episode = episode_of(wanted.seed, name, kind, person, site_of(split, place), met, **fixed, **more)
    return Clip(name, split, pai, subject, episode, indices(wanted.frames, 1))


def write_msu(root: Path, clip: Clip) -> None:
    """The video, upside down where the authors' are, and `.face`: box and eyes of the upright picture."""
    pictures = [products.color_picture(clip.episode, index) for index in clip.frames]
    turned = clip.pai == BONA_FIDE and "_android_" in clip.name and int(clip.subject[6:]) in msu_mfsd.UPSIDE_DOWN
    _put_video(root / clip.name, [picture[::-1, ::-1] for picture in pictures] if turned else pictures)
    rows = []
    for number, index in enumerate(clip.frames):
        box, eyes = products.color_box(clip.episode, index), _eyes(clip, index)
        rows.append(",".join(str(round(value)) for value in (number, *box, *eyes)))
    products.put((root / clip.name).with_suffix(".face"), lines(rows).encode())


def write_casia_fasd(root: Path, clip: Clip) -> None:
    """Low quality is a third of the pixels, enlarged."""
    low = casia_fasd.VIDEOS[Path(clip.name).stem][0] == "low"
    pictures = [products.color_picture(clip.episode, index) for index in clip.frames]
    _put_video(root / clip.name, [_poor(picture) for picture in pictures] if low else pictures)


def write_oulu(root: Path, clip: Clip) -> None:
    """The video, and the eyes of every frame."""
    _put_video(root / clip.name, [products.color_picture(clip.episode, index) for index in clip.frames])
    rows = (
        ",".join(str(round(value)) for value in (number, *_eyes(clip, index)))
        for number, index in enumerate(clip.frames)
    )
    products.put((root / clip.name).with_suffix(".txt"), lines(rows).encode())


def _eyes(clip: Clip, index: int) -> list[float]:
    return [float(v) for v in face_points(clip.episode, index, WHOLE, EYES, color=True).ravel()]


def _poor(picture: U8) -> U8:
    height, width = picture.shape[:2]
    small = cv2.resize(picture, (width // 3, height // 3), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)


def _put_video(path: Path, pictures: Sequence[U8]) -> None:
    """Written aside first: OpenCV does not say when a disk is full."""
    code = cv2.VideoWriter.fourcc(*("MJPG" if path.suffix == ".avi" else "mp4v"))
    height, width = pictures[0].shape[:2]
    with tempfile.TemporaryDirectory() as folder:
        aside = Path(folder) / f"video{path.suffix}"
        writer = cv2.VideoWriter(str(aside), code, FPS, (width, height))
        for picture in pictures:
            writer.write(cv2.cvtColor(np.ascontiguousarray(picture), cv2.COLOR_RGB2BGR))
        writer.release()
        capture = cv2.VideoCapture(str(aside))
        written = int(capture.get(cv2.CAP_PROP_FRAME_COUNT)) if capture.isOpened() else 0
        capture.release()
        if written != len(pictures):
            raise FileWriteError(
                f"cannot write {path.name}: {written} of {len(pictures)} frames were kept in {folder}; make room there"
            )
        products.put(path, aside.read_bytes())


MSU = Layout("MSU-MFSD", plan_msu, write_msu, Wanted(12, 0, 12), (6, 900), msu_mfsd.NAME)
CASIA_FASD = Layout("CASIA-FASD", plan_casia_fasd, write_casia_fasd, Wanted(50, 0, 12), (50, 50), casia_fasd.NAME)
OULU = Layout("OULU-NPU", plan_oulu, write_oulu, Wanted(6, 0, 12), (3, 55), oulu_npu.NAME)
