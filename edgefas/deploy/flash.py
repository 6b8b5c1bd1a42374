"""A signed bundle onto many boards: a canary first, then batches, and a stop where too many fail.

Each board checks and decides by itself (`edgefas slot install`); the controller only brings the file, asks, and counts.
Whatever is interrupted is picked up by the same command: an upload goes on where it was cut, and a board that has the
bundle in service is left alone.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from edgefas.deploy.bundle import Bundle, BundleError, open_bundle
from edgefas.deploy.inventory import Board
from edgefas.deploy.remote import Remote, RemoteError, connected
from edgefas.deploy.requires import Requirements, unmet
from edgefas.deploy.toolkit import Wheels, bring_toolkit
from edgefas.errors import EdgefasError

Stage = Literal["waiting", "connect", "toolkit", "preflight", "upload", "install", "done"]
Status = Literal["installed", "already", "ready", "rolled back", "failed", "not tried"]
Report = Callable[[str, Stage, str], None]
"""Called with a board's name, its stage, and what there is to say about it."""
ROLLED_BACK = 4
SPARE_BYTES = 64 * 2**20


@dataclass(frozen=True)
class Plan:
    """In which order, and when to stop."""

    canary: int = 1
    """So many boards first, alone; all must succeed."""
    batch: int = 8
    max_failures: int = 0
    """So many boards may fail, after the canary, before no new batch begins."""


@dataclass
class Result:
    """What became of one board."""

    name: str
    status: Status = "not tried"
    detail: str = ""
    seconds: dict[str, float] = field(default_factory=dict)
    """By stage."""
    host_key: str = ""
    """Fingerprint of the SSH key the board showed."""
    state: dict[str, Any] | None = None
    """Of its slots, afterwards."""

    @property
    def failed(self) -> bool:
        """Whether it counts against the budget."""
        return self.status in ("failed", "rolled back")


async def flash(
    boards: Mapping[str, Board],
    bundle_path: Path,
    plan: Plan,
    *,
    toolkit: Wheels | None = None,
    dry_run: bool = False,
    allow_downgrade: bool = False,
    report: Report = lambda name, stage, detail: None,
) -> list[Result]:
    """Bring a bundle to boards, canary first.

    Args:
        toolkit: install edgefas from these wheels before, where it is not of them; not in a dry run.
        dry_run: connect and look, change nothing.
        allow_downgrade: see `install`.

    Raises:
        BundleError: it is not signed by a key trusted here: nothing is sent.
    """
    bundle = await asyncio.to_thread(open_bundle, bundle_path)
    if bundle.signer is None:
        raise BundleError(f"{bundle_path} is not signed, and boards take signed bundles only: edgefas bundle sign")

    async def one(name: str) -> Result:
        result = Result(name)
        steps = _Steps(result, report)
        try:
            steps.begin("connect")
            async with connected(boards[name]) as remote:
                result.host_key = remote.host_key
                if toolkit is not None and not dry_run:
                    steps.begin("toolkit")
                    await bring_toolkit(remote, toolkit, lambda text: steps.say("toolkit", text))
                await _flash_board(remote, bundle, bundle_path, steps, dry_run=dry_run, allow_downgrade=allow_downgrade)
        except EdgefasError as error:
            result.status, result.detail = "failed", str(error)
        steps.begin("done")
        return result

    return await in_batches(list(boards), plan, one)


async def roll_back(boards: Mapping[str, Board], why: str, report: Report = lambda *_: None) -> list[Result]:
    """`edgefas slot rollback` on each; all at once, for this is asked for in a hurry."""

    async def one(name: str) -> Result:
        result = Result(name)
        steps = _Steps(result, report)
        try:
            steps.begin("connect")
            async with connected(boards[name]) as remote:
                result.host_key = remote.host_key
                steps.begin("install")
                root = remote.board.root
                answer = await remote.edgefas("slot", "rollback", "--why", why, "--root", root, "--json")
                if answer.code != 0:
                    raise RemoteError(answer.error)
                result.state = answer.json()["state"]
                result.status, result.detail = "rolled back", result.state["last"]
        except EdgefasError as error:
            result.status, result.detail = "failed", str(error)
        steps.begin("done")
        return result

    return list(await asyncio.gather(*(one(name) for name in boards)))


async def in_batches(names: Sequence[str], plan: Plan, one: Callable[[str], Awaitable[Result]]) -> list[Result]:
    """Run `one` for each, a canary and then batches; those behind a stop are `not tried`."""
    results: list[Result] = []
    at, size, budget = 0, plan.canary or plan.batch, 0 if plan.canary else plan.max_failures
    failures = 0
    while at < len(names) and failures <= budget:
        results += await asyncio.gather(*(one(name) for name in names[at : at + size]))
        failures = sum(result.failed for result in results)
        at += size
        if failures > budget:
            break
        size, budget = plan.batch, plan.max_failures
    why = f"stopped: {failures} failed, at most {budget} may"
    return results + [Result(name, detail=why) for name in names[at:]]


async def _flash_board(
    remote: Remote, bundle: Bundle, path: Path, steps: _Steps, *, dry_run: bool, allow_downgrade: bool
) -> None:
    result, root = steps.result, remote.board.root
    steps.begin("preflight")
    result.state = await _preflight(remote, bundle, path)
    if result.state["active"] and result.state["active"]["bundle_sha256"] == bundle.sha256:
        result.status, result.detail = "already", result.state["last"]
        if not result.state["on_trial"]:
            return
    if dry_run:
        result.status, result.detail = "ready", result.state["last"]
        return
    steps.begin("upload")
    name = await _upload(remote, bundle, path, steps)
    steps.begin("install")
    options = ["--allow-downgrade"] if allow_downgrade else []
    answer = await remote.edgefas("slot", "install", name, "--root", root, "--json", *options)
    if answer.code not in (0, ROLLED_BACK):
        raise RemoteError(answer.error)
    result.state = answer.json()["state"]
    result.status = "rolled back" if answer.code == ROLLED_BACK else "installed"
    result.detail = result.state["last"]
    await remote.discard(bundle.sha256)


async def _preflight(remote: Remote, bundle: Bundle, path: Path) -> dict[str, Any]:
    """The state of its slots; what would stop the installation is found before anything is sent.

    Raises:
        RemoteError: no edgefas, no room, the signer is not trusted there, or it is no board for this bundle.
    """
    answer = await remote.edgefas("slot", "status", "--root", remote.board.root, "--json")
    if answer.code != 0:
        raise RemoteError(answer.error)
    state: dict[str, Any] = answer.json()["state"]
    keys = (await remote.edgefas("keys", "list", "--json")).json()["keys"]
    if not any(key["id"] == bundle.signer_id and key["name"] and key["revoked"] is None for key in keys):
        raise RemoteError(
            f"the board does not trust the key {bundle.signer_id} ({bundle.signer}); there: edgefas keys trust NAME.pub"
        )
    if bundle.manifest.requires != Requirements():
        system = (await remote.edgefas("doctor", "--json")).json()["system"]
        lacking = unmet(bundle.manifest.requires, system)
        if lacking:
            raise RemoteError(f"the board is not one for this bundle: {'; '.join(lacking)}")
    free, needed = await remote.free_bytes(), 3 * path.stat().st_size + SPARE_BYTES
    if free < needed:
        raise RemoteError(f"{free // 2**20} MB are free in {remote.board.root}, {needed // 2**20} are needed")
    return state


async def _upload(remote: Remote, bundle: Bundle, path: Path, steps: _Steps) -> str:
    """Bring the file, and see it verified there; one that was damaged on its way is sent again, whole, once."""

    def said(share: float) -> None:
        steps.say("upload", f"{share:.0%}")

    for last in (False, True):
        name = remote.incoming(bundle.sha256)
        await remote.put(path, name, said)
        answer = await remote.edgefas("bundle", "verify", name, "--json")
        if answer.code == 0 and answer.json()["sha256"] == bundle.sha256:
            return name
        await remote.discard(bundle.sha256)
        if last:
            raise RemoteError(f"the board refuses the bundle: {answer.error or 'other content arrived'}")
    raise AssertionError


class _Steps:
    """The stages of one board, told and timed."""

    def __init__(self, result: Result, report: Report) -> None:
        self.result, self._report = result, report
        self._stage: Stage | None = None
        self._begun_s = time.monotonic()

    def begin(self, stage: Stage) -> None:
        """The stage before is over."""
        now_s = time.monotonic()
        if self._stage is not None:
            self.result.seconds[self._stage] = round(now_s - self._begun_s, 3)
        self._stage, self._begun_s = stage, now_s
        self.say(stage, self.result.status if stage == "done" else "")

    def say(self, stage: Stage, detail: str) -> None:
        """How far it is."""
        self._report(self.result.name, stage, detail)
