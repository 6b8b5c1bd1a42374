"""`edgefas fleet`: what runs on which board."""

from __future__ import annotations

import asyncio
import csv
import io
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from edgefas.cli.console import errors, print_json, results
from edgefas.errors import CheckFailed

if TYPE_CHECKING:
    from edgefas.deploy.fleet import BoardStatus

app = typer.Typer(no_args_is_help=True, help="What runs on which board.")


@app.callback()
def _group() -> None:
    """A command of its own each, although there is one."""


@app.command("status")
def status(
    inventory: Annotated[Path, typer.Option(help="The fleet (.yaml).", show_default=False)],
    names: Annotated[list[str] | None, typer.Argument(help="Only these boards.", show_default=False)] = None,
    csv_out: Annotated[Path | None, typer.Option("--csv", help="Write a table for spreadsheets.")] = None,
    records: Annotated[
        Path | None, typer.Option(help="Compare with what edgefas flash --records has signed.", show_default=False)
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
) -> None:
    """Ask each board what it runs; exit code 3 if one does not answer, or differs from most or from its record."""
    from edgefas.deploy.fleet import COLUMNS, against_records, ask_fleet
    from edgefas.deploy.inventory import chosen, read_fleet
    from edgefas.deploy.trust import load_trust
    from edgefas.files import write_atomically

    boards = chosen(read_fleet(inventory), names or [])
    for name in ("asyncio", "asyncssh"):  # what they say of a broken connection is told by the stage it broke in
        logging.getLogger(name).setLevel(logging.ERROR)
    with errors.status("asking") as waiting:
        asked: list[str] = []

        def report(name: str) -> None:
            asked.append(name)
            waiting.update(f"{len(asked)} of {len(boards)} boards")

        found = asyncio.run(ask_fleet(boards, report))
    if records is not None:
        found = against_records(found, records, load_trust())
    if csv_out is not None:
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, COLUMNS)
        writer.writeheader()
        writer.writerows(status.as_row() for status in found)
        write_atomically(csv_out, text.getvalue().encode())
    if json:
        print_json({"schema": 1, "boards": [status.as_row() for status in found]})
    else:
        results.print(_table(found))
    wrong = [status for status in found if status.problem or status.drift]
    if wrong:
        raise CheckFailed(f"{len(wrong)} of {len(found)} boards: {wrong[0].name}: {wrong[0].problem or wrong[0].drift}")


def _table(found: list[BoardStatus]) -> Table:
    table = Table("board", "release", "previous", "threshold", "engine", "TensorRT", "what", box=None, pad_edge=False)
    for status in found:
        engine = f"{status.backend} {status.engine_ms:.1f} ms" if status.engine_ms is not None else "-"
        release = (status.release or "-") + (" on trial" if status.on_trial else "")
        threshold = "-" if status.threshold is None else f"{status.threshold:g}"
        what = status.problem or status.drift or status.last
        style = "red" if status.problem else "yellow" if status.drift else None
        table.add_row(
            status.name, release, status.previous or "-", threshold, engine, status.tensorrt or "-", what, style=style
        )
    return table
