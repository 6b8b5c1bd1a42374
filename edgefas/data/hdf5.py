"""HDF5 files of WMCA and HQ-WMCA, read frame by frame and within bounds."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from edgefas.data.pictures import MAX_FRAMES, Picture, check_size
from edgefas.data.sample import DataError
from edgefas.errors import require

WMCA_CHANNELS: dict[int, dict[str, int | slice]] = {
    3: {"rgb": slice(0, 3)},
    4: {"grey": 0, "depth": 1, "ir": 2, "thermal": 3},
}
"""Of an array (C, H, W): RGB files have three channels, CDIT files colour (grey), depth, infrared and thermal."""
_FRAME = re.compile(r"Frame_(\d{1,9})")
_DTYPES = ("uint8", "uint16")
_MAX_CHUNK_BYTES = 1 << 28


@contextmanager
def _named(path: Path, otherwise: str = "it is broken") -> Iterator[None]:
    """What h5py raises for files that are missing or broken becomes an error that names the file."""
    try:
        yield
    except (OSError, RuntimeError, ValueError, KeyError, TypeError) as error:
        reason = getattr(error, "strerror", None) or f"{otherwise} ({str(error)[:200]})"
        raise DataError(f"cannot read {path}: {reason}") from None


class Hdf5Clip:
    """Frames of one modality: groups `Frame_<k>` with an `array` (C, H, W), or a dataset (T, H, W[, 3]) of its name."""

    def __init__(self, path: Path, modality: str) -> None:
        """Open it.

        Raises:
            MissingExtra: h5py is not installed.
            DataError: no such file, no HDF5, or nothing in it that this modality can be read from.
        """
        h5py = require("h5py", "data")
        self._path, self._modality = path, modality
        with _named(path, "it is no HDF5 file, or cut short"):
            self._file: Any = h5py.File(path, "r", locking=False)
        try:
            with _named(path):
                self._whole: bool = modality in self._file
                self.keys = self._find_keys()
        except DataError:
            self.close()
            raise

    def read(self, key: int) -> Picture:
        """One frame, see `Picture`.

        Raises:
            DataError: it is not stored as the format says, or broken.
        """
        with _named(self._path):
            return self._read_whole(key) if self._whole else self._read_frame(key)

    def close(self) -> None:
        """Release the file."""
        self._file.close()

    def _find_keys(self) -> list[int]:
        if self._whole:
            shape = self._dataset(self._modality).shape
            keys = list(range(shape[0])) if len(shape) in (3, 4) and shape[0] <= MAX_FRAMES else []
        else:
            names = [found for name in list(self._file)[:MAX_FRAMES] if (found := _FRAME.fullmatch(str(name)))]
            keys = sorted(int(found[1]) for found in names)
        if not keys:
            raise DataError(f"{self._path} has no groups Frame_<k> and no dataset {self._modality!r} (T, H, W[, 3])")
        return keys

    def _read_frame(self, key: int) -> Picture:
        dataset = self._dataset(f"Frame_{key}/array")
        if len(dataset.shape) != 3 or dataset.shape[0] not in WMCA_CHANNELS:
            raise DataError(f"{self._path}, frame {key}: shape {dataset.shape}; expected (3 or 4, H, W)")
        channels = WMCA_CHANNELS[dataset.shape[0]]
        if self._modality not in channels:
            raise DataError(
                f"{self._path}, frame {key}: {dataset.shape[0]} channels hold {', '.join(channels)}, not "
                f"{self._modality}; are the folders of RGB and CDIT swapped?"
            )
        check_size(self._path, dataset.shape[2], dataset.shape[1])
        array = np.asarray(dataset[channels[self._modality]])
        return np.ascontiguousarray(array.transpose(1, 2, 0)) if array.ndim == 3 else array

    def _read_whole(self, key: int) -> Picture:
        dataset = self._dataset(self._modality)
        check_size(self._path, dataset.shape[2], dataset.shape[1])
        wanted = (3,) if self._modality == "rgb" else ()
        if dataset.shape[3:] != wanted:
            raise DataError(
                f"{self._path}: {self._modality} is {dataset.shape}; expected (T, H, W{', 3' * len(wanted)})"
            )
        return np.asarray(dataset[key])

    def _dataset(self, name: str) -> Any:
        """A dataset that lies in this very file, of pictures' size and type."""
        h5py, at = require("h5py", "data"), self._file
        for part in name.split("/"):
            if not isinstance(at.get(part, getlink=True), h5py.HardLink):
                raise DataError(f"{self._path}: {name} is missing, or a link to another file")
            at = at[part]
        if not isinstance(at, h5py.Dataset) or at.external or at.is_virtual:
            raise DataError(f"{self._path}: {name} is no dataset of this file")
        if at.dtype.name not in _DTYPES or (self._modality == "rgb" and at.dtype != np.uint8):
            raise DataError(f"{self._path}: {name} is {at.dtype}; expected {' or '.join(_DTYPES)} (rgb: uint8)")
        chunk = np.prod(at.chunks or (1,), dtype=np.float64) * at.dtype.itemsize
        if chunk > _MAX_CHUNK_BYTES:
            raise DataError(f"{self._path}: {name} is {at.shape} in chunks of {at.chunks}; too large for pictures")
        return at
