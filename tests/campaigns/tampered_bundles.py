"""Tampered bundles through `open_model`, as `edgefas live` opens them: each is refused before its archive is opened.

    python -m tests.campaigns.tampered_bundles --count 20000 -o tests/campaigns/results/tampered_bundles.json

A case is a number: it draws what is done to a bundle that a trusted key has signed. Whatever it is, the answer must be
a short error, and `zipfile` must not have been asked for anything.
"""

from __future__ import annotations

import io
import os
import stat
import tempfile
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated
from unittest import mock

import numpy as np
import typer
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from rich.progress import track

from edgefas.deploy import bundle as bundle_module
from edgefas.deploy.bundle import HEADER_BYTES, MAGIC, UNSIGNED, sign_bundle
from edgefas.deploy.keys import ID_BYTES, key_id, make_key, public_pem, read_private_key
from edgefas.deploy.trust import FOLDER_VARIABLE, revoke_key
from edgefas.errors import EdgefasError
from edgefas.live.model import open_model
from tests.campaigns.report import finish
from tests.deploy.signed import no_passphrase, signed_bundle

Rng = np.random.Generator
ID = slice(len(MAGIC), len(MAGIC) + ID_BYTES)
SIGNATURE = slice(len(MAGIC) + ID_BYTES, HEADER_BYTES)
REGIONS = {"magic": (0, len(MAGIC)), "key id": (ID.start, ID.stop), "signature": (SIGNATURE.start, SIGNATURE.stop)}


@dataclass(frozen=True)
class Outcome:
    """What one case gave; `problem` is None when it was refused in time."""

    case: int
    kind: str
    problem: str | None


@dataclass(frozen=True)
class Given:
    """What an attacker may have at hand: the bundle, a later one of the same key, and keys that do not count."""

    data: bytes
    later: bytes
    foreign: Ed25519PrivateKey
    revoked: Ed25519PrivateKey

    @property
    def archive(self) -> bytes:
        """Unsigned part of the bundle."""
        return self.data[HEADER_BYTES:]


def flipped(given: Given, rng: Rng) -> bytes:
    """Some bytes of one region changed."""
    content = bytearray(given.data)
    low, high = list({**REGIONS, "archive": (HEADER_BYTES, len(content))}.values())[int(rng.integers(4))]
    for place in rng.integers(low, high, int(rng.integers(1, 9))):
        content[place] ^= int(rng.integers(1, 256))
    return bytes(content)


def cut(given: Given, rng: Rng) -> bytes:
    """The end is missing."""
    return given.data[: int(rng.integers(len(given.data)))]


def extended(given: Given, rng: Rng) -> bytes:
    """Bytes before the archive, or after it, where zip readers do not mind them."""
    extra = rng.bytes(int(rng.integers(1, 200)))
    return given.data + extra if rng.integers(2) else given.data[:HEADER_BYTES] + extra + given.archive


def reordered(given: Given, rng: Rng) -> bytes:
    """Two stretches of the archive have changed places."""
    a, b, c, d = np.sort(rng.choice(np.arange(HEADER_BYTES, len(given.data) + 1), 4, replace=False))
    data = given.data
    return data[:a] + data[c:d] + data[b:c] + data[a:b] + data[d:]


def rebuilt(given: Given, rng: Rng) -> bytes:
    """A well-formed archive with something wrong in it, under the old header."""
    return given.data[:HEADER_BYTES] + _odd_archive(given.archive, rng)


def foreign(given: Given, rng: Rng) -> bytes:
    """Well signed, by a key that nobody here trusts."""
    return _signed(given.foreign, _either(given, rng))


def revoked(given: Given, rng: Rng) -> bytes:
    """Well signed, by a key that is trusted and revoked."""
    return _signed(given.revoked, _either(given, rng))


def borrowed_id(given: Given, rng: Rng) -> bytes:
    """A foreign signature under the id of the trusted key."""
    archive = _either(given, rng)
    return MAGIC + given.data[ID] + given.foreign.sign(archive) + archive


def borrowed_signature(given: Given, rng: Rng) -> bytes:
    """The header of another bundle of the same key."""
    pair = [given.data, given.later]
    one, other = pair if rng.integers(2) else pair[::-1]
    return one[:HEADER_BYTES] + other[HEADER_BYTES:]


def stripped(given: Given, rng: Rng) -> bytes:
    """The signature taken away."""
    return MAGIC + UNSIGNED + _either(given, rng)


KINDS: tuple[Callable[[Given, Rng], bytes], ...] = (
    flipped, cut, extended, reordered, rebuilt, foreign, revoked, borrowed_id, borrowed_signature, stripped,
)  # fmt: skip


class Opened(Exception):
    """The archive was looked at."""


def run_campaign(first: int, count: int) -> Iterator[Outcome]:
    """Cases `first` to `first + count - 1`."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        given = _given(folder)
        with (
            mock.patch.dict(os.environ, {FOLDER_VARIABLE: str(folder / "trust")}),
            mock.patch.object(bundle_module.zipfile, "ZipFile", side_effect=Opened),
        ):
            for case in range(first, first + count):
                yield run_case(case, given, folder / "case.efas")


def run_case(case: int, given: Given, path: Path) -> Outcome:
    """Tamper, open, judge."""
    rng = np.random.default_rng([151, case])
    tamper = KINDS[case % len(KINDS)]
    data = tamper(given, rng)
    path.write_bytes(data)
    return Outcome(
        case, tamper.__name__, _problem(path, allow_unsigned=tamper is not stripped and bool(rng.integers(2)))
    )


def _problem(path: Path, *, allow_unsigned: bool) -> str | None:
    try:
        open_model(path, allow_unsigned=allow_unsigned).engine.close()
    except EdgefasError as error:
        return None if 10 < len(str(error)) < 500 else f"no good error: {error}"
    except Opened:
        return "the archive was opened"
    except Exception as error:  # whatever it is, it is found
        return f"{type(error).__name__}: {error}"
    return "accepted"


def _given(folder: Path) -> Given:
    signed = signed_bundle(folder)
    data = signed.bundle.read_bytes()
    key = read_private_key(signed.key, no_passphrase)
    later = folder / "later.efas"
    later.write_bytes(MAGIC + UNSIGNED + _with(data[HEADER_BYTES:], "model_card.md", b"later", known=True))
    sign_bundle(later, later, key)
    make_key(folder / "old")
    old = read_private_key(folder / "old", no_passphrase)
    (signed.trust / "old.pub").write_bytes(public_pem(old.public_key()))
    revoke_key(key_id(old.public_key()), "laptop stolen", signed.trust)
    return Given(data, later.read_bytes(), Ed25519PrivateKey.generate(), old)


def _signed(key: Ed25519PrivateKey, archive: bytes) -> bytes:
    return MAGIC + key_id(key.public_key()) + key.sign(archive) + archive


def _either(given: Given, rng: Rng) -> bytes:
    return given.archive if rng.integers(2) else _odd_archive(given.archive, rng)


def _odd_archive(archive: bytes, rng: Rng) -> bytes:
    """Members swapped, or one more: a way up, absolute, a link, twice, compressed."""
    kind = int(rng.integers(6))
    if kind == 0:
        return _swapped(archive)
    name = ["", "../up", "/etc/passwd", "link", "policy.json", "zeros"][kind]
    mode = stat.S_IFLNK | 0o777 if name == "link" else stat.S_IFREG | 0o644
    method = zipfile.ZIP_DEFLATED if name == "zeros" else zipfile.ZIP_STORED
    return _with(archive, name, bytes(int(rng.integers(1, 500))), mode, method)


_ZipFile = zipfile.ZipFile  # kept from before it is watched


def _swapped(archive: bytes) -> bytes:
    buffer = io.BytesIO()
    with _ZipFile(io.BytesIO(archive)) as old, _ZipFile(buffer, "w") as new:
        contents = {entry.filename: old.read(entry) for entry in old.infolist()}
        exchanged = {"policy.json": "ort/model.onnx", "ort/model.onnx": "policy.json"}
        for entry in old.infolist():
            new.writestr(entry.filename, contents[exchanged.get(entry.filename, entry.filename)])
    return buffer.getvalue()


def _with(
    archive: bytes,
    name: str,
    content: bytes,
    mode: int = stat.S_IFREG | 0o644,
    method: int = zipfile.ZIP_STORED,
    *,
    known: bool = False,
) -> bytes:
    """One more member; `known`: in the manifest, too."""
    if known:
        manifest, members = bundle_module.read_archive(archive)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "x.efas")
            bundle_module.write_bundle(path, manifest, {**members, name: content})
            return path.read_bytes()[HEADER_BYTES:]
    buffer = io.BytesIO(archive)
    with _ZipFile(buffer, "a") as opened:
        entry = zipfile.ZipInfo(name)
        entry.external_attr, entry.compress_type = mode << 16, method
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a name that is there already
            opened.writestr(entry, content)
    return buffer.getvalue()


def main(
    count: Annotated[int, typer.Option(min=1)] = 20000,
    first: Annotated[int, typer.Option(min=0)] = 0,
    out: Annotated[Path | None, typer.Option("-o", "--out")] = None,
) -> None:
    """Run the campaign; exits 1 if a case failed."""
    outcomes = list(track(run_campaign(first, count), "bundles", count))
    failed = [vars(outcome) for outcome in outcomes if outcome.problem]
    kinds = dict(sorted(Counter(outcome.kind for outcome in outcomes).items()))
    finish("tampered_bundles", out, failed, cases=count, by_kind=kinds)


if __name__ == "__main__":
    typer.run(main)
