"""The bundle (`*.efas`): everything a board needs to decide, in one file.

Layout: `MAGIC`, a key id (16 bytes, zero = unsigned), an Ed25519 signature (64 bytes, over every following byte), then
a stored zip with `manifest.json`, `policy.json`, the engine files under `ort/` and `tensorrt/`, the float network and
its scales under `source/`, golden vectors and the model card. Equal contents give equal bytes, signed ones too.

The signature is checked before the zip is opened. The reader then still trusts nothing: it bounds sizes and counts
before it reads a member, and checks each against the manifest.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import stat
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Annotated, Literal

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import Field

from edgefas.contracts import Contract, InputSpec, Policy
from edgefas.deploy.keys import ID_BYTES, key_id
from edgefas.deploy.requires import Requirements
from edgefas.deploy.trust import Trust, TrustError, load_trust
from edgefas.engines.runtime import Engine, load_engine
from edgefas.engines.runtime.tensorrt_engine import load_tensorrt_if_built, lowered_hashes
from edgefas.errors import EdgefasError
from edgefas.files import read_at_most, write_atomically

MAGIC = b"EFAS\x00\x01"
UNSIGNED = bytes(ID_BYTES) + bytes(64)
HEADER_BYTES = len(MAGIC) + len(UNSIGNED)
MAX_BYTES = 512 * 2**20
MAX_MEMBERS = 64
MEMBER_NAME = re.compile(r"[a-z0-9_]+([-./][a-z0-9_]+)*")
"""Lower case, no empty or dotted parts: no absolute path and no way up."""
EPOCH = (1980, 1, 1, 0, 0, 0)

Standing = Literal["signed", "unsigned"]


class BundleError(EdgefasError):
    """A bundle is damaged, malformed, or not trusted."""


class Member(Contract):
    """One file of the bundle."""

    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    size: int = Field(ge=0, le=MAX_BYTES)


class Manifest(Contract):
    """What the bundle holds and where it comes from; written last, read first."""

    schema_version: Literal[1] = 1
    name: str = Field(min_length=1, max_length=80)
    model: str
    release: int = Field(ge=1)
    input_spec: InputSpec
    trained_on: str = Field(description="the data; printed wherever the model's numbers appear")
    warning: str | None = Field(None, description="shown by `edgefas live` before the first decision")
    metrics: dict[str, float] = Field(default_factory=dict)
    requires: Requirements = Field(Requirements(), description="of the board")
    members: Annotated[dict[str, Member], Field(max_length=MAX_MEMBERS)]


@dataclass(frozen=True)
class Bundle:
    """An opened bundle, every member checked against the manifest."""

    manifest: Manifest
    policy: Policy
    trust: Standing
    signer: str | None
    """The name under which this machine trusts the key; None: unsigned."""
    signer_id: str | None
    sha256: str
    members: dict[str, bytes]

    @property
    def network_sha256(self) -> str:
        """What the scores come from: the same in every bundle of this network, whatever its policy or signature."""
        return network_digest({n.removeprefix("ort/"): c for n, c in self.members.items() if n.startswith("ort/")})

    def unpack(self, folder: Path, *starts: str) -> None:
        """Write the members whose names start so; names are checked: there is no way up."""
        for name, content in self.members.items():
            if name.startswith(starts):
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / name).write_bytes(content)

    def engine(self, threads: int = 0, engines: Path | None = None) -> Engine:
        """Load the TensorRT engine that was built from this bundle on this board, else ONNX Runtime's.

        Args:
            threads: of one run of ONNX Runtime.
            engines: where `edgefas build` put engines; None looks for none.

        Raises:
            EngineError: the files are no network of this manifest's InputSpec, or a plan was changed.
        """
        with tempfile.TemporaryDirectory(prefix="edgefas-") as work:
            self.unpack(Path(work), "ort/", "tensorrt/")
            built = None if engines is None else load_tensorrt_if_built(engines, lowered_hashes(Path(work)))
            engine = built or load_engine(Path(work, "ort"), threads=threads)
        if engine.spec != self.manifest.input_spec:
            raise BundleError("the engine's InputSpec is not the manifest's; make the bundle again")
        return engine


def write_bundle(path: Path, manifest: Manifest, members: dict[str, bytes]) -> str:
    """Write an unsigned bundle atomically; gives the sha256 of the file.

    Args:
        manifest: its `members` are replaced by those of `members`.
        members: name to content, without `manifest.json`; must hold `policy.json`.
    """
    table = {name: Member(sha256=_sha256(content), size=len(content)) for name, content in sorted(members.items())}
    manifest = manifest.model_copy(update={"members": table})
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, content in [("manifest.json", manifest.to_json(indent=1).encode()), *sorted(members.items())]:
            entry = zipfile.ZipInfo(name, EPOCH)
            entry.external_attr = (stat.S_IFREG | 0o644) << 16
            archive.writestr(entry, content)
    read_archive(buffer.getvalue())  # what cannot be opened is not written
    data = MAGIC + UNSIGNED + buffer.getvalue()
    write_atomically(path, data)
    return _sha256(data)


def sign_bundle(path: Path, out: Path, key: Ed25519PrivateKey) -> str:
    """Write a bundle with a signature, in place of one it may have; gives the sha256 of the new file.

    Raises:
        BundleError: `path` is damaged or malformed: what cannot be opened is not signed.
    """
    data = _read(path)
    try:
        read_archive(_split(data)[2])
    except BundleError as error:
        raise BundleError(f"{path}: {error}") from None
    signed = MAGIC + key_id(key.public_key()) + key.sign(data[HEADER_BYTES:]) + data[HEADER_BYTES:]
    write_atomically(out, signed)
    return _sha256(signed)


def open_bundle(path: Path, *, allow_unsigned: bool = False, trust: Trust | None = None) -> Bundle:
    """Open a bundle file.

    A signed one is opened if its signature is that of a trusted key; an unsigned one only if its hash is pinned in this
    package, or when asked for.

    Args:
        trust: whose signature counts; None takes the keys of this machine.

    Raises:
        BundleError: missing, damaged, malformed or not trusted.
        KeyFileError: the keys of this machine cannot be read.
    """
    data = _read(path)
    digest = _sha256(data)
    try:
        signer, signature, archive = _split(data)
        name = None
        if signer is not None:
            name = (load_trust() if trust is None else trust).verify(signer, signature, archive)
        elif digest not in pinned() and not allow_unsigned:
            raise BundleError(
                f"it is not signed and its hash {digest[:12]}… is not pinned in this package; sign it with: edgefas "
                "bundle sign, or, if you made it yourself, run again with --allow-unsigned"
            )
        manifest, members = read_archive(archive)
        policy = Policy.from_json(members["policy.json"])
    except (BundleError, TrustError) as error:
        raise BundleError(f"{path}: {error}") from None
    signer_id = None if signer is None else signer.hex()
    return Bundle(manifest, policy, "unsigned" if name is None else "signed", name, signer_id, digest, members)


def read_archive(archive: bytes) -> tuple[Manifest, dict[str, bytes]]:
    """Parse the zip of a bundle; every member is bounded, and equal to what the manifest says.

    Raises:
        BundleError: anything else than that.
        ContractError: the manifest breaks its contract.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(archive)) as opened:
            contents = _read_members(opened)
    # zipfile on damaged bytes: NotImplementedError of an unknown compression, RuntimeError of an encrypted member,
    # OverflowError and ValueError of impossible offsets; each is damage, and nothing else runs in the block
    except (zipfile.BadZipFile, EOFError, ValueError, NotImplementedError, OverflowError, RuntimeError) as error:
        raise BundleError(f"damaged archive ({error})") from None
    if "manifest.json" not in contents:
        raise BundleError("manifest.json is missing")
    manifest = Manifest.from_json(contents.pop("manifest.json"))
    if set(contents) != set(manifest.members) or "policy.json" not in contents:
        odd = sorted(set(contents) ^ (set(manifest.members) | {"policy.json"}))
        raise BundleError(f"members and manifest differ: {', '.join(odd)}")
    for name, content in contents.items():
        if Member(sha256=_sha256(content), size=len(content)) != manifest.members[name]:
            raise BundleError(f"{name} is not what the manifest says: the bundle is damaged or was changed")
    return manifest, contents


def network_digest(files: Mapping[str, bytes]) -> str:
    """Of the files that ONNX Runtime loads, by name: what a calibration belongs to."""
    digest = hashlib.sha256()
    for name, content in sorted(files.items()):
        digest.update(f"{name}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


def pinned() -> frozenset[str]:
    """Hashes of the unsigned bundles that this package ships."""
    text = resources.files("edgefas.demo").joinpath("pinned.json").read_text()
    return frozenset(json.loads(text).values())


def _read(path: Path) -> bytes:
    try:
        return read_at_most(path, MAX_BYTES)
    except OSError as error:
        raise BundleError(
            f"cannot read the bundle {path}: {error.strerror}; make one with: edgefas bundle create"
        ) from None


def _split(data: bytes) -> tuple[bytes | None, bytes, bytes]:
    """Key id (None: unsigned), signature, and the zip, which nobody has looked at."""
    if data[: len(MAGIC)] != MAGIC or len(data) < HEADER_BYTES:
        raise BundleError("not an edgefas bundle (its first bytes are wrong)")
    header, archive = data[len(MAGIC) : HEADER_BYTES], data[HEADER_BYTES:]
    if header == UNSIGNED:
        return None, b"", archive
    return header[:ID_BYTES], header[ID_BYTES:], archive


def _read_members(archive: zipfile.ZipFile) -> dict[str, bytes]:
    """All members, after their count, names, kinds and sizes are seen to be sane."""
    entries = archive.infolist()
    names = [entry.filename for entry in entries]
    if len(entries) > MAX_MEMBERS or len(set(names)) != len(names):
        raise BundleError(f"it has {len(entries)} members (at most {MAX_MEMBERS}), {len(set(names))} of distinct name")
    for entry in entries:
        if not MEMBER_NAME.fullmatch(entry.filename):
            raise BundleError(f"member name {entry.filename!r} is not allowed")
        if entry.compress_type != zipfile.ZIP_STORED or entry.file_size != entry.compress_size:
            raise BundleError(f"{entry.filename} is compressed; members are stored")
        if not stat.S_ISREG(entry.external_attr >> 16):
            raise BundleError(f"{entry.filename} is not a regular file")
    if sum(entry.file_size for entry in entries) > MAX_BYTES:
        raise BundleError(f"its members exceed {MAX_BYTES} bytes")
    return {entry.filename: archive.read(entry) for entry in entries}


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
