"""Signed bundles: only what a trusted key has signed is opened, and nothing is looked at before."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from edgefas.deploy import bundle as bundle_module
from edgefas.deploy.bundle import HEADER_BYTES, MAGIC, UNSIGNED, BundleError, open_bundle, sign_bundle
from edgefas.deploy.keys import KeyFileError, make_key, read_private_key
from edgefas.deploy.trust import Trust, load_trust, revoke_key, trust_key
from tests.bundles import write_small_bundle
from tests.deploy.signed import Signed, no_passphrase, signed_bundle


@pytest.fixture
def signed(tmp_path: Path) -> Signed:
    return signed_bundle(tmp_path)


@pytest.fixture
def unopened(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looking into the archive fails the test."""

    def opened(*_: object) -> None:
        raise AssertionError("the archive was opened")

    monkeypatch.setattr(bundle_module, "read_archive", opened)


def test_a_trusted_signature_opens(signed: Signed) -> None:
    opened = open_bundle(signed.bundle, trust=load_trust([signed.trust]))
    assert (opened.trust, opened.signer) == ("signed", "office")


def test_the_machines_keys_are_the_default(signed: Signed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEFAS_TRUST", str(signed.trust))
    assert open_bundle(signed.bundle).signer == "office"
    monkeypatch.setenv("EDGEFAS_TRUST", str(signed.trust / "none"))
    with pytest.raises(BundleError, match="edgefas keys trust"):
        open_bundle(signed.bundle)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl: apt install openssl")
def test_openssl_accepts_the_signature(signed: Signed, tmp_path: Path) -> None:
    data = signed.bundle.read_bytes()
    (tmp_path / "sig").write_bytes(data[len(MAGIC) + 16 : HEADER_BYTES])
    (tmp_path / "zip").write_bytes(data[HEADER_BYTES:])
    command = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", f"{signed.key}.pub", "-rawin"]
    command += ["-sigfile", str(tmp_path / "sig"), "-in", str(tmp_path / "zip")]
    assert "Verified Successfully" in subprocess.run(command, capture_output=True, text=True, check=True).stdout
    (tmp_path / "zip").write_bytes(data[HEADER_BYTES:] + b"\0")
    assert subprocess.run(command, capture_output=True, check=False).returncode != 0


def test_equal_inputs_give_equal_signed_bytes(signed: Signed, tmp_path: Path) -> None:
    again = write_small_bundle(tmp_path / "again.efas")
    sign_bundle(again, again, read_private_key(signed.key, no_passphrase))
    assert again.read_bytes() == signed.bundle.read_bytes()


def test_a_changed_archive_is_not_opened(signed: Signed, unopened: None) -> None:
    data = bytearray(signed.bundle.read_bytes())
    data[-1] ^= 1
    signed.bundle.write_bytes(data)
    with pytest.raises(BundleError, match="not that of key office"):
        open_bundle(signed.bundle, trust=load_trust([signed.trust]), allow_unsigned=True)


def test_a_foreign_key_is_not_opened_whatever_is_allowed(signed: Signed, tmp_path: Path) -> None:
    make_key(tmp_path / "foreign")
    sign_bundle(signed.bundle, signed.bundle, read_private_key(tmp_path / "foreign", no_passphrase))
    with pytest.raises(BundleError, match="does not trust"):
        open_bundle(signed.bundle, trust=load_trust([signed.trust]), allow_unsigned=True)


def test_a_foreign_signature_under_a_trusted_id_is_not_opened(signed: Signed, tmp_path: Path, unopened: None) -> None:
    make_key(tmp_path / "foreign")
    data = signed.bundle.read_bytes()
    forged = read_private_key(tmp_path / "foreign", no_passphrase).sign(data[HEADER_BYTES:])
    signed.bundle.write_bytes(data[: len(MAGIC) + 16] + forged + data[HEADER_BYTES:])
    with pytest.raises(BundleError, match="not that of key office"):
        open_bundle(signed.bundle, trust=load_trust([signed.trust]))


def test_a_revoked_key_is_not_opened(signed: Signed, unopened: None) -> None:
    revoke_key(load_trust([signed.trust]).keys.__iter__().__next__(), "laptop stolen", signed.trust)
    with pytest.raises(BundleError, match="laptop stolen"):
        open_bundle(signed.bundle, trust=load_trust([signed.trust]), allow_unsigned=True)


def test_a_stripped_signature_makes_it_unsigned(signed: Signed, unopened: None) -> None:
    data = signed.bundle.read_bytes()
    signed.bundle.write_bytes(MAGIC + UNSIGNED + data[HEADER_BYTES:])
    with pytest.raises(BundleError, match="not signed"):
        open_bundle(signed.bundle, trust=load_trust([signed.trust]))


def test_the_zero_id_is_no_key(signed: Signed, unopened: None) -> None:
    """A zero id with anything but a zero signature is neither unsigned nor signed."""
    data = bytearray(signed.bundle.read_bytes())
    data[len(MAGIC) : len(MAGIC) + 16] = bytes(16)
    signed.bundle.write_bytes(data)
    with pytest.raises(BundleError, match="does not trust"):
        open_bundle(signed.bundle, trust=load_trust([signed.trust]), allow_unsigned=True)


def test_what_cannot_be_opened_is_not_signed(signed: Signed) -> None:
    data = signed.bundle.read_bytes()[:-30]
    signed.bundle.write_bytes(data)
    with pytest.raises(BundleError, match="damaged archive"):
        sign_bundle(signed.bundle, signed.bundle, read_private_key(signed.key, no_passphrase))
    assert signed.bundle.read_bytes() == data


def test_without_any_key_nothing_signed_is_opened(signed: Signed, unopened: None) -> None:
    with pytest.raises(BundleError, match="does not trust"):
        open_bundle(signed.bundle, trust=Trust())


def test_keys_of_another_user_count_for_nothing(signed: Signed, monkeypatch: pytest.MonkeyPatch) -> None:
    if os.geteuid() == 0:
        os.chown(signed.trust / "office.pub", 12345, -1)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: 12345)
    with pytest.raises(KeyFileError, match="others than you and root"):
        load_trust([signed.trust])


def test_a_key_may_be_trusted_under_two_names(signed: Signed) -> None:
    trust_key(Path(f"{signed.key}.pub"), signed.trust, "again")
    assert open_bundle(signed.bundle, trust=load_trust([signed.trust])).signer in ("office", "again")
