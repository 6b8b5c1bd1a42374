"""Modalities that no list names: their folders lie beside that of colour."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from edgefas.data.table import SampleTable


def with_siblings(table: SampleTable, last: str, siblings: Mapping[str, str]) -> SampleTable:
    """`table` with more modalities, in folders called so in place of `last`, the name of colour's."""
    color = table.paths["rgb"]
    more = {name: color.in_folders(lambda path, to=to: _sibling(path, last, to)) for name, to in siblings.items()}  # type: ignore[misc]
    return replace(table, paths={**table.paths, **more})


def _sibling(folder: str, last: str, other: str) -> str:
    parent, _, name = folder.rpartition("/")
    if name != last:
        return folder
    return f"{parent}/{other}" if parent else other
