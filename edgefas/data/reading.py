"""The pictures of a sample, whatever holds them: files, folders of pictures, videos, HDF5."""

from __future__ import annotations

import os
from collections.abc import Hashable, Iterator, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, Protocol

from edgefas.data.hdf5 import Hdf5Clip
from edgefas.data.lists import PICTURES
from edgefas.data.pictures import MAX_FRAMES, Picture, Video, read_picture
from edgefas.data.sample import DataError, Sample

VIDEOS = (".avi", ".mp4", ".mov")
HDF5 = (".h5", ".hdf5")


class Clip(Protocol):
    """Frames of one modality, by keys that are the same in its other modalities."""

    @property
    def keys(self) -> Sequence[Any]:
        """In order; never empty."""

    def read(self, key: Any) -> Picture:
        """One frame."""

    def close(self) -> None:
        """Release what is open."""


def load(sample: Sample) -> dict[str, Picture]:
    """One picture of each modality: the sample's only one, or that in the middle of a clip; see `load_frames`."""
    return next(load_frames(sample, 1))


def load_frames(sample: Sample, count: int) -> Iterator[dict[str, Picture]]:
    """Up to `count` moments at equal distances, one after the other: a sample that is one picture has one.

    A moment has every modality of the sample: frames that one of them lacks are left out.

    Returns:
        By modality: rgb (H, W, 3) uint8, others (H, W) uint8 or uint16. Sizes may differ from frame to frame.

    Raises:
        DataError: a file is missing, broken, or larger than what is read; names it.
        MissingExtra: an HDF5 file, and h5py is not installed.
    """
    with ExitStack() as stack:
        clips = {}
        for modality, path in sample.paths.items():
            clips[modality] = stack.enter_context(closing(open_clip(path, modality, upside_down=sample.upside_down)))
        for key in spread(_common(sample, clips), count):
            yield {modality: clip.read(key) for modality, clip in clips.items()}


def spread(keys: Sequence[Any], count: int) -> list[Any]:
    """The middles of `count` equal parts: a video whose last frames are missing gives them all the same."""
    count = min(count, len(keys))
    return [keys[(2 * part + 1) * len(keys) // (2 * count)] for part in range(count)]


def open_clip(path: Path, modality: str, *, upside_down: bool = False) -> Clip:
    """What a path holds.

    Raises:
        DataError: see `load_frames`.
    """
    suffix = path.suffix.lower()
    if suffix in PICTURES:
        return _PictureClip(path, modality)
    if suffix in VIDEOS:
        return Video(path, upside_down=upside_down)
    if suffix in HDF5:
        return Hdf5Clip(path, modality)
    return _FolderClip(path, modality)


def _common(sample: Sample, clips: dict[str, Clip]) -> list[Hashable]:
    first, *others = clips.values()
    sets = [set(clip.keys) for clip in others]
    keys = [key for key in first.keys if all(key in found for found in sets)]
    if not keys:
        shown = ", ".join(f"{modality} {len(clip.keys)}" for modality, clip in clips.items())
        raise DataError(f"{sample.id}: no frame is there in every modality ({shown} frames)")
    return keys


class _PictureClip:
    keys = (0,)

    def __init__(self, path: Path, modality: str) -> None:
        self._path, self._modality = path, modality

    def read(self, key: int) -> Picture:
        return read_picture(self._path, self._modality)

    def close(self) -> None:
        pass


class _FolderClip:
    def __init__(self, path: Path, modality: str) -> None:
        self._path, self._modality = path, modality
        try:
            with os.scandir(path) as entries:
                found = [entry.name for _, entry in zip(range(MAX_FRAMES), entries, strict=False)]
        except OSError as error:
            raise DataError(f"cannot read {path}: {error.strerror}") from None
        self.keys = sorted(name for name in found if name.lower().endswith(PICTURES))
        if not self.keys:
            raise DataError(f"{path} has no pictures ({', '.join(PICTURES)})")

    def read(self, key: str) -> Picture:
        return read_picture(self._path / key, self._modality)

    def close(self) -> None:
        pass
