"""What a calibration was made of, as hashes."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path

_VIDEO_OPTIONS = re.compile("(,(role|fov)=[^,]*)+$")


def source_sha256(source: str) -> str:
    """Of a file; of the names and bytes of a folder's files; of the text and version of a simulated camera."""
    kind, _, rest = source.partition(":")
    digest = hashlib.sha256()
    path = Path({"dir": rest, "video": _VIDEO_OPTIONS.sub("", rest)}.get(kind, source))
    if kind == "simulated":
        from edgefas.sensors.simulator import SIMULATOR_VERSION

        digest.update(f"{SIMULATOR_VERSION} {source}".encode())
    elif path.is_dir():
        for file in sorted(p for p in path.rglob("*") if p.is_file()):
            digest.update(f"{file.relative_to(path)}\0{file.stat().st_size}\0".encode())
            digest.update(file.read_bytes())
    elif path.is_file():
        with path.open("rb") as stream:
            for block in iter(lambda: stream.read(2**20), b""):
                digest.update(block)
    return digest.hexdigest()


def data_sha256(digests: Iterable[str]) -> str:
    """Of several sources, in whatever order and under whatever names: `sha256sum FILES | cut -c-64 | sort | sha256sum`.

    Args:
        digests: of each source, in hexadecimal.
    """
    return hashlib.sha256("".join(f"{digest}\n" for digest in sorted(digests)).encode()).hexdigest()
