"""Whose signature counts on this machine: public keys in a folder, and a list of the keys that count no more.

A trust folder holds `NAME.pub` files and, once a key was revoked, `revoked.txt`. Both folders count: the system's
(`/etc/edgefas/trust`, for boards) and the user's own. A key that either revokes is revoked.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from edgefas.deploy.keys import ID_BYTES, KeyFileError, key_id, public_pem, read_public_key
from edgefas.errors import EdgefasError, UsageError
from edgefas.files import FileWriteError, read_at_most, write_atomically

FOLDER_VARIABLE = "EDGEFAS_TRUST"
"""Environment: this folder instead of the two."""
SYSTEM_FOLDER = Path("/etc/edgefas/trust")
REVOKED_FILE = "revoked.txt"
MAX_REVOKED_BYTES = 2**20
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
_LINE = re.compile(rf"([0-9a-f]{{{2 * ID_BYTES}}})(?:\s+(.*))?")


class TrustError(EdgefasError):
    """A signature does not count here."""


@dataclass(frozen=True)
class Trust:
    """Keys by id, and ids that count no more with the reason why."""

    keys: Mapping[bytes, tuple[str, Ed25519PublicKey]] = field(default_factory=dict)
    revoked: Mapping[bytes, str] = field(default_factory=dict)

    def verify(self, signer: bytes, signature: bytes, data: bytes) -> str:
        """The name of the key that signed `data`.

        Raises:
            TrustError: the key is revoked or unknown, or the signature is not its.
        """
        if signer in self.revoked:
            raise TrustError(
                f"signed with the revoked key {signer.hex()} ({self.revoked[signer] or 'no reason given'})"
            )
        if signer not in self.keys:
            raise TrustError(
                f"signed with the key {signer.hex()}, which this machine does not trust; if you do, give its public "
                "half to: edgefas keys trust NAME.pub"
            )
        name, key = self.keys[signer]
        try:
            key.verify(signature, data)
        except InvalidSignature:
            raise TrustError(f"the signature is not that of key {name}: it is damaged or was changed") from None
        return name


def user_folder() -> Path:
    """The trust folder of this user."""
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "edgefas" / "trust"


def trust_folders() -> tuple[Path, ...]:
    """Where keys are looked for."""
    chosen = os.environ.get(FOLDER_VARIABLE)
    return (Path(chosen),) if chosen else (SYSTEM_FOLDER, user_folder())


def load_trust(folders: Sequence[Path] | None = None) -> Trust:
    """All keys of the folders; none at all is no error, but then no signature counts.

    Raises:
        KeyFileError: a key or list is damaged, or others than its owner and root may write it: then nothing counts.
    """
    keys: dict[bytes, tuple[str, Ed25519PublicKey]] = {}
    revoked: dict[bytes, str] = {}
    for folder in trust_folders() if folders is None else folders:
        if not folder.is_dir():
            continue
        _refuse_writable(folder)
        for path in sorted(folder.glob("*.pub")):
            _refuse_writable(path)
            key = read_public_key(path)
            keys.setdefault(key_id(key), (path.stem, key))
        revoked |= read_revoked(folder)
    return Trust(keys, revoked)


def read_revoked(folder: Path) -> dict[bytes, str]:
    """Ids and reasons of a folder's list: a line each, the id in hex, then the reason; `#` begins a comment line.

    Raises:
        KeyFileError: a line is neither: a list that is not understood must not count as an empty one.
    """
    path = folder / REVOKED_FILE
    try:
        if not path.exists():
            return {}
        _refuse_writable(path)
        text = read_at_most(path, MAX_REVOKED_BYTES).decode()
    except OSError as error:
        raise KeyFileError(f"cannot read {path}: {error.strerror}; no signature counts until it can be") from None
    except UnicodeDecodeError:
        raise KeyFileError(f"{path} is no text; no signature counts until it is mended") from None
    found = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        parts = _LINE.fullmatch(line.strip())
        if parts is None:
            raise KeyFileError(
                f"{path} line {number}: {line[:80]!r} is no key id of {2 * ID_BYTES} hex digits with a reason after it"
            )
        found[bytes.fromhex(parts[1])] = parts[2] or ""
    return found


def trust_key(public: Path, folder: Path, name: str) -> bytes:
    """Put a public key into a trust folder, which is made if need be; gives the key's id.

    Raises:
        UsageError: the name is taken by another key, or has characters a file name should not have.
        KeyFileError: no public key.
    """
    if not NAME.fullmatch(name):
        raise UsageError(f"key name {name!r}: letters, digits and . _ @ - are allowed, at most 64, no leading dot")
    key = read_public_key(public)
    path = folder / f"{name}.pub"
    _make_folder(folder)
    if path.exists() and key_id(read_public_key(path)) != key_id(key):
        raise UsageError(f"{path} holds another key; choose another name with --name, or remove that file")
    write_atomically(path, public_pem(key))
    return key_id(key)


def revoke_key(signer: bytes, why: str, folder: Path) -> None:
    """Add a key to a folder's list; what it has signed counts no more, whenever it signed it."""
    _make_folder(folder)
    listed = read_revoked(folder) | {signer: " ".join(why.split())}
    lines = [
        "# Keys whose signatures count no more: id, reason.",
        *(f"{key.hex()} {why}" for key, why in listed.items()),
    ]
    write_atomically(folder / REVOKED_FILE, ("\n".join(line.rstrip() for line in lines) + "\n").encode())


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileWriteError(f"cannot make {folder}: {error.strerror}; with --system this needs root: sudo") from None


def _refuse_writable(path: Path) -> None:
    """As sshd does: what others may write is nobody's word."""
    try:
        found = path.stat()
    except OSError as error:
        raise KeyFileError(f"cannot read {path}: {error.strerror}") from None
    if found.st_uid not in (0, os.geteuid()) or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise KeyFileError(
            f"{path} can be written by others than you and root, so no signature counts; "
            f"chmod go-w {path}, and make it yours or root's"
        )
