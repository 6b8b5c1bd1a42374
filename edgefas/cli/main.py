"""`edgefas`: results go to stdout, logs and progress to stderr; errors are one short text and an exit code.

Exit codes: 0 ok, 1 error, 2 usage, 3 a check failed, 4 health failed and rolled back, 130 interrupted.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

import edgefas
from edgefas.cli import (
    benchmark,
    build,
    bundle,
    calibrate,
    collect,
    compare,
    data,
    doctor,
    evaluate,
    export,
    flash,
    fleet,
    keys,
    live,
    models,
    placement,
    quantize,
    record,
    replay,
    slot,
    train,
)
from edgefas.cli.guard import exit_code, fail

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, no_args_is_help=True)
for command in (
    models,
    train,
    evaluate,
    export,
    collect,
    quantize,
    placement,
    build,
    compare,
    benchmark,
    live,
    record,
    replay,
    calibrate,
    doctor,
    flash,
):
    # Command files import what is heavy inside the function, so that --help needs no extra and is quick.
    app.command(command.__name__.rsplit(".", 1)[-1])(command.command)
app.command("deploy", hidden=True)(flash.command)
for group in (bundle, data, fleet, keys, slot):
    app.add_typer(group.app, name=group.__name__.rsplit(".", 1)[-1])


def _print_version(wanted: bool) -> None:
    if wanted:
        print(edgefas.__version__)
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    """Multimodal face anti-spoofing: from a paper to a Jetson behind a RealSense camera."""


def main(argv: list[str] | None = None) -> None:
    """Run one command and exit with its code."""
    raise SystemExit(run(argv))


def run(argv: list[str] | None = None) -> int:
    """Run one command; gives its exit code and never a traceback for what a user can cause."""

    def call() -> int:
        try:
            return int(app(args=argv, prog_name="edgefas", standalone_mode=False) or 0)
        except typer.Exit as stop:
            return stop.exit_code
        except typer.TyperException as error:  # usage: unknown command, flag or value
            return fail(f"{error.format_message()}\ntry: edgefas {_command_word(argv)}--help", 2)

    return exit_code(call)


def _command_word(argv: list[str] | None) -> str:
    word = next(iter(argv if argv is not None else sys.argv[1:]), "")
    known = {command.name for command in app.registered_commands} | {group.name for group in app.registered_groups}
    return f"{word} " if word in known else ""
