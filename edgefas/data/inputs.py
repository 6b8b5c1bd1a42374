"""A sample as a network's inputs: what each data set holds, brought to the one preprocessing.

Three kinds of pictures: faces that the data set's authors cut out, which enter after the crop step; whole colour
pictures and videos, in which the face is found; and frames of own cameras with their calibration, which go the whole
way that `edgefas live` goes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Protocol

import numpy as np

from edgefas.contracts import FaceBox, InputSpec, Modality
from edgefas.data import casia_fasd, casia_surf, cefa, celeba_spoof, msu_mfsd, oulu_npu, wmca
from edgefas.data.pictures import Picture
from edgefas.data.reading import load_frames
from edgefas.data.sample import Sample
from edgefas.data.table import SampleTable
from edgefas.errors import UsageError
from edgefas.faces.haar import detect_faces, largest_face
from edgefas.faces.place import FACE_WIDTH_MM
from edgefas.preprocess import F32, Cropped, crop_box, cut_out, encode_cropped, inside_share, preprocess
from edgefas.sensors.folder import FolderSource
from edgefas.sensors.pinhole import DEFAULT_FOV_DEG, assumed_calibration

Inputs = dict[str, F32]
"""By modality name, (1, C, H, W) float32."""


class Encoder(Protocol):
    """The inputs of a sample's moments."""

    def __call__(self, sample: Sample, wanted: Collection[int] | None = None) -> list[Inputs | None]:
        """Of each moment; None where no face was found, and where a moment is not wanted (none: all are)."""


WHOLE_PICTURES = (celeba_spoof.NAME, msu_mfsd.NAME, casia_fasd.NAME, oulu_npu.NAME)
GREY_STEP_MM = {casia_surf.NAME: 1.0, cefa.NAME: 1.0, wmca.NAME: -0.19}
"""Towards the camera, of one grey level of an 8-bit depth picture. Their authors did not publish it: taken as 1 mm,
nearer is brighter, for CASIA-SURF and CeFA; WMCA spreads 6 deviations of a face's depth, 8 mm each, over 255 levels."""


def encoder(table: SampleTable, spec: InputSpec, moments: int, dropped: frozenset[Modality] = frozenset()) -> Encoder:
    """How the samples of a table become inputs.

    Args:
        spec: of the network.
        moments: of a clip, at equal distances; a sample that is one picture has one.
        dropped: modalities that are shown as nothing: the mean picture, and depth without a return.

    Raises:
        UsageError: the data set lacks a modality that the network needs and that is not dropped.
    """
    unknown = [m.value for m in dropped - set(spec.modalities)]
    if unknown:
        seen_words = ", ".join(m.value for m in spec.modalities)
        raise UsageError(f"--drop-modality {unknown[0]}: the network looks at {seen_words} only")
    have = {_MODALITY_OF.get(name) for name in table.paths}
    lacking = [m.value for m in spec.modalities if m not in have and m not in dropped]
    if lacking:
        words, dropping = ", ".join(lacking), " ".join(f"--drop-modality {word}" for word in lacking)
        raise UsageError(
            f"{table.dataset} has no {words}, which this network needs; choose a network of other modalities "
            f"(edgefas models), or judge it with nothing there: edgefas evaluate {dropping}"
        )
    kept = [m for m in spec.modalities if m not in dropped]
    if not kept:
        raise UsageError("every modality of the network is dropped; keep at least one")
    seen = spec.model_copy(update={m.value: None for m in dropped})

    def encode(sample: Sample, wanted: Collection[int] | None = None) -> list[Inputs | None]:
        found = list(_encoded(table.dataset, sample, seen, moments, range(moments) if wanted is None else wanted))
        return [None if inputs is None else {**inputs, **_nothing(spec, dropped)} for inputs in found]

    return encode


_MODALITY_OF = {
    "rgb": Modality.RGB,
    "ir": Modality.IR,
    "ir_lit": Modality.IR,
    "ir_unlit": Modality.IR,
    "depth": Modality.DEPTH,
}


def _encoded(
    dataset: str, sample: Sample, spec: InputSpec, moments: int, wanted: Collection[int]
) -> Iterator[Inputs | None]:
    recording = _recording_of(sample)
    if recording is not None:
        yield _from_camera(recording, sample, spec)
        return
    for number, pictures in enumerate(load_frames(sample, moments)):
        if number not in wanted:
            yield None
        elif dataset in WHOLE_PICTURES:
            yield _from_whole(pictures["rgb"], sample, spec)
        else:
            yield encode_cropped(_cropped(pictures, GREY_STEP_MM.get(dataset, 1.0)), spec)


def _from_camera(recording: Path, sample: Sample, spec: InputSpec) -> Inputs | None:
    frame = _source(recording).at(int(next(iter(sample.paths.values())).stem))
    faces = detect_faces(frame)
    grid = frame.calibration.depth
    if not faces or not inside_share(crop_box(faces[0], spec, grid), grid):
        return None
    return preprocess(frame, faces[0], spec)


def _from_whole(rgb: Picture, sample: Sample, spec: InputSpec) -> Inputs | None:
    """A face of 150 mm fills the box, so a window of millimetres is a multiple of it."""
    height_px, width_px = rgb.shape[:2]
    picture = next(iter(sample.paths.values()))
    box = celeba_spoof.face_box_px(picture, width_px, height_px) if picture.suffix in (".jpg", ".png") else None
    box = box or largest_face(rgb)
    if box is None:
        return None
    grid = assumed_calibration(width_px, height_px, DEFAULT_FOV_DEG).depth
    face = FaceBox(
        x_px=box[0], y_px=box[1], width_px=box[2], height_px=box[3], median_z_mm=grid.fx_px * FACE_WIDTH_MM / box[2]
    )
    crop = crop_box(face, spec, grid)
    return encode_cropped(Cropped(rgb=cut_out(rgb, crop)), spec) if inside_share(crop, grid) else None


def _cropped(pictures: dict[str, Picture], grey_step_mm: float) -> Cropped:
    """Grey infrared as it is; 16-bit depth in millimetres, 8-bit depth in steps of unknown size."""
    ir = pictures.get("ir", pictures.get("ir_lit", pictures.get("ir_unlit")))
    if ir is not None and ir.dtype == np.uint16:
        ir = np.asarray(np.clip(ir >> 2, 0, 255), np.uint8)  # 10 bits of a camera
    depth = pictures.get("depth")
    return Cropped(pictures.get("rgb"), ir, None if depth is None else _relief_mm(depth, grey_step_mm))


def _relief_mm(depth: Picture, grey_step_mm: float) -> F32:
    """Around the face's distance: of 16 bits that of the picture's middle, as a camera's face is placed; 8-bit pictures
    are of the face alone."""
    returned, values = depth > 0, depth.astype(np.float32)
    height, width = depth.shape
    metric = depth.dtype != np.uint8
    inner = np.s_[height // 4 : height - height // 4, width // 4 : width - width // 4] if metric else np.s_[:, :]
    face = values[inner][returned[inner]]
    step_mm, middle = -1.0 if metric else grey_step_mm, np.float32(np.median(face) if face.size else 0)
    return np.where(returned, (values - middle) * np.float32(step_mm), np.float32(np.nan))


def _nothing(spec: InputSpec, dropped: frozenset[Modality]) -> Inputs:
    shown = {}
    for modality in dropped & set(spec.modalities):
        value = spec.depth.no_return if modality is Modality.DEPTH and spec.depth is not None else 0.0
        shown[modality.value] = np.full((1, *spec.shape(modality)), value, np.float32)
    return shown


def _recording_of(sample: Sample) -> Path | None:
    """The exported recording that a sample is a frame of."""
    folder = next(iter(sample.paths.values())).parent.parent
    return folder if _has_camera(folder) else None


@lru_cache(maxsize=1024)
def _has_camera(folder: Path) -> bool:
    return (folder / "camera.json").is_file()


@lru_cache(maxsize=64)
def _source(folder: Path) -> FolderSource:
    return FolderSource(folder)
