"""One presentation, as every data set tells it: who, where, before what, what it is, and the files that show it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from edgefas.contracts import Label
from edgefas.errors import EdgefasError

BONA_FIDE = Label.BONA_FIDE.value
"""The `pai` of who presents nothing but a face."""
UNKNOWN = "unknown"
"""The `pai` of an attack whose species no list tells."""


class DataError(EdgefasError):
    """A list, a name or a file of a data set is not what its format says."""


class Split(str, Enum):
    """What a sample may be used for; the operating threshold comes from `DEV`, never from `TEST`."""

    TRAIN = "train"
    DEV = "dev"
    TEST = "test"


@dataclass(frozen=True)
class Facts:
    """What a name, a path or a list says of a presentation; "" where it says nothing."""

    subject: str = ""
    session: str = ""
    device: str = ""
    pai: str = ""
    """Presentation attack instrument (ISO/IEC 30107-3), or `BONA_FIDE`."""
    upside_down: bool = False
    """The data set's authors say that the pictures stand on their head."""

    @property
    def label(self) -> Label | None:
        """What `pai` says; None where it says nothing."""
        if not self.pai:
            return None
        return Label.BONA_FIDE if self.pai == BONA_FIDE else Label.ATTACK


@dataclass(frozen=True)
class Sample:
    """A picture of each modality, or a clip of them; `edgefas.data.load` reads it."""

    id: str
    """Its first path below the data set's folder: unique within a protocol."""
    subject: str
    """"" where the lists do not tell; so are `session` and `device`."""
    session: str
    device: str
    label: Label
    pai: str
    """Species of the attack, `BONA_FIDE`, or `UNKNOWN`."""
    split: Split
    paths: Mapping[str, Path]
    """By modality (rgb, ir, depth, thermal; ir_lit and ir_unlit of own captures): a picture, a folder of pictures, a
    video or an HDF5 file."""
    upside_down: bool = False
