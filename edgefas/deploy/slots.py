"""Two slots of a board, and which release is in service: one state file, changed by one rename at a time.

    ROOT/state.json     what is in service, what to fall back to, whether the newest is still on trial
    ROOT/slots/a, b     bundle.efas, and the engines that were built from it here

    nothing or good --begin_trial--> on trial --commit--> good
                                     on trial --rollback--> what was good before, or nothing
    good --rollback--> the release before, if its slot still holds it

A power cut at any moment leaves the state before a change or after it. A slot that no state names is rubbish, whatever
lies in it, and is written over. The lowest release that may be installed is the highest that was ever good.
"""

from __future__ import annotations

import fcntl
import os
import pwd
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from edgefas.contracts import Contract, ContractError
from edgefas.errors import EdgefasError
from edgefas.files import FileWriteError, sync_folder, write_atomically

ROOT_VARIABLE = "EDGEFAS_ROOT"
DEFAULT_ROOT = Path("/var/lib/edgefas")
BUNDLE_FILE = "bundle.efas"
MAX_STARTS = 3
"""So often may the service start before a release on trial has become good: the next start goes back."""

SlotName = Literal["a", "b"]


class SlotError(EdgefasError):
    """The slots are not in a state that allows it, or cannot be read."""


class Release(Contract):
    """A bundle in a slot, checked on this board."""

    slot: SlotName
    name: str
    number: int = Field(ge=1)
    bundle_sha256: str = Field(pattern="^[0-9a-f]{64}$")
    signer: str
    backend: str
    median_ms: float = Field(gt=0, description="of the engine, when it was checked")
    installed_at: str = Field(description="by the board's clock, which may be wrong; nothing depends on it")

    def __str__(self) -> str:
        return f"{self.name} release {self.number} (slot {self.slot})"


class State(Contract):
    """Everything that outlives a reboot."""

    schema_version: Literal[1] = 1
    active: Release | None = None
    fallback: Release | None = None
    on_trial: bool = False
    starts: int = Field(0, ge=0, description="of the service since the trial began")
    highest: int = Field(0, ge=0, description="the highest release that was ever good")
    last: str = Field("nothing was installed yet", description="what happened last, for people")

    @model_validator(mode="after")
    def _makes_sense(self) -> State:
        if self.on_trial and self.active is None:
            raise ValueError("nothing can be on trial where nothing is active")
        if self.active is not None and self.fallback is not None and self.active.slot == self.fallback.slot:
            raise ValueError(f"active and fallback cannot both be in slot {self.active.slot}")
        return self


def make_room(state: State, slot: SlotName) -> State:
    """Before anything is written into a slot: no release is in it any more, and it is not the one in service.

    Raises:
        SlotError: a trial is running, whose fallback must stay.
    """
    if state.on_trial:
        raise SlotError(f"{state.active} is on trial; wait for it, or end it with: edgefas slot commit (or rollback)")
    if state.active is not None and state.active.slot == slot:
        raise SlotError(f"{state.active} is in service in that slot")
    if state.fallback is not None and state.fallback.slot == slot:
        return state.model_copy(update={"fallback": None})
    return state


def begin_trial(state: State, release: Release) -> State:
    """The new release goes into service; what was good becomes the fallback."""
    state = make_room(state, release.slot)
    last = f"{release} is on trial"
    return State(active=release, fallback=state.active, on_trial=True, highest=state.highest, last=last)


def commit(state: State) -> State:
    """The release on trial is good."""
    if not state.on_trial or state.active is None:
        raise SlotError(f"nothing is on trial; {state.active or 'nothing'} is in service")
    highest = max(state.highest, state.active.number)
    return state.model_copy(
        update={"on_trial": False, "starts": 0, "highest": highest, "last": f"{state.active} is good"}
    )


def rollback(state: State, why: str) -> State:
    """Out with the release on trial; without a trial, active and fallback change places."""
    if state.on_trial:
        last = f"{state.active} was taken back: {why}; in service: {state.fallback or 'nothing'}"
        return State(active=state.fallback, highest=state.highest, last=last)
    if state.fallback is None:
        raise SlotError(
            f"there is nothing to go back to; {state.active or 'nothing'} is in service; another release: "
            "edgefas slot install"
        )
    last = f"{state.active} was taken back: {why}; in service: {state.fallback}"
    return State(active=state.fallback, fallback=state.active, highest=state.highest, last=last)


def started(state: State) -> State:
    """The service starts; on trial that is counted, and once too often is the end of it."""
    if not state.on_trial:
        return state
    if state.starts >= MAX_STARTS:
        return rollback(state, f"after {state.starts} starts of the service it had not become good")
    return state.model_copy(update={"starts": state.starts + 1})


def booted(state: State) -> State:
    """A while after a boot, and no service runs: who would judge the release on trial? It goes back."""
    return rollback(state, "no service was running a while after the boot") if state.on_trial else state


@dataclass(frozen=True)
class Slots:
    """The folder of a board's slots."""

    root: Path

    def read(self) -> State:
        """The state; an empty one where there is no file.

        Raises:
            SlotError: it cannot be read or is damaged.
        """
        try:
            return State.from_json(self._state_file.read_bytes())
        except FileNotFoundError:
            return State()
        except OSError as error:
            raise SlotError(f"cannot read {self._state_file}: {error.strerror}") from None
        except ContractError as error:
            raise SlotError(
                f"{self._state_file} is damaged ({error}); the bundles in {self.root / 'slots'} are untouched: move "
                "the file away and install one of them again"
            ) from None

    def change(self, step: Callable[[State], State]) -> State:
        """Replace the state by what `step` makes of it; nobody else changes it meanwhile."""
        with self._locked("state.lock", wait_s=60.0, busy="another command is changing the state"):
            state = self.read()
            changed = step(state)
            if changed != state:
                write_atomically(self._state_file, changed.to_json(indent=1).encode())
            return changed

    @contextmanager
    def installing(self) -> Iterator[None]:
        """One installation at a time.

        Raises:
            SlotError: another one is running.
        """
        with self._locked("install.lock", busy="another installation is running on this board"):
            yield

    @contextmanager
    def serving(self) -> Iterator[None]:
        """One service at a time.

        Raises:
            SlotError: another one is running.
        """
        with self._locked("service.lock", wait_s=1.0, busy="the service is running already"):  # `is_served` looks in
            yield

    def is_served(self) -> bool:
        """Whether a service is running, and so decides about a trial."""
        try:
            with self._locked("service.lock", busy="the service is running already"):
                return False
        except SlotError:
            return True

    def free_slot(self) -> SlotName:
        """The slot to install into: never the one in service."""
        active = self.read().active
        return "b" if active is not None and active.slot == "a" else "a"

    def folder(self, slot: SlotName) -> Path:
        """Where a slot's files lie."""
        return self.root / "slots" / slot

    def bundle(self, release: Release) -> Path:
        """The bundle of a release."""
        return self.folder(release.slot) / BUNDLE_FILE

    @contextmanager
    def filling(self, slot: SlotName) -> Iterator[Path]:
        """An empty folder that becomes the slot when the block ends well; the slot's old content is gone then.

        A fallback in it is given up first: from here on there is nothing to go back to but what is in service.
        """
        self.change(lambda state: make_room(state, slot))
        place = self.folder(slot)
        new = place.with_name(f"{slot}.new")
        try:
            shutil.rmtree(new, ignore_errors=True)
            new.mkdir(parents=True)
            yield new
            shutil.rmtree(place, ignore_errors=True)
            os.rename(new, place)
            sync_folder(place.parent)
        except OSError as error:
            raise FileWriteError(f"cannot fill {place}: {error.strerror or error}") from error
        finally:
            shutil.rmtree(new, ignore_errors=True)

    @property
    def _state_file(self) -> Path:
        return self.root / "state.json"

    @contextmanager
    def _locked(self, name: str, *, busy: str, wait_s: float = 0.0) -> Iterator[None]:
        """Held by this process until the block ends, or the process does, however it ends."""
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            _refuse_root_for_others(self.root)
            handle = os.open(self.root / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise FileWriteError(
                f"cannot write in {self.root}: {error.strerror}; choose another folder with --root, or try sudo"
            ) from None
        try:
            if not _lock_within(handle, wait_s):
                raise SlotError(f"{busy} ({self.root / name} is locked)")
            yield
        finally:
            os.close(handle)


def _lock_within(handle: int, seconds: float) -> bool:
    deadline_s = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline_s:
                return False
            time.sleep(0.02)
        else:
            return True


def _refuse_root_for_others(root: Path) -> None:
    """What root leaves there the service could not change any more; and a bundle needs no rights to be checked."""
    owner = root.stat().st_uid
    if os.geteuid() == 0 and owner != 0:
        try:
            name = pwd.getpwuid(owner).pw_name
        except KeyError:
            name = f"#{owner}"
        raise SlotError(f"{root} belongs to {name}; run it as that user: sudo -u {name} edgefas slot …")


def slots_root() -> Path:
    """`EDGEFAS_ROOT`, else /var/lib/edgefas."""
    return Path(os.environ.get(ROOT_VARIABLE) or DEFAULT_ROOT)
