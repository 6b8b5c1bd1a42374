"""Passphrases of private keys: asked on the terminal, or the first line of a file; never on the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgefas.errors import UsageError

PassphraseFile = Annotated[
    Path | None, typer.Option(help="Its first line is the passphrase; default: asked.", show_default=False)
]


def passphrase_of(key: Path, file: Path | None, *, new: bool = False) -> bytes:
    """The passphrase of a private key.

    Args:
        file: where it stands; None asks for it.
        new: it is being chosen, so it is asked twice.

    Raises:
        UsageError: the file cannot be read, or its first line is empty.
    """
    if file is None:
        return str(typer.prompt(f"passphrase of {key}", hide_input=True, confirmation_prompt=new, err=True)).encode()
    try:
        line = file.read_bytes().split(b"\n", 1)[0].rstrip(b"\r")
    except OSError as error:
        raise UsageError(f"cannot read {file}: {error.strerror}") from None
    if not line:
        raise UsageError(f"the first line of {file} is empty; a passphrase is wanted there")
    return line
