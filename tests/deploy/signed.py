"""A signed bundle and the machine that trusts its key."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgefas.deploy.bundle import sign_bundle
from edgefas.deploy.keys import make_key, read_private_key
from edgefas.deploy.trust import trust_key
from tests.bundles import write_small_bundle


@dataclass(frozen=True)
class Signed:
    """`bundle` is signed with `key`, whose public half lies in the trust folder `trust` as "office"."""

    bundle: Path
    key: Path
    trust: Path


def no_passphrase() -> bytes:
    """For keys that need none."""
    raise AssertionError("asked for a passphrase")


def signed_bundle(folder: Path) -> Signed:
    """Make all of it in `folder`."""
    found = Signed(folder / "small.efas", folder / "office", folder / "trust")
    make_key(found.key)
    trust_key(folder / "office.pub", found.trust, "office")
    write_small_bundle(found.bundle)
    sign_bundle(found.bundle, found.bundle, read_private_key(found.key, no_passphrase))
    return found
