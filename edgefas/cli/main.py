"""`edgefas`: results go to stdout, logs and progress to stderr; errors are one short text and an exit code.

Exit codes: 0 ok, 1 error, 2 usage, 3 a check failed, 4 health failed and rolled back, 130 interrupted.
"""

from __future__ import annotations

import importlib
import os
import sys
from typing import Annotated

import click
import typer
from typer.core import TyperGroup

import edgefas
from edgefas.cli.console import errors
from edgefas.errors import EdgefasError

COMMANDS = {
    "models": "List the networks: parameters, MACs and FLOPs beside the papers' figures.",
    "train": "Train a network by a recipe.",
    "export": "Export a trained network to ONNX, with its preprocessing contract inside.",
    "quantize": "Make the INT8 scale table and the engine files.",
    "benchmark": "Measure latency, FPS, MACs, FLOPs and parameters.",
    "live": "Decide, frame by frame, who is before the camera.",
    "record": "Record a camera to a .db3 file.",
}
"""Name to one line of help; the file edgefas/cli/NAME.py holds the function `command`."""


class LazyCommands(TyperGroup):
    """Imports a command's file when it is called, so `edgefas --help` needs no extra and is quick."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        module = importlib.import_module(f"edgefas.cli.{name}")
        single = typer.Typer(add_completion=False)
        single.command(name, help=module.command.__doc__)(module.command)
        command = typer.main.get_command(single)
        command.name = name
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


app = typer.Typer(cls=LazyCommands, add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.callback(invoke_without_command=True)
def _root(
    ctx: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False,
) -> None:
    """Multimodal face anti-spoofing: from a paper to a Jetson behind a RealSense camera."""
    if version:
        print(edgefas.__version__)
        raise typer.Exit
    if ctx.invoked_subcommand is None:
        print(ctx.get_help())


def main(argv: list[str] | None = None) -> None:
    """Run one command and exit with its code."""
    try:
        app(args=argv, prog_name="edgefas", standalone_mode=False)
    except click.exceptions.Exit as stop:
        raise SystemExit(stop.exit_code) from None
    except click.ClickException as error:  # usage: unknown command, flag or value
        errors.print(f"[red]error:[/] {error.format_message()}", highlight=False)
        errors.print(f"try: edgefas {_command_word(argv)}--help", highlight=False)
        raise SystemExit(2) from None
    except EdgefasError as error:
        errors.print("[red]error:[/]", str(error), highlight=False, markup=True)
        raise SystemExit(error.exit_code) from None
    except BrokenPipeError:  # the reader of our stdout went away: not a failure of ours
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(1) from None
    except (KeyboardInterrupt, click.Abort):
        raise SystemExit(130) from None


def _command_word(argv: list[str] | None) -> str:
    word = next(iter(argv if argv is not None else sys.argv[1:]), "")
    return f"{word} " if word in COMMANDS else ""
