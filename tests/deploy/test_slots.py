"""The slots' states: every sequence of steps keeps its promises, and a cut at any moment leaves a whole one."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from edgefas.contracts import ContractError
from edgefas.deploy.slots import (
    MAX_STARTS,
    Release,
    SlotError,
    SlotName,
    Slots,
    State,
    begin_trial,
    commit,
    make_room,
    rollback,
    started,
)
from edgefas.files import FileWriteError


def release(slot: SlotName, number: int) -> Release:
    return Release(
        slot=slot, name="door", number=number, bundle_sha256=f"{number:064x}", signer="office",
        backend="onnxruntime", median_ms=1.0, installed_at="2026-01-01T00:00:00+00:00",
    )  # fmt: skip


class Board(RuleBasedStateMachine):
    """A board under any sequence of steps, beside the simplest model of it: which release was good last."""

    def __init__(self) -> None:
        super().__init__()
        self.state = State()
        self.good: Release | None = None
        self.number = 0

    @rule()
    def install(self) -> None:
        active = self.state.active
        slot: SlotName = "b" if active is not None and active.slot == "a" else "a"
        new = release(slot, self.number + 1)
        if self.state.on_trial:
            for step in (lambda state: make_room(state, slot), lambda state: begin_trial(state, new)):
                with pytest.raises(SlotError, match="on trial"):
                    step(self.state)
            return
        self.number += 1
        self.state = make_room(self.state, slot)
        assert self.state.active == self.good
        self.state = begin_trial(self.state, new)

    @rule()
    def commit(self) -> None:
        if not self.state.on_trial:
            with pytest.raises(SlotError, match="nothing is on trial"):
                commit(self.state)
            return
        self.good = self.state.active
        self.state = commit(self.state)

    @rule()
    def fail(self) -> None:
        if self.state.on_trial:
            self.state = rollback(self.state, "no frame came")
            assert self.state.active == self.good

    @rule()
    def go_back(self) -> None:
        if not self.state.on_trial and self.state.fallback is not None:
            self.good = self.state.fallback
            self.state = rollback(self.state, "asked for")

    @rule(times=st.integers(1, 2 * MAX_STARTS))
    def reboot(self, times: int) -> None:
        before = self.state
        for _ in range(times):
            self.state = started(self.state)
        if not before.on_trial:
            assert self.state == before
        elif before.starts + times > MAX_STARTS:
            assert self.state.active == self.good
            assert not self.state.on_trial

    @invariant()
    def what_was_good_is_never_lost(self) -> None:
        here = self.state.fallback if self.state.on_trial else self.state.active
        assert here == self.good

    @invariant()
    def it_survives_the_disk(self) -> None:
        assert State.from_json(self.state.to_json()) == self.state

    @invariant()
    def the_highest_is_one_that_was_good(self) -> None:
        assert self.state.highest <= self.number
        assert self.good is None or self.state.highest >= self.good.number


Board.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestBoard = Board.TestCase


def test_a_state_that_makes_no_sense_is_refused() -> None:
    with pytest.raises(ContractError, match="on trial"):
        State.from_json('{"on_trial": true}')
    with pytest.raises(ContractError, match="both be in slot a"):
        State.from_json(
            State(active=release("a", 1))
            .to_json()
            .replace('"fallback":null', f'"fallback":{release("a", 2).to_json()}')
        )


def test_a_damaged_state_file_is_said_and_not_an_empty_one(tmp_path: Path) -> None:
    (tmp_path / "state.json").write_text("{}x")
    with pytest.raises(SlotError, match="is damaged"):
        Slots(tmp_path).read()


def test_filling_gives_up_the_fallback_in_that_slot_first(tmp_path: Path) -> None:
    slots = Slots(tmp_path)
    slots.change(lambda _: State(active=release("a", 2), fallback=release("b", 1), highest=2))
    assert slots.free_slot() == "b"
    with slots.filling("b") as folder:
        assert slots.read().fallback is None
        (folder / "x").write_text("new")
    assert (slots.folder("b") / "x").read_text() == "new"
    with pytest.raises(RuntimeError), slots.filling("b"):
        raise RuntimeError
    assert (slots.folder("b") / "x").read_text() == "new"
    assert sorted(p.name for p in (tmp_path / "slots").iterdir()) == ["b"]


def test_one_installation_and_one_service_at_a_time(tmp_path: Path) -> None:
    slots = Slots(tmp_path)
    with slots.installing(), pytest.raises(SlotError, match="another installation"), Slots(tmp_path).installing():
        pass
    assert not slots.is_served()
    with slots.serving():
        assert Slots(tmp_path).is_served()
    assert not slots.is_served()


def test_a_folder_that_cannot_be_written_is_a_short_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(FileWriteError, match="--root"):
        Slots(tmp_path / "file" / "root").change(started)


def test_root_does_not_write_into_the_folder_of_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "root").mkdir()
    if os.geteuid() == 0:
        os.chown(tmp_path / "root", 65534, -1)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(SlotError, match="sudo -u"):
        Slots(tmp_path / "root").change(started)
    assert list((tmp_path / "root").iterdir()) == []


def test_a_full_disk_keeps_the_old_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slots = Slots(tmp_path)
    slots.change(lambda _: State(active=release("a", 1), highest=1))

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(FileWriteError, match="No space"):
        slots.change(lambda state: begin_trial(state, release("b", 2)))
    monkeypatch.undo()
    assert slots.read() == State(active=release("a", 1), highest=1)


WRITER = """
import sys
from pathlib import Path
from edgefas.deploy.slots import Slots, begin_trial, commit, rollback
from tests.deploy.test_slots import release
slots, number = Slots(Path(sys.argv[1])), 1
print("ready", flush=True)
while True:
    number += 1
    new = release(slots.free_slot(), number)
    slots.change(lambda state: begin_trial(state, new))
    slots.change(commit if number % 2 else lambda state: rollback(state, "x"))
"""


def test_kill_9_while_the_state_changes(tmp_path: Path) -> None:
    """Whenever the writer dies, the state is whole and names what was good."""
    slots = Slots(tmp_path)
    slots.change(lambda _: State(active=release("a", 1), highest=1))
    for millisecond in range(12):
        with subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE) as writer:
            assert writer.stdout is not None
            writer.stdout.readline()
            time.sleep(millisecond / 1000)
            writer.send_signal(signal.SIGKILL)
        state = slots.read()
        assert state.active is not None
        slots.change(lambda now: rollback(now, "killed") if now.on_trial else now)
        assert slots.read().active is not None
