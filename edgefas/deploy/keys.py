"""Ed25519 keys that sign what a board runs.

A private key is a PEM file (PKCS 8) that only its owner can read, under a passphrase if one was given; its public half
is a PEM file beside it, with `.pub` added. A key's id is the first 16 bytes of the SHA-256 of its 32 raw bytes.
"""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from edgefas.errors import EdgefasError, UsageError
from edgefas.files import FileWriteError, read_at_most, write_atomically

ID_BYTES = 16
MAX_KEY_BYTES = 4096
"""A PEM file of one Ed25519 key has about 300."""


class KeyFileError(EdgefasError):
    """A key file is missing, damaged, open to others, or holds another kind of key."""


def make_key(path: Path, passphrase: bytes | None = None) -> bytes:
    """Write a new key to `path`, for its owner alone, and its public half to `path` + ".pub"; gives its id.

    Raises:
        UsageError: there is such a file already: a key is never overwritten.
        FileWriteError: no such folder, no permission, no space.
    """
    public_path = public_path_of(path)
    for existing in (path, public_path):
        if existing.exists():
            raise UsageError(f"{existing} exists already, and a key is never overwritten; choose another name")
    key = Ed25519PrivateKey.generate()
    cipher = serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, cipher)
    write_atomically(public_path, public_pem(key.public_key()))
    try:
        _write_secret(path, pem)
    except OSError as error:
        public_path.unlink(missing_ok=True)
        raise FileWriteError(f"cannot write {path}: {error.strerror}; choose another place") from error
    return key_id(key.public_key())


def read_private_key(path: Path, passphrase: Callable[[], bytes]) -> Ed25519PrivateKey:
    """Read a private key.

    Args:
        passphrase: asked for only if the file needs one.

    Raises:
        KeyFileError: missing, others can read it, a wrong passphrase, or no Ed25519 key.
    """
    data = _read(path)
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        raise KeyFileError(f"{path}: others can read or write this private key (mode {mode:o}); chmod 600 {path}")
    try:
        try:
            key = serialization.load_pem_private_key(data, password=None)
        except TypeError:  # it is encrypted
            key = serialization.load_pem_private_key(data, password=passphrase())
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise KeyFileError(
            f"{path}: wrong passphrase, or no PEM file of a private key; make one with: edgefas keys new"
        ) from None
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyFileError(f"{path} holds another kind of key; Ed25519 is wanted: edgefas keys new")
    return key


def read_public_key(path: Path) -> Ed25519PublicKey:
    """Read a public key.

    Raises:
        KeyFileError: missing, or no Ed25519 key.
    """
    data = _read(path)
    if b"PRIVATE KEY" in data:
        raise KeyFileError(f"{path} is a private key; its public half is wanted here: {public_path_of(path)}")
    try:
        key = serialization.load_pem_public_key(data)
    except (ValueError, UnsupportedAlgorithm):
        raise KeyFileError(f"{path} is no PEM file of a public key; edgefas keys new writes one, NAME.pub") from None
    if not isinstance(key, Ed25519PublicKey):
        raise KeyFileError(f"{path} holds another kind of key; Ed25519 is wanted: edgefas keys new")
    return key


def public_pem(key: Ed25519PublicKey) -> bytes:
    """As it is written to a file."""
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def key_id(key: Ed25519PublicKey) -> bytes:
    """16 bytes that name the key in bundles and revocation lists."""
    raw = key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return hashlib.sha256(raw).digest()[:ID_BYTES]


def public_path_of(path: Path) -> Path:
    """Where the public half of a private key's file lies."""
    return path.with_name(path.name + ".pub")


def _read(path: Path) -> bytes:
    try:
        return read_at_most(path, MAX_KEY_BYTES)
    except OSError as error:
        raise KeyFileError(f"cannot read the key {path}: {error.strerror}; make one with: edgefas keys new") from None


def _write_secret(path: Path, data: bytes) -> None:
    """Whole or not at all, never over another file, never readable by others; also not for a moment."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mode 0600
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.link(temporary, path)
    finally:
        os.unlink(temporary)
