"""Samples of a data set, read when a batch asks for them: nothing is kept, so a set may be larger than any disk."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgefas.contracts import InputSpec
from edgefas.data import DATASETS, Kind, SampleTable, Split, open_dataset, require_sound
from edgefas.data.inputs import Encoder, encoder
from edgefas.data.lists import PICTURES
from edgefas.data.sample import BONA_FIDE
from edgefas.data.synth import NOTE
from edgefas.errors import CheckFailed, UsageError
from edgefas.training.recipe import DatasetData

F32 = npt.NDArray[np.float32]


class EncodedSamples:
    """The moments of one split, each a row; those of a clip follow each other."""

    def __init__(self, table: SampleTable, split: Split, moments: int) -> None:
        """Raises: DataError: there is no such split."""
        self._table, self._rows = table, np.repeat(table.rows(split), moments)
        self._moments = moments
        self.species = np.array([table.pai(int(row)) for row in self._rows])
        """(N,) `BONA_FIDE` or the attack's species."""

    def __len__(self) -> int:
        return len(self._rows)

    def read(self, rows: Sequence[int], spec: InputSpec) -> list[tuple[int, dict[str, F32]]]:
        """Rows with their inputs, (C, H, W) float32 by modality; those without a face are left out.

        Raises:
            DataError: a picture cannot be read.
        """
        encode = encoder(self._table, spec, self._moments)
        found: list[tuple[int, dict[str, F32]]] = []
        wanted: dict[int, set[int]] = {}
        for row in rows:
            wanted.setdefault(int(self._rows[row]), set()).add(row % self._moments)
        clips: dict[int, list[dict[str, F32] | None]] = {}
        for row in rows:
            clip = int(self._rows[row])
            if clip not in clips:
                clips[clip] = self._moments_of(encode, clip, wanted[clip])
            moments = clips[clip]
            inputs = moments[row % self._moments % len(moments)]
            if inputs is not None:
                found.append((row, {name: value[0] for name, value in inputs.items()}))
        return found

    def _moments_of(self, encode: Encoder, clip: int, wanted: set[int]) -> list[dict[str, F32] | None]:
        """A picture among clips is its own only moment, and so may a clip have fewer than are asked of it."""
        moments = encode(self._table[clip], wanted)
        return moments if len(moments) == self._moments else encode(self._table[clip])


def dataset_splits(data: DatasetData, spec: InputSpec) -> dict[str, EncodedSamples]:
    """`train`, and `validation` from the data set's dev split.

    Raises:
        UsageError: no folder, no such data set, or a modality that it lacks.
        DataError: a list is wrong.
        CheckFailed: the splits leak into each other, or one of them has one class only.
    """
    if not data.root:
        raise UsageError(f"where is {data.dataset}? say it on the command line: data.root=FOLDER")
    table = open_dataset(data.dataset, Path(data.root), data.protocol)
    require_sound(table, allowed(data))
    encoder(table, spec, data.moments)  # refuses a network of other modalities before anything is read
    splits = {"train": Split.TRAIN, "validation": Split.DEV}
    samples = {name: EncodedSamples(table, split, _moments(table, data)) for name, split in splits.items()}
    for name, split in splits.items():
        alive = samples[name].species == BONA_FIDE
        if alive.all() or not alive.any():
            what = "bona fide presentations" if alive.all() else "attacks"
            raise CheckFailed(
                f"split {split.value} of {data.dataset} {table.protocol} has {what} only, training needs both classes; "
                f"see: edgefas data check {data.root} --dataset {data.dataset}"
            )
    return samples


def title_of(data: DatasetData) -> str:
    """What figures on it are figures of; of a simulated set it is said."""
    name = f"{data.dataset} {data.protocol or DATASETS[data.dataset].protocols[0]}"
    try:
        layout = json.loads((Path(data.root) / NOTE).read_bytes())["layout"]
    except (OSError, ValueError, KeyError, TypeError):
        return name
    return f"simulated set {layout}, read as {name}: no person was photographed"


def _moments(table: SampleTable, data: DatasetData) -> int:
    """Of pictures one; whether a set has clips, its first sample tells."""
    path = next(iter(table[0].paths.values()))
    return 1 if path.suffix.lower() in PICTURES else data.moments


def allowed(data: DatasetData) -> set[Kind]:
    """The kinds of leaks that a recipe lets pass.

    Raises:
        UsageError: there is no such kind.
    """
    try:
        return {Kind(word) for word in data.allow}
    except ValueError as error:
        raise UsageError(f"allow: {error}; expected of {', '.join(kind.value for kind in Kind)}") from None
