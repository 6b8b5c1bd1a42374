"""Signed records of boards: what counts, and what a board that was changed behind them shows."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edgefas.deploy.fleet import BoardStatus, against_records
from edgefas.deploy.keys import key_id
from edgefas.deploy.records import Record, RecordError, read_record, write_record
from edgefas.deploy.trust import Trust

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
TRUST = Trust({key_id(KEY.public_key()): ("office", KEY.public_key())})
SHA = "ab" * 32


def record(**changes: object) -> Record:
    fields = {
        "board": "door-1",
        "host": "10.0.0.11",
        "port": 22,
        "host_key": "SHA256:x",
        "outcome": "installed",
        "release": "door 3",
        "bundle_sha256": SHA,
        "recorded_at": "2026-01-02T03:04:05+00:00",
    }
    return Record.from_dict({**fields, **changes})


def test_a_record_comes_back(tmp_path: Path) -> None:
    write_record(tmp_path / "new", record(), KEY)
    assert read_record(tmp_path / "new", "door-1", TRUST) == record()
    assert read_record(tmp_path / "new", "door-2", TRUST) is None
    write_record(tmp_path / "new", record(board="you@[::1]:22"), KEY)
    assert read_record(tmp_path / "new", "you@[::1]:22", TRUST) is not None


def test_a_changed_record_counts_for_nothing(tmp_path: Path) -> None:
    write_record(tmp_path, record(), KEY)
    path = tmp_path / "door-1.json"
    whole = json.loads(path.read_text())
    for changes in (
        {"text": whole["text"].replace("door 3", "door 4")},
        {"signature": whole["signature"][:-2] + "00"},
        {"signer": "00" * 16},
        {"more": 1},
        {"signature": "x"},
    ):
        path.write_text(json.dumps(whole | changes))
        with pytest.raises(RecordError, match=r"door-1\.json is no record that counts"):
            read_record(tmp_path, "door-1", TRUST)
    path.write_text(json.dumps(whole))
    with pytest.raises(RecordError, match="does not trust"):
        read_record(tmp_path, "door-1", Trust())
    with pytest.raises(RecordError, match="revoked"):
        read_record(tmp_path, "door-1", Trust(TRUST.keys, dict.fromkeys(TRUST.keys, "lost")))
    path.rename(tmp_path / "door-2.json")
    with pytest.raises(RecordError, match="record of door-1"):
        read_record(tmp_path, "door-2", TRUST)


def test_the_signature_of_the_bare_text_is_none(tmp_path: Path) -> None:
    write_record(tmp_path, record(), KEY)
    path = tmp_path / "door-1.json"
    whole = json.loads(path.read_text())
    path.write_text(json.dumps(whole | {"signature": KEY.sign(whole["text"].encode()).hex()}))
    with pytest.raises(RecordError):
        read_record(tmp_path, "door-1", TRUST)


def test_a_board_changed_behind_its_record_is_drift(tmp_path: Path) -> None:
    for name in ("same", "other", "gone"):
        write_record(tmp_path, record(board=name), KEY)
    found = [
        BoardStatus("same", bundle_sha256=SHA),
        BoardStatus("other", bundle_sha256="cd" * 32, drift="release door 2"),
        BoardStatus("new", bundle_sha256=SHA),
        BoardStatus("gone", problem="no route"),
    ]
    drifts = [status.drift for status in against_records(found, tmp_path, TRUST)]
    assert drifts == ["", "release door 2, recorded: door 3 on 2026-01-02", "no record", ""]
