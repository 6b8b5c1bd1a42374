"""What runs on each board of a fleet, asked of the boards themselves."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from edgefas.deploy.inventory import Board
from edgefas.deploy.records import RecordError, read_record
from edgefas.deploy.remote import Remote, RemoteError, connected
from edgefas.deploy.trust import Trust
from edgefas.errors import EdgefasError

AT_ONCE = 16


@dataclass(frozen=True)
class BoardStatus:
    """One board; None or empty where it could not be found out."""

    name: str
    problem: str = ""
    """Why the board could not be asked."""
    board: str | None = None
    jetpack: str | None = None
    tensorrt: str | None = None
    release: str | None = None
    on_trial: bool = False
    previous: str | None = None
    threshold: float | None = None
    signer: str | None = None
    bundle_sha256: str | None = None
    backend: str | None = None
    engine_ms: float | None = None
    """Median of one call when the release was checked on the board."""
    last: str = ""
    """What happened to its slots last."""
    drift: str = ""
    """How it differs from most of the fleet, and from its record."""

    def as_row(self) -> dict[str, Any]:
        """For CSV and JSON."""
        return asdict(self)


COLUMNS = tuple(field.name for field in fields(BoardStatus))


async def ask_fleet(
    boards: Mapping[str, Board], report: Callable[[str], None] = lambda name: None
) -> list[BoardStatus]:
    """Ask all boards, some at a time; one that does not answer is told with its problem."""
    free = asyncio.Semaphore(AT_ONCE)

    async def one(name: str) -> BoardStatus:
        async with free:
            try:
                async with connected(boards[name]) as remote:
                    found = await _ask(remote, name)
            except EdgefasError as error:
                found = BoardStatus(name, problem=str(error))
        report(name)
        return found

    return with_drift(list(await asyncio.gather(*(one(name) for name in boards))))


def with_drift(found: list[BoardStatus]) -> list[BoardStatus]:
    """Say of each board what it has otherwise than most; where two are as frequent, the first of them counts."""
    answered = [status for status in found if not status.problem]
    usual = {
        what: Counter(getattr(status, what) for status in answered).most_common(1)[0][0]
        for what in ("release", "threshold", "tensorrt")
        if answered
    }

    def drift(status: BoardStatus) -> str:
        if status.problem:
            return ""
        return _joined(*(f"{what} {getattr(status, what)}" for what in usual if getattr(status, what) != usual[what]))

    return [replace(status, drift=drift(status)) for status in found]


def against_records(found: list[BoardStatus], folder: Path, trust: Trust) -> list[BoardStatus]:
    """Say where a board has another bundle in service than its signed record, or no record that counts."""

    def compared(status: BoardStatus) -> BoardStatus:
        if status.problem:
            return status
        try:
            record = read_record(folder, status.name, trust)
        except RecordError as error:
            return replace(status, drift=_joined(status.drift, str(error)))
        if record is None:
            return replace(status, drift=_joined(status.drift, "no record"))
        if record.bundle_sha256 == status.bundle_sha256:
            return status
        then = f"{record.release or 'nothing'} on {record.recorded_at[:10]}"
        return replace(status, drift=_joined(status.drift, f"recorded: {then}"))

    return [compared(status) for status in found]


def _joined(*parts: str) -> str:
    return ", ".join(part for part in parts if part)


async def _ask(remote: Remote, name: str) -> BoardStatus:
    root = remote.board.root
    slots = await remote.edgefas("slot", "status", "--root", root, "--json")
    if slots.code != 0:
        raise RemoteError(slots.error)
    state = slots.json()["state"]
    system = (await remote.edgefas("doctor", "--json")).json()["system"]
    active, fallback = state["active"], state["fallback"]
    threshold = None
    if active is not None:
        bundle = f"{root}/slots/{active['slot']}/bundle.efas"
        shown = await remote.edgefas("bundle", "show", bundle, "--json")
        if shown.code != 0:
            raise RemoteError(f"the release in service cannot be opened: {shown.error}")
        threshold = shown.json()["policy"]["threshold"]
    return BoardStatus(
        name,
        board=system["board"],
        jetpack=system["packages"].get("nvidia-jetpack"),
        tensorrt=system["tensorrt"],
        release=_named(active),
        on_trial=state["on_trial"],
        previous=_named(fallback),
        threshold=threshold,
        signer=active and active["signer"],
        bundle_sha256=active and active["bundle_sha256"],
        backend=active and active["backend"],
        engine_ms=active and active["median_ms"],
        last=state["last"],
    )


def _named(release: dict[str, Any] | None) -> str | None:
    return None if release is None else f"{release['name']} {release['number']}"
