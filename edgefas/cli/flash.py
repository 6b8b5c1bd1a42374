"""`edgefas flash`: a signed bundle onto boards over SSH."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.live import Live
from rich.table import Table

from edgefas.cli.console import errors, print_json, results
from edgefas.cli.passphrase import PassphraseFile, private_key_of
from edgefas.errors import EdgefasError, UsageError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from edgefas.deploy.flash import Result
    from edgefas.deploy.inventory import Board

STYLE = {"installed": "green", "already": "green", "ready": "green", "rolled back": "yellow", "failed": "red"}


class FlashFailed(EdgefasError):
    """Not every board runs the bundle."""

    def __init__(self, text: str, exit_code: int) -> None:
        super().__init__(text)
        self.exit_code = exit_code


def command(
    hosts: Annotated[
        list[str] | None, typer.Argument(help="[USER@]HOST[:PORT], or names of the --inventory.", show_default=False)
    ] = None,
    bundle: Annotated[Path | None, typer.Option(help="A signed bundle (.efas).", show_default=False)] = None,
    inventory: Annotated[Path | None, typer.Option(help="The fleet (.yaml).", show_default=False)] = None,
    toolkit: Annotated[
        Path | None,
        typer.Option(help="Folder of wheels: install edgefas on the boards from it first.", show_default=False),
    ] = None,
    canary: Annotated[int, typer.Option(min=0, help="So many boards first, alone; all must succeed.")] = 1,
    batch: Annotated[int, typer.Option(min=1, max=64, help="Then so many at once.")] = 8,
    max_failures: Annotated[int, typer.Option(min=0, help="No new batch after more failures than this.")] = 0,
    allow_downgrade: Annotated[bool, typer.Option(help="Take a lower release than one that was good there.")] = False,
    rollback: Annotated[
        bool, typer.Option(help="No bundle: back to the release before, on all of them at once.")
    ] = False,
    why: Annotated[
        str, typer.Option(help="Of --rollback; kept on the board.")
    ] = "asked for by edgefas flash --rollback",
    records: Annotated[
        Path | None,
        typer.Option(help="Folder that gets a signed record per board, for edgefas fleet status.", show_default=False),
    ] = None,
    record_key: Annotated[
        Path | None, typer.Option(help="Private key that signs the --records.", show_default=False)
    ] = None,
    passphrase_file: PassphraseFile = None,
    dry_run: Annotated[bool, typer.Option(help="Connect and look, change nothing.")] = False,
    json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
) -> None:
    """Bring a signed bundle to boards over SSH; it does not re-image the operating system.

    Each board verifies, checks and tries the release by itself, and takes it back by itself if it is not healthy. Run
    the same command again after anything that interrupted it. Exit code 4: a board took the release back; 1: a board
    failed otherwise.
    """
    from edgefas.deploy.flash import Plan, flash, roll_back
    from edgefas.deploy.toolkit import read_wheels

    boards = _boards(hosts or [], inventory)
    if rollback == (bundle is not None):
        raise UsageError("give --bundle FILE, or --rollback, and not both")
    if (records is None) != (record_key is None):
        raise UsageError("--records FOLDER and --record-key KEY go together")
    key = None if record_key is None else private_key_of(record_key, passphrase_file)
    wheels = None if toolkit is None else read_wheels(toolkit)
    for name in ("asyncio", "asyncssh"):  # what they say of a broken connection is told by the stage it broke in
        logging.getLogger(name).setLevel(logging.ERROR)
    with _View(list(boards)) as view:
        if bundle is None:
            done = asyncio.run(roll_back(boards, why, view.report))
        else:
            plan = Plan(canary, batch, max_failures)
            work = flash(
                boards,
                bundle,
                plan,
                toolkit=wheels,
                dry_run=dry_run,
                allow_downgrade=allow_downgrade,
                report=view.report,
            )
            done = asyncio.run(work)
    if records is not None and key is not None and not dry_run:
        for result in done:
            _record(records, key, result, boards[result.name])
    if json:
        print_json({"schema": 1, "boards": [asdict(result) for result in done]})
    else:
        results.print(_table(done))
    _judge(done, rollback)


def _record(folder: Path, key: Ed25519PrivateKey, result: Result, board: Board) -> None:
    """What is in service on a board now; of one that did not say, the older record stays."""
    from edgefas.deploy.records import Record, write_record

    if result.state is None:
        return
    active = result.state["active"]
    record = Record(
        board=result.name,
        host=board.host,
        port=board.port,
        host_key=result.host_key,
        outcome=result.status,
        release=active and f"{active['name']} {active['number']}",
        bundle_sha256=active and active["bundle_sha256"],
        on_trial=result.state["on_trial"],
        recorded_at=datetime.now(timezone.utc).isoformat(timespec="seconds"),
    )
    write_record(folder, record, key)


def _boards(words: list[str], inventory: Path | None) -> dict[str, Board]:
    from edgefas.deploy.inventory import boards_of, chosen, read_fleet

    if inventory is not None:
        return chosen(read_fleet(inventory), words)
    if not words:
        raise UsageError("name boards, as edgefas@10.0.0.11, or give an --inventory")
    return boards_of(words)


def _judge(done: list[Result], rollback: bool) -> None:
    wanted = ("rolled back",) if rollback else ("installed", "already", "ready")
    wrong = [result for result in done if result.status not in wanted]
    if wrong:
        code = 4 if any(result.status == "rolled back" for result in wrong) else 1
        raise FlashFailed(f"{len(wrong)} of {len(done)} boards: {wrong[0].name}: {wrong[0].detail}", code)
    trials = [result.name for result in done if result.state and result.state["on_trial"]]
    if trials:
        errors.print(f"still on trial, no service runs there: {', '.join(trials)}", highlight=False, soft_wrap=True)


def _table(done: list[Result]) -> Table:
    table = Table("board", "status", "in service", "s", "", box=None, pad_edge=False)
    for result in done:
        active = result.state["active"] if result.state else None
        table.add_row(
            result.name,
            f"[{STYLE.get(result.status, 'dim')}]{result.status}[/]",
            f"{active['name']} {active['number']}" if active else "-",
            f"{sum(result.seconds.values()):.1f}",
            result.detail,
        )
    return table


class _View:
    """The table of boards and stages, live on a terminal, a line per stage elsewhere."""

    def __init__(self, names: list[str]) -> None:
        self._rows = dict.fromkeys(names, ("waiting", ""))
        self._live = Live(self._draw(), console=errors, refresh_per_second=4, transient=True)

    def __enter__(self) -> _View:
        if errors.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if errors.is_terminal:
            self._live.stop()

    def report(self, name: str, stage: str, detail: str) -> None:
        """A board is in a stage."""
        changed = self._rows[name][0] != stage
        self._rows[name] = (stage, detail)
        if errors.is_terminal:
            self._live.update(self._draw())
        elif changed:
            errors.print(f"{name}: {stage} {detail}".rstrip(), highlight=False, markup=False, soft_wrap=True)

    def _draw(self) -> Table:
        table = Table("board", "stage", "", box=None, pad_edge=False)
        for name, (stage, detail) in self._rows.items():
            table.add_row(name, stage, detail)
        return table
