"""The data sets edgefas reads, by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from edgefas.data import (
    casia_fasd,
    casia_surf,
    cefa,
    celeba_spoof,
    folder,
    hq_wmca,
    msu_mfsd,
    oulu_npu,
    wmca,
)
from edgefas.data.table import SampleTable
from edgefas.errors import UsageError


@dataclass(frozen=True)
class DatasetFormat:
    """A data set and how it is read."""

    title: str
    protocols: tuple[str, ...]
    """The first is the default."""
    read: Callable[[Path, str], SampleTable]
    others: str = ""
    """Where further protocols come from; "": there are none."""


DATASETS = {
    casia_surf.NAME: DatasetFormat("CASIA-SURF", casia_surf.PROTOCOLS, casia_surf.read),
    cefa.NAME: DatasetFormat("CASIA-SURF CeFA", cefa.PROTOCOLS, cefa.read),
    wmca.NAME: DatasetFormat("WMCA", wmca.PROTOCOLS, wmca.read),
    hq_wmca.NAME: DatasetFormat("HQ-WMCA, exported", hq_wmca.PROTOCOLS, hq_wmca.read, "any PROTOCOL.csv of the export"),
    celeba_spoof.NAME: DatasetFormat(
        "CelebA-Spoof", celeba_spoof.PROTOCOLS, celeba_spoof.read, "any folder of metas/ with train and test labels"
    ),
    msu_mfsd.NAME: DatasetFormat("MSU-MFSD", msu_mfsd.PROTOCOLS, msu_mfsd.read),
    casia_fasd.NAME: DatasetFormat("CASIA-FASD", casia_fasd.PROTOCOLS, casia_fasd.read),
    oulu_npu.NAME: DatasetFormat("OULU-NPU", oulu_npu.PROTOCOLS, oulu_npu.read),
    folder.NAME: DatasetFormat("own captures", folder.PROTOCOLS, folder.read, "any PROTOCOL.csv"),
}


def open_dataset(name: str, root: Path, protocol: str | None = None) -> SampleTable:
    """Read the lists of a protocol; no picture is opened.

    Args:
        name: of `DATASETS`.
        root: the folder of the data set.
        protocol: None: its first.

    Raises:
        UsageError: no such data set or protocol.
        DataError: a list is missing, or not what its format says; names file and line.
    """
    if name not in DATASETS:
        raise UsageError(f"no data set {name!r}; {_hint(name, tuple(DATASETS))}; see: edgefas data list")
    known = DATASETS[name]
    wanted = known.protocols[0] if protocol is None else protocol
    if name == wmca.NAME and wanted.startswith("p2@"):
        raise UsageError(
            f"{wanted} is refused: its train and dev lists are the same, and its test has the bona fide of train; "
            f"use {', '.join(known.protocols[1:])}"
        )
    if wanted not in known.protocols and (not known.others or not _is_name(wanted)):
        others = f", or {known.others}" if known.others else ""
        raise UsageError(f"{name} has no protocol {wanted!r}; {_hint(wanted, known.protocols)}{others}")
    return known.read(root, wanted)


def _is_name(text: str) -> bool:
    """A part of a file's name, not a path out of the folder."""
    return bool(text) and len(text) < 200 and text.isprintable() and not set(text) & set("/\\") and text[0] != "."


def _hint(word: str, known: tuple[str, ...]) -> str:
    close = get_close_matches(word, known, 1)
    return f"did you mean {close[0]!r}?" if close else f"allowed: {', '.join(known)}"
