"""The bundle (`*.efas`): everything a board needs to decide, in one file.

Layout: `MAGIC`, a key id (16 bytes, zero = unsigned), an Ed25519 signature (64 bytes, over every following byte), then
a stored zip with `manifest.json`, `policy.json`, the engine files under `ort/`, golden vectors and the model card.
Equal contents give equal bytes. The reader trusts nothing: it bounds sizes and counts before it reads a member, and
checks each against the manifest.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import stat
import tempfile
import zipfile
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from edgefas.contracts import Contract, InputSpec, Policy
from edgefas.engines.runtime import Engine, load_engine
from edgefas.engines.runtime.tensorrt_engine import load_tensorrt_if_built, lowered_hashes
from edgefas.errors import EdgefasError
from edgefas.files import write_atomically

MAGIC = b"EFAS\x00\x01"
UNSIGNED = bytes(16) + bytes(64)
HEADER_BYTES = len(MAGIC) + len(UNSIGNED)
MAX_BYTES = 512 * 2**20
MAX_MEMBERS = 64
MEMBER_NAME = re.compile(r"[a-z0-9_]+([-./][a-z0-9_]+)*")
"""Lower case, no empty or dotted parts: no absolute path and no way up."""
EPOCH = (1980, 1, 1, 0, 0, 0)

Trust = Literal["signed", "unsigned"]


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
    members: Annotated[dict[str, Member], Field(max_length=MAX_MEMBERS)]


@dataclass(frozen=True)
class Bundle:
    """An opened bundle, every member checked against the manifest."""

    manifest: Manifest
    policy: Policy
    trust: Trust
    sha256: str
    members: dict[str, bytes]

    def engine(self, threads: int = 0, engines: Path | None = None) -> Engine:
        """Load the TensorRT engine that was built from this bundle on this board, else ONNX Runtime's.

        Args:
            threads: of one run of ONNX Runtime.
            engines: where `edgefas build` put engines; None looks for none.

        Raises:
            EngineError: the files are no network of this manifest's InputSpec, or a plan was changed.
        """
        with tempfile.TemporaryDirectory(prefix="edgefas-") as work:
            for name, content in self.members.items():
                if name.startswith(("ort/", "tensorrt/")):
                    Path(work, name).parent.mkdir(parents=True, exist_ok=True)
                    Path(work, name).write_bytes(content)
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
    data = MAGIC + UNSIGNED + buffer.getvalue()
    read_bundle(data)  # what cannot be opened is not written
    write_atomically(path, data)
    return _sha256(data)


def open_bundle(path: Path, *, allow_unsigned: bool = False) -> Bundle:
    """Open a bundle file.

    An unsigned one is opened only if its hash is pinned in this package, or when asked for.

    Raises:
        BundleError: missing, damaged, malformed or not trusted.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise BundleError(f"{path} has {path.stat().st_size} bytes, at most {MAX_BYTES} are allowed")
        data = path.read_bytes()
    except OSError as error:
        raise BundleError(f"cannot read the bundle {path}: {error.strerror}") from None
    digest = _sha256(data)
    if digest not in pinned() and not allow_unsigned:
        raise BundleError(
            f"{path} is not signed and its hash {digest[:12]}… is not pinned in this package; "
            "if you made it yourself, run again with --allow-unsigned"
        )
    try:
        manifest, members = read_bundle(data)
        return Bundle(manifest, Policy.from_json(members["policy.json"]), "unsigned", digest, members)
    except BundleError as error:
        raise BundleError(f"{path}: {error}") from None


def read_bundle(data: bytes) -> tuple[Manifest, dict[str, bytes]]:
    """Parse a bundle's bytes; every member is bounded, and equal to what the manifest says.

    Raises:
        BundleError: anything else than that.
        ContractError: the manifest breaks its contract.
    """
    if data[: len(MAGIC)] != MAGIC or len(data) < HEADER_BYTES:
        raise BundleError("not an edgefas bundle (its first bytes are wrong)")
    if data[len(MAGIC) : HEADER_BYTES] != UNSIGNED:
        raise BundleError("it is signed, and this version of edgefas cannot check signatures; nothing was opened")
    try:
        with zipfile.ZipFile(io.BytesIO(data[HEADER_BYTES:])) as archive:
            contents = _read_members(archive)
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


def pinned() -> frozenset[str]:
    """Hashes of the unsigned bundles that this package ships."""
    text = resources.files("edgefas.demo").joinpath("pinned.json").read_text()
    return frozenset(json.loads(text).values())


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
