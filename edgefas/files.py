"""Writing files so that a reader never meets half of one: temporary name, fsync, rename."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from edgefas.errors import EdgefasError


class FileWriteError(EdgefasError):
    """An output file or folder cannot be written."""


def read_at_most(path: Path, limit: int) -> bytes:
    """The whole file, if it has at most `limit` bytes.

    Raises:
        OSError: it cannot be read, or is larger; `strerror` says so in words.
    """
    with path.open("rb") as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise OSError(errno.EFBIG, f"it has more than {limit} bytes", str(path))
    return data


def write_atomically(path: Path, data: bytes) -> None:
    """Put `data` at `path`, whole or not at all.

    Raises:
        FileWriteError: no such folder, no permission, no space; nothing is left behind.
    """
    with file_written_atomically(path) as file:
        file.write(data)


@contextmanager
def file_written_atomically(path: Path) -> Iterator[BinaryIO]:
    """Gives a file to write; it takes the place of `path` when the block ends well, else it is removed.

    Raises:
        FileWriteError: no such folder, no permission, no space; nothing is left behind.
    """
    temporary: str | None = None
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())  # mkstemp makes files for the owner alone
        os.replace(temporary, path)
        temporary = None
        sync_folder(path.parent)
    except OSError as error:
        raise FileWriteError(f"cannot write {path}: {error.strerror}; choose another place") from error
    finally:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder last, as fsync does for a file: without it a power cut may undo a rename."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def folder_written_atomically(path: Path) -> Iterator[Path]:
    """Gives an empty folder to fill; it takes the place of `path` when the block ends well, else it is removed.

    Raises:
        FileWriteError: `path` cannot be made or replaced.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        filling = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
    except OSError as error:
        raise FileWriteError(f"cannot write {path}: {error.strerror}; choose another place") from error
    try:
        yield filling
        filling.chmod(0o777 & ~_umask())
        old = filling.with_name(filling.name + ".old")
        if path.exists():
            path.rename(old)
        filling.rename(path)
        shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        raise FileWriteError(f"cannot write {path}: {error.strerror}; choose another place") from error
    finally:
        shutil.rmtree(filling, ignore_errors=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
