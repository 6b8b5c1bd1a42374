"""Passphrases of private keys: asked on the terminal, or the first line of a file; never on the command line."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgefas.errors import UsageError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

PassphraseFile = Annotated[
    Path | None, typer.Option(help="Its first line is the passphrase; default: asked.", show_default=False)
]


def private_key_of(path: Path, passphrase_file: Path | None) -> Ed25519PrivateKey:
    """Read a private key; its passphrase is asked for only if it has one.

    Raises:
        KeyFileError: missing, others can read it, a wrong passphrase, or no Ed25519 key.
    """
    from edgefas.deploy.keys import read_private_key

    return read_private_key(path, lambda: passphrase_of(path, passphrase_file))


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
