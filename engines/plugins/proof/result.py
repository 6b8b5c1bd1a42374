"""What a proof leaves behind, and whether it still speaks of the sources as they are."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

PLUGINS = Path(__file__).parent.parent
RESULT = "benchmarks/results/plugin-proof.json"
HASHED = (
    ("kernels", (".cu", ".cuh", ".h")),
    ("tensorrt", (".cu", ".cpp", ".h", ".map", ".txt")),
    ("proof", (".cpp", ".h")),
)
"""Folders and endings of the sources a proof depends on."""
PLANTED = "proof/planted.py"


@dataclass(frozen=True)
class Failure:
    step: str
    check: str


@dataclass(frozen=True)
class Run:
    """One library in one runtime."""

    processor: str
    headers: str
    """Version of the headers the library was compiled with."""
    runtime: str
    """Version of the lean runtime."""
    steps: dict[str, int]
    """Step -> checks that held."""
    failures: tuple[Failure, ...]


def source_hashes(plugins: Path = PLUGINS) -> dict[str, str]:
    """Path below engines/plugins -> SHA-256 of kernels, plugins, driver and planted bugs."""
    files = [plugins / PLANTED]
    for folder, endings in HASHED:
        files += [file for file in (plugins / folder).glob("*") if file.suffix in endings]
    return {
        file.relative_to(plugins).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted(files)
    }
