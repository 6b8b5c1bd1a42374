"""The log of decisions: whole lines, rotation, and disks that are full, slow or gone."""

from __future__ import annotations

import errno
import json
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from edgefas.contracts import Verdict
from edgefas.live.sinks import jsonl
from edgefas.live.sinks.jsonl import JsonlLog, LogError
from tests.live.lines import line
from tests.live.waiting import PATIENCE_S, wait_for


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(text) for text in path.read_text().splitlines()]


def test_every_line_is_logged_as_json_gives_it_and_appended_to(tmp_path: Path) -> None:
    path = tmp_path / "decisions.jsonl"
    for begin in (1, 6):
        sink = JsonlLog(path)
        for number in range(begin, begin + 5):
            sink.update(None, line(number))
        sink.close()
    assert path.read_text().splitlines() == [line(number).to_json() for number in range(1, 11)]
    assert sink.summary() == f"{path}: 5 lines"


def test_it_rotates_by_size_and_keeps_so_many(tmp_path: Path) -> None:
    path = tmp_path / "d.jsonl"
    size = len(line(1000).to_json()) + 1
    sink = JsonlLog(path, max_bytes=3 * size, keep=2)
    for number in range(1000, 1010):
        sink.update(None, line(number))
    sink.close()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["d.jsonl", "d.jsonl.1", "d.jsonl.2"]
    kept = [[row["frame"] for row in rows(path.with_name(name))] for name in ("d.jsonl.2", "d.jsonl.1", "d.jsonl")]
    assert kept == [[1003, 1004, 1005], [1006, 1007, 1008], [1009]]
    assert all(file.stat().st_size <= 3 * size for file in tmp_path.iterdir())


def test_keeping_none_starts_anew(tmp_path: Path) -> None:
    path = tmp_path / "d.jsonl"
    size = len(line(1000).to_json()) + 1
    sink = JsonlLog(path, max_bytes=2 * size, keep=0)
    for number in range(1000, 1005):
        sink.update(None, line(number))
    sink.close()
    assert [file.name for file in tmp_path.iterdir()] == ["d.jsonl"]
    assert [row["frame"] for row in rows(path)] == [1004]


def test_a_half_line_of_a_power_cut_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "d.jsonl"
    path.write_text(line(1).to_json() + "\n" + line(2).to_json()[:70])
    sink = JsonlLog(path)
    sink.update(None, line(3))
    sink.close()
    assert [row["frame"] for row in rows(path)] == [1, 3]


@pytest.mark.parametrize("text", ["hello\n", '{"schema":"other"}', "\0\0\0", '{"precious": 1}'])
def test_another_file_is_refused_and_left_as_it_was(tmp_path: Path, text: str) -> None:
    path = tmp_path / "notes.json"
    path.write_text(text)
    with pytest.raises(LogError, match="no decision log"):
        JsonlLog(path)
    assert path.read_text() == text


def test_what_cannot_be_opened_is_an_error_of_the_start(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "none" / "d.jsonl", tmp_path, tmp_path / "pipe"):
        with pytest.raises(LogError, match="--log"):
            JsonlLog(path)


class FullDisk:
    """Stands for `os.write`: takes half of what it is given while the disk is full, then says so."""

    def __init__(self) -> None:
        self.full = False
        self.refused = 0
        self._write = os.write
        self._taken_half = False

    def __call__(self, file: int, data: bytes) -> int:
        if not self.full:
            return self._write(file, data)
        self._taken_half = not self._taken_half
        if self._taken_half:
            return self._write(file, data[: len(data) // 2])
        self.refused += 1
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_loses_lines_counts_them_and_is_written_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    disk = FullDisk()
    monkeypatch.setattr(jsonl.os, "write", disk)
    monkeypatch.setattr(jsonl, "RETRY_S", 0.01)
    path = tmp_path / "d.jsonl"
    sink = JsonlLog(path)
    sink.update(None, line(1))
    wait_for(lambda: sink.written == 1)
    disk.full = True
    for number in range(2, 6):
        sink.update(None, line(number))
    wait_for(lambda: sink.lost == 4)
    wait_for(lambda: disk.refused > 1 or sink.update(None, line(6)))  # it goes on trying, with what comes
    disk.full = False
    wait_for(lambda: sink.written > 1 or sink.update(None, line(7)))
    sink.close()
    found = rows(path)  # each is whole
    assert found[0]["frame"] == 1
    assert [row for row in found if row["schema"] == "edgefas.gap/1"] == [found[1]]
    assert found[1] == {"schema": "edgefas.gap/1", "lost": sink.lost}
    assert {row["frame"] for row in found[2:]} <= {6, 7}
    assert "No space left on device" in caplog.text
    assert f"{sink.lost} lines were lost" in caplog.text
    assert f"{sink.lost} lost" in sink.summary()


def test_a_disk_that_hangs_holds_up_nobody_and_memory_is_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hang, hung = threading.Event(), threading.Event()
    write = os.write

    def slow(file: int, data: bytes) -> int:
        hung.set()
        assert hang.wait(PATIENCE_S)
        return write(file, data)

    monkeypatch.setattr(jsonl.os, "write", slow)
    sink = JsonlLog(tmp_path / "d.jsonl")
    sink.update(None, line(1))
    assert hung.wait(PATIENCE_S)
    for number in range(2, 2002 + jsonl.WAITING_LINES):
        sink.update(None, line(number))
    assert len(sink._waiting) == jsonl.WAITING_LINES
    hang.set()
    sink.close()
    found = rows(tmp_path / "d.jsonl")
    assert found[0]["frame"] == 1
    assert found[1] == {"schema": "edgefas.gap/1", "lost": 2000}
    assert [row["frame"] for row in found[2:]] == list(range(2002, 2002 + jsonl.WAITING_LINES))


def test_a_change_of_state_is_forced_to_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    fsync = os.fsync
    monkeypatch.setattr(jsonl, "SYNC_S", 1e6)
    monkeypatch.setattr(jsonl.os, "fsync", lambda file: (fsync(file), synced.append(os.fstat(file).st_size)))
    sink = JsonlLog(tmp_path / "d.jsonl")
    size = 0
    for number, state in enumerate([Verdict.ATTACK] * 3 + [Verdict.BONA_FIDE] * 3, 1):
        sink.update(None, line(number, state, state))
        size += len(line(number, state, state).to_json()) + 1
        wait_for(lambda: sink.written == number)  # noqa: B023 - called within the turn
        if number in (1, 4):
            wait_for(lambda: synced and synced[-1] == size)  # noqa: B023
    assert len(synced) == 2
    sink.close()
    assert synced[2:] == [size]


def test_a_file_moved_away_is_opened_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "d.jsonl"
    sink = JsonlLog(path)
    sink.update(None, line(1))
    wait_for(lambda: sink.written == 1)
    path.rename(tmp_path / "moved")
    sink.update(None, line(2, Verdict.ATTACK))  # a change: synced, and the place is looked at
    wait_for(lambda: sink._file is None or path.exists())  # the latter when line 1 was synced only after the move
    sink.update(None, line(3))
    sink.close()
    moved, new = ([row["frame"] for row in rows(file)] for file in (tmp_path / "moved", path))
    assert moved in ([1], [1, 2])
    assert moved + new == [1, 2, 3]
