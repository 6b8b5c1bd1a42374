"""Errors that tell the way out: what was wrong, its value, what is allowed, the next command.

Every error a user can cause derives from `EdgefasError`; the command line prints its text and ends with its
`exit_code` (0 ok, 1 error, 2 usage, 3 a check failed, 4 health failed and rolled back). A traceback is a bug.
"""

from __future__ import annotations

import importlib
from types import ModuleType


class EdgefasError(Exception):
    """A failure the user can act on."""

    exit_code = 1


class UsageError(EdgefasError):
    """The command, its flags or a file's keys are not what edgefas understands."""

    exit_code = 2


class CheckFailed(EdgefasError):
    """Everything ran, and what was checked does not hold."""

    exit_code = 3


class MissingExtra(EdgefasError):
    """An optional dependency is not installed."""


def require(module: str, extra: str) -> ModuleType:
    """Import `module`, or raise `MissingExtra` naming the pip line that installs it.

    Args:
        module: what to import, e.g. "onnxruntime".
        extra: the extra of setup.cfg that brings it, e.g. "cpu".
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingExtra(
            f"{module} cannot be imported ({error}); install it with: pip install 'edgefas[{extra}]'"
        ) from error
