"""What a controller has put on a board, signed: a file per board that `edgefas fleet status` compares boards with.

The file holds the record as a text, and the signature over that text by one of the keys that sign bundles. Who changes
a board behind the office's back cannot change what the office remembers.
"""

from __future__ import annotations

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import Field

from edgefas.contracts import Contract, ContractError
from edgefas.deploy.keys import key_id
from edgefas.deploy.trust import Trust, TrustError
from edgefas.errors import EdgefasError
from edgefas.files import FileWriteError, read_at_most, write_atomically

CONTEXT = b"edgefas record 1\n"
"""Signed before the text: a signature of a bundle is none of a record."""
MAX_BYTES = 65_536


class RecordError(EdgefasError):
    """A record is missing, damaged, or signed by nobody who counts."""


class Record(Contract):
    """One board, after a flash."""

    board: str = Field(description="its name in the inventory")
    host: str
    port: int = Field(ge=1, le=65535)
    host_key: str = Field(description="fingerprint of the SSH key it showed")
    outcome: str = Field(description="of the flash: installed, already, rolled back")
    release: str | None = Field(description="name and number of what is in service; None: nothing")
    bundle_sha256: str | None = Field(None, pattern="^[0-9a-f]{64}$")
    on_trial: bool = False
    recorded_at: str = Field(description="by the controller's clock, UTC")


class SignedRecord(Contract):
    """The file."""

    text: str = Field(max_length=MAX_BYTES, description="a Record as JSON; what is signed")
    signer: str = Field(pattern="^[0-9a-f]{32}$")
    signature: str = Field(pattern="^[0-9a-f]{128}$")


def write_record(folder: Path, record: Record, key: Ed25519PrivateKey) -> None:
    """Put the newest record of a board into the folder, which is made if need be."""
    text = record.to_json()
    signature = key.sign(CONTEXT + text.encode()).hex()
    signed = SignedRecord(text=text, signer=key_id(key.public_key()).hex(), signature=signature)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileWriteError(f"cannot make {folder}: {error.strerror}; choose another --records") from None
    write_atomically(_file_of(folder, record.board), signed.to_json(indent=1).encode() + b"\n")


def read_record(folder: Path, board: str, trust: Trust) -> Record | None:
    """The newest record of a board; None if there is none.

    Raises:
        RecordError: damaged, of another board, or not signed by a key that is trusted here.
    """
    path = _file_of(folder, board)
    try:
        signed = SignedRecord.from_json(read_at_most(path, MAX_BYTES))
        trust.verify(bytes.fromhex(signed.signer), bytes.fromhex(signed.signature), CONTEXT + signed.text.encode())
        record = Record.from_json(signed.text)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise RecordError(f"cannot read {path}: {error.strerror}") from None
    except (ContractError, TrustError) as error:
        raise RecordError(f"{path} is no record that counts: {error}") from None
    if record.board != board:
        raise RecordError(f"{path} is the record of {record.board}")
    return record


def _file_of(folder: Path, board: str) -> Path:
    return folder / f"{board.replace(':', '_')}.json"
