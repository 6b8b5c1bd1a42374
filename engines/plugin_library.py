"""The plugin library of this device: compiled once per version of its sources, and recognised as ours."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from edgefas.contracts import Contract, ContractError
from edgefas.engines.runtime.machine_key import stamp
from edgefas.engines.runtime.plan import Device, FileName, Sha256
from edgefas.files import write_atomically

SOURCE_SUFFIXES = frozenset({".cu", ".cuh", ".cpp", ".h", ".hpp", ".txt", ".cmake"})
SOURCES = Path(__file__).parent / "plugins"

MakePlugins = Callable[[Path, "Path | None", tuple[str, ...]], Path]
"""(folder, folder of NvInfer.h or None, compute capabilities without dot) -> the library."""


class LibraryRecord(Contract):
    """Lies beside the library; under the machine's stamp, since the library is native code."""

    device: Device
    sources_sha256: Sha256
    library: FileName
    sha256: Sha256
    stamp: str = ""

    def unstamped(self) -> bytes:
        """What the stamp is of."""
        return self.model_copy(update={"stamp": ""}).to_json().encode()


@dataclass(frozen=True)
class Library:
    """A compiled library."""

    path: Path
    sha256: str


def plugin_library(folder: Path, device: Device, make: MakePlugins | None = None) -> Library:
    """The library in `folder`, compiled if it is not there yet (about a minute on a board).

    Args:
        make: compiles; None takes the packaged sources.

    Raises:
        PluginBuildError: a compiler or headers are missing; the text names the packages.
    """
    sources = _sources_sha256()
    key = hashlib.sha256(device.to_json().encode() + sources.encode()).hexdigest()[:16]
    record_path = folder / f"plugins-{key}.json"
    known = known_library(record_path)
    if known is not None:
        return known
    if make is None:
        make = import_module("edgefas.engines.plugins.build").build_plugins  # only now: most builds need no compiler
    with tempfile.TemporaryDirectory(prefix="edgefas-") as work:
        data = make(Path(work), None, (device.compute_capability.replace(".", ""),)).read_bytes()
    sha256 = hashlib.sha256(data).hexdigest()
    library = f"libedgefas_plugins-{sha256[:16]}.so"
    write_atomically(folder / library, data)
    record = LibraryRecord(device=device, sources_sha256=sources, library=library, sha256=sha256)
    record = record.model_copy(update={"stamp": stamp(record.unstamped(), make_key=True)})
    write_atomically(record_path, record.to_json(indent=1).encode())
    return Library(folder / library, sha256)


def known_library(record_path: Path) -> Library | None:
    """The recorded library, if this machine made it and nobody touched it since; else it is compiled again."""
    try:
        record = LibraryRecord.from_json(record_path.read_bytes())
        data = (record_path.parent / record.library).read_bytes()
    except (OSError, ContractError):
        return None
    ours = record.stamp and record.stamp == stamp(record.unstamped())
    if not ours or hashlib.sha256(data).hexdigest() != record.sha256:
        return None
    return Library(record_path.parent / record.library, record.sha256)


def _sources_sha256() -> str:
    digest = hashlib.sha256()
    for path in sorted(SOURCES.rglob("*")):
        if path.suffix in SOURCE_SUFFIXES and path.is_file():
            digest.update(path.relative_to(SOURCES).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()
