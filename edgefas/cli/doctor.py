"""`edgefas doctor`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from edgefas.cli.console import print_json, results
from edgefas.errors import CheckFailed

if TYPE_CHECKING:
    from edgefas.doctor import Check

COLOURS = {"ok": "green", "fail": "bold red", "warn": "yellow", "does not apply": "dim"}


def command(
    folder: Annotated[Path, typer.Option(help="Where engines lie: its disk and plugins are looked at.")] = Path(),
    camera: Annotated[str | None, typer.Option(help="Examine this camera instead; any source will do.")] = None,
    record: Annotated[str, typer.Option(help="With --camera: how long to watch it.")] = "10s",
    out: Annotated[Path | None, typer.Option("-o", "--out", help="With --camera: the JSON to send.")] = None,
    recording: Annotated[Path | None, typer.Option(help="With --camera: also keep its pictures, as .db3.")] = None,
    profile: Annotated[str | None, typer.Option(help="With --camera: set-up of a RealSense camera.")] = None,
    json: Annotated[bool, typer.Option("--json", help="The checks and the facts behind them as JSON.")] = False,
) -> None:
    """Check this machine, or a camera, for what edgefas needs, and name what mends each fault."""
    if camera is not None:
        from edgefas.cli.camera_doctor import examine_camera

        examine_camera(camera, record, out, recording, profile, json)
        return
    from edgefas.doctor import check_all, failed_on_board, read_system

    system = read_system(folder)
    checks = check_all(system)
    failed = failed_on_board(system, checks)
    if json:
        rows = [{**asdict(check), "state": check.state.value} for check in checks]
        print_json({"schema": 1, "ok": not failed, "checks": rows, "system": asdict(system)})
    else:
        _print(checks)
    if failed:
        names = [check.name for check in checks if check.required and check.state.value == "fail"]
        raise CheckFailed(f"this board is not ready: {', '.join(names)}; the lines above name what mends each")


def _print(checks: list[Check]) -> None:
    """The table, and below it, unbroken so that they can be copied, what mends each fault."""
    table = Table("check", "state", "found")
    for check in checks:
        state = check.state.value
        table.add_row(check.name, f"[{COLOURS[state]}]{state}[/]", escape(check.found))
    results.print(table)
    for check in checks:
        if check.mend:
            results.print(f"{check.name}: {check.mend}", soft_wrap=True, highlight=False, markup=False)
