"""WMCA, preprocessed as its authors did it, and an export of HQ-WMCA: clips as HDF5 files."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from edgefas.data import hq_wmca, wmca
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
    rng_of,
    site_of,
    splits_of,
)
from edgefas.errors import require
from edgefas.preprocess import cut_out
from edgefas.sensors.simulator import Presentation
from edgefas.sensors.simulator.thermal import temperature

SIZE_PX = 128
_EQUAL = (1, 1, 1)
_HQ_SIDE_MM = 190.0
_MET = Conditions(near_mm=350, far_mm=550)
_SESSIONS = {"01": "12.02.18", "02": "19.03.18"}
"""And the day of each."""


@dataclass(frozen=True)
class _Kind:
    """One presentation of a person in a session, in WMCA's words and HQ-WMCA's."""

    presentation: Presentation
    session: str
    type: str
    number: str
    pai: str
    hq_type: str
    hq_pai: str
    fixed: Mapping[str, Any]


_KINDS = (
    _Kind(Presentation.BONA_FIDE, "01", "0", "00", BONA_FIDE, "00", BONA_FIDE, {"eyewear": "none"}),
    _Kind(Presentation.BONA_FIDE, "02", "0", "00", BONA_FIDE, "00", BONA_FIDE, {"eyewear": "none"}),
    _Kind(Presentation.BONA_FIDE, "02", "0", "01", BONA_FIDE, "00", BONA_FIDE, {"eyewear": "clear"}),
    _Kind(Presentation.FUNNY_EYES, "01", "1", "01", "glasses", "01", "glasses", {}),
    _Kind(Presentation.MANNEQUIN, "02", "2", "04", "fakehead", "02", "mannequin", {}),
    _Kind(Presentation.PAPER_MASK, "01", "2", "09", "papermask", "07", "papermask", {}),
    _Kind(Presentation.RIGID_MASK, "02", "2", "13", "rigidmask", "05", "rigidmask", {}),
    _Kind(Presentation.FLEXIBLE_MASK, "01", "2", "81", "flexiblemask", "06", "flexiblemask", {}),
    _Kind(Presentation.FLAT_PRINT, "02", "3", "01", "prints", "03", "print", {}),
    _Kind(Presentation.BENT_PRINT, "01", "3", "02", "prints", "03", "print", {}),
    _Kind(Presentation.PHONE_REPLAY, "02", "4", "01", "replay", "04", "replay", {}),
)
_WORN = (Presentation.FUNNY_EYES, Presentation.PAPER_MASK, Presentation.RIGID_MASK, Presentation.FLEXIBLE_MASK)


def plan_wmca(wanted: Wanted) -> Tree:
    """Every species in every split, so that each leave-one-out protocol has what it takes out."""
    clips, rows = [], []
    groups = {split: group for group, split in wmca.GROUPS.items()}
    for number, person, split in _people(wanted):
        for kind in _KINDS:
            presenter = f"{number:03}" if kind.presentation in _WORN else "000"
            name = f"{number:03}_{kind.session}_{presenter}_{kind.type}_{kind.number}"
            path = f"face-station/{_SESSIONS[kind.session]}/{name}"
            clips.append(_clip(wanted, path, kind, kind.pai, f"{number:03}", person, split))
            rows.append(f"{path},{kind.type},{kind.number},{groups[split]}")
    return Tree(tuple(clips), {"wmca-protocols-csv/PROTOCOL-grandtest.csv": lines(rows)})


def plan_hq_wmca(wanted: Wanted) -> Tree:
    """The same people before the export's cameras."""
    clips, rows = [], ["path,group,pai"]
    groups = {split: group for group, split in hq_wmca.GROUPS.items()}
    for number, person, split in _people(wanted):
        for place, kind in enumerate(_KINDS):
            site = site_of(split, number)
            name = f"{site}_{kind.session}_{number:04}_0000_{kind.hq_type}_00_{place:03}"
            code = rng_of(wanted.seed, name).integers(2**32)
            path = f"{_SESSIONS[kind.session]}/{name}-{code:08x}.h5"
            clips.append(_clip(wanted, path, kind, kind.hq_pai, f"{number:04}", person, split))
            rows.append(f"{path},{groups[split]},{kind.hq_pai}")
    return Tree(tuple(clips), {"grand_test.csv": lines(rows)})


def _people(wanted: Wanted) -> Iterator[tuple[int, int, Split]]:
    splits = splits_of(wanted.subjects, _EQUAL)
    yield from zip(range(1, wanted.subjects + 1), people(wanted.seed), splits, strict=False)


def _clip(wanted: Wanted, name: str, kind: _Kind, pai: str, subject: str, person: int, split: Split) -> Clip:
    site = site_of(split, int(subject))
    fixed = {"camera": "irpass", **kind.fixed}
    episode = episode_of(wanted.seed, name, kind.presentation, person, site, _MET, **fixed)
    return Clip(name, split, pai, subject, episode, indices(wanted.frames))


def write_wmca(root: Path, clip: Clip) -> None:
    """A file of RGB and one of grey, depth, infrared and thermal; thermal is an estimate."""
    window = products.window_of(clip.episode, clip.frames)
    rgb, cdit = {}, {}
    for index in clip.frames:
        box = products.eyes_box(clip.episode, index, window)
        face = products.resized(products.crop(clip.episode, index, window, box), SIZE_PX)
        celsius = cut_out(temperature(clip.episode, index, window), box)
        grey = cv2.cvtColor(face.rgb, cv2.COLOR_RGB2GRAY)
        warm = cv2.resize(celsius, (SIZE_PX, SIZE_PX), interpolation=cv2.INTER_LINEAR)
        channels = [products.spread(a.astype(np.float32)) for a in (face.depth_mm, face.ir, warm)]
        rgb[f"Frame_{index}/array"] = face.rgb.transpose(2, 0, 1)
        cdit[f"Frame_{index}/array"] = np.stack([grey, *channels])
    products.put(root / f"preprocessed-face-station_RGB/{clip.name}.hdf5", _file(rgb))
    products.put(root / f"preprocessed-face-station_CDIT/{clip.name}.hdf5", _file(cdit))


def write_hq_wmca(root: Path, clip: Clip) -> None:
    """`rgb` and `ir` of 8 bits, `depth` in millimetres."""
    window = products.window_of(clip.episode, clip.frames)
    faces = [products.square(clip.episode, index, window, _HQ_SIDE_MM, SIZE_PX) for index in clip.frames]
    data: dict[str, npt.NDArray[Any]] = {
        "rgb": np.stack([face.rgb for face in faces]),
        "ir": np.stack([face.ir for face in faces]),
        "depth": np.stack([np.rint(face.depth_mm).astype(np.uint16) for face in faces]),
    }
    products.put(root / clip.name, _file(data))


def _file(arrays: Mapping[str, npt.NDArray[Any]]) -> bytes:
    """In memory: HDF5's own errors of writing do not say that the disk is full."""
    h5py, buffer = require("h5py", "data"), io.BytesIO()
    with h5py.File(buffer, "w") as file:
        for name, array in arrays.items():
            file.create_dataset(name, data=array, compression="gzip", compression_opts=1, shuffle=False)
    return buffer.getvalue()


WMCA = Layout("WMCA, preprocessed", plan_wmca, write_wmca, Wanted(9, 0, 6), (3, 900), wmca.NAME)
HQ_WMCA = Layout("HQ-WMCA, exported", plan_hq_wmca, write_hq_wmca, Wanted(9, 0, 6), (3, 900), hq_wmca.NAME)
