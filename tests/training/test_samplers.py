"""Which samples an epoch draws: by epoch alone, every process its own, classes even where that is asked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from torch.utils.data import DistributedSampler

from edgefas.contracts import InputSpec, Modality
from edgefas.errors import EdgefasError
from edgefas.models.registry import default_input_spec
from edgefas.training.samples import TRIES, EpochSampler, _Inputs, sound
from tests.training.test_interruptions import tiny

RARE = np.array([1.0] * 7 + [0.0] * 93, np.float32)


def rows(sampler: EpochSampler, epoch: int, step: int = 0) -> list[list[int]]:
    sampler.begin(epoch, step)
    return list(sampler)


@pytest.mark.parametrize("ranks", [1, 3])
def test_shuffled_is_torchs_own_order(ranks: int) -> None:
    recipe = tiny(batch_size=4)
    for rank in range(ranks):
        theirs = DistributedSampler(RARE, ranks, rank, shuffle=True, seed=recipe.seed, drop_last=True)
        theirs.set_epoch(5)
        wanted = list(theirs)
        found = rows(EpochSampler(RARE, recipe, ranks, rank), 5)
        assert [row for batch in found for row in batch] == wanted[: len(wanted) // 4 * 4]


@pytest.mark.parametrize("kind", ["shuffled", "balanced"])
def test_an_epoch_goes_on_from_any_step(kind: str) -> None:
    sampler = EpochSampler(RARE, tiny(batch_size=8, sampler=kind), 1, 0)
    whole = rows(sampler, 2)
    assert len(whole) == len(sampler) == 12
    assert rows(sampler, 2, 5) == whole[5:]
    assert rows(sampler, 3) != whole


@pytest.mark.parametrize("ranks", [1, 2])
def test_balanced_batches_hold_as_many_of_either_class(ranks: int) -> None:
    recipe = tiny(batch_size=8, sampler="balanced")
    drawn = []
    for rank in range(ranks):
        for batch in rows(EpochSampler(RARE, recipe, ranks, rank), 0):
            assert RARE[batch].sum() == 4
            drawn += batch
    alive = [row for row in drawn if RARE[row]]
    assert set(alive) == set(range(7))
    assert max(np.bincount(alive)) - min(np.bincount(alive)[:7]) <= 1
    attacks = [row for row in drawn if not RARE[row]]
    assert len(set(attacks)) == len(attacks)


def test_too_few_samples_and_one_class_are_named() -> None:
    with pytest.raises(EdgefasError, match="make no batch of 8 on 20 processes"):
        EpochSampler(RARE, tiny(batch_size=8), 20, 0)
    with pytest.raises(EdgefasError, match="one is missing"):
        rows(EpochSampler(np.zeros(50, np.float32), tiny(batch_size=8, sampler="balanced"), 1, 0), 0)


SPEC = default_input_spec(Modality.DEPTH, size_px=16)


class Faces:
    """In every fifth sample there is a face, whose depth is its number."""

    species = np.array(["bona_fide", "flat_print"] * 50)

    def __init__(self, every: int = 5) -> None:
        self.every = every

    def __len__(self) -> int:
        return 100

    def read(self, rows: Sequence[int], spec: InputSpec) -> list[tuple[int, dict[str, np.ndarray]]]:
        return [(row, {"depth": np.full((1, 2, 2), row, np.float32)}) for row in rows if row % self.every == 0]


def test_samples_without_a_face_are_left_out_of_their_batch() -> None:
    batch = _Inputs(Faces(), SPEC).__getitems__([0, 1, 2, 5, 6])
    assert isinstance(batch, dict)
    assert batch["depth"][:, 0, 0, 0].tolist() == [0, 5]
    assert batch["bona_fide"].tolist() == [1, 0]


@pytest.mark.parametrize("rows", [[1, 2, 3, 4, 6, 7, 8, 9], [5, 1, 2, 3, 4, 6, 7, 8]])
def test_others_take_the_place_of_a_batch_without_faces(rows: list[int]) -> None:
    """Fewer than two are too few for batch norm; the same every time, as a resumed run needs it."""
    inputs = _Inputs(Faces(), SPEC)
    first, again = inputs.__getitems__(rows), inputs.__getitems__(rows)
    assert isinstance(first, dict)
    assert isinstance(again, dict)
    numbers = first["depth"][:, 0, 0, 0]
    assert len(numbers) >= 2
    assert (numbers % 5 == 0).all()
    assert first["bona_fide"].tolist() == [float(number % 2 == 0) for number in numbers]
    assert again["depth"].equal(first["depth"])


def test_a_set_without_faces_is_told() -> None:
    found = _Inputs(Faces(every=1000), SPEC).__getitems__([1, 2, 3])
    with pytest.raises(EdgefasError, match=f"in {TRIES} batches of 3 samples no two faces were found"):
        list(sound(iter([found])))


def test_a_reader_that_was_ended_is_told() -> None:
    def batches() -> Iterator[Any]:
        raise RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed.")
        yield

    with pytest.raises(EdgefasError, match="ended from outside, maybe for want of memory; try --workers 1"):
        list(sound(batches()))
