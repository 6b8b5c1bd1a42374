"""A secret of this user on this machine, with which it recognises the plans it built itself.

A plan is native code in effect: whoever can put one where it is loaded runs what he likes. A hash in a file beside the
plan says that the two belong together, not who wrote them; with this key in it, a plan copied from elsewhere together
with its manifest is foreign. It does not protect from somebody who can read the key or replace edgefas itself.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from pathlib import Path

from edgefas.engines.runtime.engine import EngineError

STATE_DIR = "EDGEFAS_STATE_DIR"
"""The environment variable that says where the key lies, for services without a home."""
KEY_BYTES = 32


def state_dir() -> Path:
    """Where edgefas keeps what is this machine's alone."""
    given = os.environ.get(STATE_DIR)
    if given:
        return Path(given)
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "edgefas"


def stamp(data: bytes, *, make_key: bool = False) -> str:
    """HMAC-SHA256 of `data` under the machine's key, in hexadecimal; "" where there is no key.

    Raises:
        EngineError: others can read the key, it is damaged, or it cannot be made.
    """
    key = _key(make_key)
    return hmac.new(key, data, hashlib.sha256).hexdigest() if key else ""


def _key(make: bool) -> bytes | None:
    path = state_dir() / "plan.key"
    try:
        if make and not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            _create(path)
        mode = path.stat().st_mode
        key = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise EngineError(f"cannot use {path}: {error.strerror}; name another folder with {STATE_DIR}=FOLDER") from None
    if mode & 0o077:
        raise EngineError(f"{path} can be read by others (mode {mode & 0o777:o}); remove it and run: edgefas build")
    if len(key) != KEY_BYTES:
        raise EngineError(f"{path} is damaged ({len(key)} bytes, not {KEY_BYTES}); remove it and run: edgefas build")
    return key


def _create(path: Path) -> None:
    """Complete under another name, then linked: two builds at once agree on one key, and nobody reads half of it."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(secrets.token_bytes(KEY_BYTES))
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(temporary, path)
        except FileExistsError:
            return  # the other build was first
    finally:
        temporary.unlink()
