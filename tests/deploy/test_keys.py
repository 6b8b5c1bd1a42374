"""Key files and trust folders: nobody else may read or write them, and what is damaged counts for nothing."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from edgefas.deploy.keys import (
    KeyFileError,
    key_id,
    make_key,
    public_pem,
    read_private_key,
    read_public_key,
)
from edgefas.deploy.trust import TrustError, load_trust, read_revoked, revoke_key, trust_key
from edgefas.errors import EdgefasError, UsageError


def no_passphrase() -> bytes:
    raise AssertionError("asked for a passphrase")


def test_a_pair_signs_and_verifies(tmp_path: Path) -> None:
    made = make_key(tmp_path / "k")
    private, public = read_private_key(tmp_path / "k", no_passphrase), read_public_key(tmp_path / "k.pub")
    public.verify(private.sign(b"text"), b"text")
    assert key_id(public) == made
    assert sorted(path.name for path in tmp_path.iterdir()) == ["k", "k.pub"]


def test_the_id_is_that_of_rfc_8032s_first_key(tmp_path: Path) -> None:
    """RFC 8032, 7.1, test 1: secret and public key; the id is the start of the SHA-256 of the latter, by sha256sum."""
    secret = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
    key = Ed25519PrivateKey.from_private_bytes(secret).public_key()
    (tmp_path / "k.pub").write_bytes(public_pem(key))
    raw = key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    assert raw.hex() == "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
    assert key_id(read_public_key(tmp_path / "k.pub")).hex() == "21fe31dfa154a261626bf854046fd227"


def test_a_private_key_is_its_owners_alone(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        make_key(tmp_path / "k")
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "k").stat().st_mode) == 0o600
    (tmp_path / "k").chmod(0o640)
    with pytest.raises(KeyFileError, match="chmod 600"):
        read_private_key(tmp_path / "k", no_passphrase)


def test_a_passphrase_is_needed_and_must_be_right(tmp_path: Path) -> None:
    make_key(tmp_path / "k", b"open sesame")
    assert b"ENCRYPTED" in (tmp_path / "k").read_bytes()
    assert key_id(read_private_key(tmp_path / "k", lambda: b"open sesame").public_key()) == key_id(
        read_public_key(tmp_path / "k.pub")
    )
    with pytest.raises(KeyFileError, match="wrong passphrase"):
        read_private_key(tmp_path / "k", lambda: b"open says me")


@pytest.mark.parametrize("existing", ["k", "k.pub"])
def test_no_key_is_overwritten(tmp_path: Path, existing: str) -> None:
    (tmp_path / existing).write_text("precious")
    with pytest.raises(UsageError, match="never overwritten"):
        make_key(tmp_path / "k")
    assert [path.name for path in tmp_path.iterdir()] == [existing]
    assert (tmp_path / existing).read_text() == "precious"


def test_what_is_no_ed25519_key_is_refused(tmp_path: Path) -> None:
    other = ec.generate_private_key(ec.SECP256R1())
    pem = other.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (tmp_path / "ec").write_bytes(pem)
    (tmp_path / "ec").chmod(0o600)
    (tmp_path / "ec.pub").write_bytes(
        other.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    with pytest.raises(KeyFileError, match="another kind"):
        read_private_key(tmp_path / "ec", no_passphrase)
    with pytest.raises(KeyFileError, match="another kind"):
        read_public_key(tmp_path / "ec.pub")
    with pytest.raises(KeyFileError, match=r"public half is wanted here: .*ec\.pub"):
        read_public_key(tmp_path / "ec")
    (tmp_path / "large.pub").write_bytes(b"x" * 10_000)
    with pytest.raises(KeyFileError, match="4096"):
        read_public_key(tmp_path / "large.pub")


@given(text=st.binary(max_size=300))
def test_any_bytes_for_a_key_give_a_short_error(tmp_path_factory: pytest.TempPathFactory, text: bytes) -> None:
    path = tmp_path_factory.mktemp("k") / "k.pub"
    path.write_bytes(b"-----BEGIN PUBLIC KEY-----\n" + text)
    with pytest.raises(KeyFileError):
        read_public_key(path)


def test_trusted_revoked_unknown(tmp_path: Path) -> None:
    folder = tmp_path / "trust"
    mine, other = (make_key(tmp_path / name) for name in ("mine", "other"))
    signature = read_private_key(tmp_path / "mine", no_passphrase).sign(b"text")
    assert trust_key(tmp_path / "mine.pub", folder, "office") == mine
    trust = load_trust([folder])
    assert trust.verify(mine, signature, b"text") == "office"
    with pytest.raises(TrustError, match="not that of key office"):
        trust.verify(mine, signature, b"texT")
    with pytest.raises(TrustError, match="does not trust"):
        trust.verify(other, signature, b"text")
    revoke_key(mine, "laptop\nstolen", folder)
    revoke_key(other, "", folder)
    with pytest.raises(TrustError, match="laptop stolen"):
        load_trust([folder]).verify(mine, signature, b"text")
    assert set(read_revoked(folder)) == {mine, other}


def test_either_folder_revokes(tmp_path: Path) -> None:
    mine = make_key(tmp_path / "mine")
    trust_key(tmp_path / "mine.pub", tmp_path / "user", "mine")
    revoke_key(mine, "gone", tmp_path / "system")
    for folders in ([tmp_path / "system", tmp_path / "user"], [tmp_path / "user", tmp_path / "system"]):
        with pytest.raises(TrustError, match="revoked"):
            load_trust(folders).verify(mine, bytes(64), b"")


def test_a_name_is_not_taken_from_another_key(tmp_path: Path) -> None:
    for name in ("a", "b"):
        make_key(tmp_path / name)
    trust_key(tmp_path / "a.pub", tmp_path / "trust", "office")
    trust_key(tmp_path / "a.pub", tmp_path / "trust", "office")
    with pytest.raises(UsageError, match="another key"):
        trust_key(tmp_path / "b.pub", tmp_path / "trust", "office")
    for bad in ("../up", "", ".hidden", "a b", "a/b", "x" * 65):
        with pytest.raises(UsageError, match="letters"):
            trust_key(tmp_path / "b.pub", tmp_path / "trust", bad)


@pytest.mark.parametrize("what", ["", "mine.pub", "revoked.txt"])
def test_what_others_may_write_counts_for_nothing(tmp_path: Path, what: str) -> None:
    mine = make_key(tmp_path / "mine")
    folder = tmp_path / "trust"
    trust_key(tmp_path / "mine.pub", folder, "mine")
    revoke_key(bytes(16), "nobody", folder)
    load_trust([folder]).verify(mine, read_private_key(tmp_path / "mine", no_passphrase).sign(b""), b"")
    (folder / what).chmod(0o777)
    with pytest.raises(KeyFileError, match="chmod go-w"):
        load_trust([folder])


@pytest.mark.parametrize("line", ["abc why", "00112233445566778899aabbccddeef why", "revoked", "\x00", "0" * 33])
def test_a_list_that_is_not_understood_counts_as_no_empty_one(tmp_path: Path, line: str) -> None:
    (tmp_path / "revoked.txt").write_text(f"# fine\n\n{'0' * 32}\n{line}\n")
    with pytest.raises(KeyFileError, match="line 4"):
        load_trust([tmp_path])


def test_no_folder_trusts_nobody(tmp_path: Path) -> None:
    with pytest.raises(EdgefasError, match="does not trust"):
        load_trust([tmp_path / "none"]).verify(bytes(16), bytes(64), b"")
