"""The decision log: JSON lines in a file that rotates by size. Written and synced by a thread of its own."""

from __future__ import annotations

import contextlib
import logging
import os
import stat
import threading
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edgefas.contracts import Verdict
from edgefas.errors import EdgefasError
from edgefas.live.line import DecisionLine
from edgefas.sensors.frame import Frame

log = logging.getLogger(__name__)

GAP: Final = '{{"schema":"edgefas.gap/1","lost":{}}}'
"""The line that stands for lines that were lost."""

WAITING_LINES: Final = 1024
"""Kept while the disk is busy: half a minute at 30 a second; beyond it the oldest are lost, and counted."""
SYNC_LINES: Final = 100
SYNC_S: Final = 1.0
RETRY_S: Final = 1.0
END_S: Final = 5.0
_FIRST_BYTES: Final = b'{"schema":"edgefas.'
_TAIL_BYTES: Final = 64 * 1024


class LogError(EdgefasError):
    """The log cannot be written where it was asked for."""


@dataclass(frozen=True)
class _Entry:
    text: str
    changed: bool
    """The state is not that of the line before."""


class JsonlLog:
    """Appends every line to a file; an `Observer`.

    A line is handed to the system at once, and forced to the disk (fsync) after 100 lines, after a second, and when
    the state changes. A full disk loses lines and counts them; when there is room again, a gap line says how many.
    """

    def __init__(self, path: Path, *, max_bytes: int = 64 << 20, keep: int = 5) -> None:
        """Open, and mend the end of a log that a power cut left.

        Args:
            max_bytes: a file that would grow beyond becomes `path`.1, .1 becomes .2 and so on.
            keep: how many of these are kept.

        Raises:
            LogError: no folder, no permission, or a file that is no log.
        """
        self.written = self.lost = 0
        self._path, self._max_bytes, self._keep = path, max_bytes, keep
        self._waiting: deque[_Entry] = deque()
        self._news = threading.Condition()  # of what waits and what was lost; never held while writing
        self._gap = 0
        self._ending = self._failing = False
        self._state: Verdict | None = None
        self._unsynced, self._synced_s = 0, time.monotonic()
        try:
            _mend(path)
            self._file: int | None = _open(path)
        except OSError as error:
            raise LogError(f"--log {path}: {error.strerror}; choose a file in a folder you may write to") from None
        self._thread = threading.Thread(target=self._run, name="edgefas log", daemon=True)
        self._thread.start()

    def update(self, frame: Frame | None, line: DecisionLine) -> None:
        """See `Observer`."""
        entry = _Entry(line.to_json(), line.state.decision is not self._state)
        self._state = line.state.decision
        with self._news:
            if len(self._waiting) >= WAITING_LINES:
                self._waiting.popleft()
                self._lose(1)
            self._waiting.append(entry)
            self._news.notify()

    def close(self) -> None:
        """See `Observer`: waits 5 s at most for a slow disk."""
        with self._news:
            self._ending = True
            self._news.notify()
        self._thread.join(END_S)
        if self._thread.is_alive():
            log.warning("%s: the disk took longer than %.0f s; the last lines may be missing", self._path, END_S)

    def summary(self) -> str:
        """See `Observer`."""
        lost = f", {self.lost} lost (disk full or slow)" if self.lost else ""
        return f"{self._path}: {self.written} lines{lost}"

    def _lose(self, lines: int) -> None:
        self.lost += lines
        self._gap += lines

    def _run(self) -> None:
        ending = False
        while not ending:
            with self._news:
                self._news.wait_for(lambda: self._waiting or self._ending, SYNC_S)
                batch, ending, gap = list(self._waiting), self._ending, self._gap
                self._waiting.clear()
            try:
                self._write(batch, gap)
                self._sync(force=ending or any(entry.changed for entry in batch))
            except OSError as error:  # from fsync: who knows what arrived
                self._fail(error)
            except Exception:  # a dead thread would lose every later line, too
                log.exception("%s failed; decisions go on", self._path)
            if self._failing and not ending:
                with self._news:  # a full disk stays full for a while
                    self._news.wait_for(lambda: self._ending, RETRY_S)
        if self._file is not None:
            os.close(self._file)

    def _write(self, batch: list[_Entry], gap: int) -> None:
        """Append the batch, after a line for what was lost before it; what cannot be written is lost."""
        done = 0
        try:
            if gap:
                self._append(GAP.format(gap))
                with self._news:
                    self._gap -= gap
                log.warning("%s: written again, %d lines were lost", self._path, gap)
            self._failing = False
            for entry in batch:
                self._append(entry.text)
                done += 1
        except OSError as error:
            with self._news:
                self._lose(len(batch) - done)
            self._fail(error)
        self.written += done
        self._unsynced += done

    def _fail(self, error: OSError) -> None:
        if not self._failing:
            log.warning("%s: %s; decisions go on, lines are lost until it can be written", self._path, error.strerror)
        self._failing = True

    def _append(self, text: str) -> None:
        data = f"{text}\n".encode()
        if self._file is None:
            self._file = _open(self._path)
        size = os.fstat(self._file).st_size
        if size and size + len(data) > self._max_bytes:
            size, self._file = 0, self._rotate(self._file)
        try:
            while data:
                data = data[os.write(self._file, data) :]
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, size)  # no half line
            raise

    def _rotate(self, file: int) -> int:
        os.fsync(file)
        for number in range(self._keep, 0, -1):
            older = self._numbered(number - 1)
            if older.exists():
                older.replace(self._numbered(number))
        if self._keep == 0:
            self._path.unlink()
        fresh = _open(self._path)
        os.close(file)
        _sync_folder(self._path.parent)
        return fresh

    def _numbered(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}") if number else self._path

    def _sync(self, *, force: bool) -> None:
        due = self._unsynced >= SYNC_LINES or time.monotonic() - self._synced_s >= SYNC_S
        if self._file is None or not self._unsynced or not (force or due):
            return
        os.fsync(self._file)
        self._unsynced, self._synced_s = 0, time.monotonic()
        if not _is_at(self._file, self._path):  # moved away by logrotate, or deleted
            os.close(self._file)
            self._file = None


def _open(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)


def _mend(path: Path) -> None:
    """Cut a half line off the end of a log.

    Raises:
        LogError: this is no log, so nothing is appended to it.
    """
    if not path.exists():
        return
    if not stat.S_ISREG(path.stat().st_mode):
        raise LogError(f"--log {path}: not an ordinary file; lines on stdout are given by --json")
    with path.open("rb+") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
        first = file.read(len(_FIRST_BYTES))
        if not _FIRST_BYTES.startswith(first):
            raise LogError(f"--log {path}: exists and is no decision log; choose another file")
        begin = max(0, size - _TAIL_BYTES)
        file.seek(begin)
        tail = file.read()
        if tail and not tail.endswith(b"\n"):
            file.truncate(begin + tail.rfind(b"\n") + 1)
            log.warning("%s: a half line at its end was cut off", path)


def _is_at(file: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file), path.stat())
    except OSError:
        return False


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
