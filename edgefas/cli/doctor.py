"""`edgefas doctor`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from edgefas.cli.console import print_json, results
from edgefas.errors import CheckFailed

COLOURS = {"ok": "green", "fail": "bold red", "warn": "yellow", "does not apply": "dim"}


def command(
    folder: Annotated[Path, typer.Option(help="Where engines lie: its disk and plugins are looked at.")] = Path(),
    json: Annotated[bool, typer.Option("--json", help="The checks and the facts behind them as JSON.")] = False,
) -> None:
    """Check this machine for what edgefas needs, and name the command that mends each fault."""
    from edgefas.doctor import check_all, failed_on_board, read_system

    system = read_system(folder)
    checks = check_all(system)
    failed = failed_on_board(system, checks)
    if json:
        rows = [{**asdict(check), "state": check.state.value} for check in checks]
        print_json({"schema": 1, "ok": not failed, "checks": rows, "system": asdict(system)})
    else:
        from rich.table import Table

        table = Table("check", "state", "found", "to mend it")
        for check in checks:
            state = check.state.value
            table.add_row(check.name, f"[{COLOURS[state]}]{state}[/]", _plain(check.found), _plain(check.mend))
        results.print(table)
    if failed:
        names = [check.name for check in checks if check.required and check.state.value == "fail"]
        raise CheckFailed(f"this board is not ready: {', '.join(names)}; the table names the command that mends each")


def _plain(text: str) -> str:
    from rich.markup import escape

    return escape(text)
