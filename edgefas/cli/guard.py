"""What becomes of an error: one short text on stderr and an exit code. A traceback is a bug."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable
from typing import NoReturn

import typer

from edgefas.cli.console import errors
from edgefas.errors import EdgefasError

DEBUG = "EDGEFAS_DEBUG"
"""The environment variable that shows tracebacks."""


def exit_code(call: Callable[[], int]) -> int:
    """What `call` gives, or the exit code of what it raised, which is told; SystemExit goes on."""
    try:
        code = call()
        sys.stdout.flush()  # a reader that went away is found here, not while Python shuts down
        return code
    except EdgefasError as error:
        return fail(str(error), error.exit_code)
    except BrokenPipeError:  # the reader of our stdout went away: not a failure of ours
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (KeyboardInterrupt, typer.Abort):
        return 130
    except OSError as error:  # a folder that cannot be written, a full disk
        _traceback_if_wanted()
        return fail(str(error), 1)
    except Exception as error:  # a defect of ours, never the user's
        _traceback_if_wanted()
        what = f"{type(error).__name__}: {error}"
        return fail(f"internal error: {what}\nplease report it; details with {DEBUG}=1", 1)


def run_script(main: Callable[..., None]) -> NoReturn:
    """`typer.run` for what is run with `python -m`, with errors told as `edgefas` tells them."""

    def call() -> int:
        typer.run(main)
        return 0

    raise SystemExit(exit_code(call))


def fail(text: str, code: int) -> int:
    """Print an error and give back its exit code."""
    errors.print(f"error: {text}", highlight=False, markup=False, soft_wrap=True)
    return code


def _traceback_if_wanted() -> None:
    if os.environ.get(DEBUG):
        traceback.print_exc()
