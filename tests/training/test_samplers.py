"""Which samples an epoch draws: by epoch alone, every process its own, classes even where that is asked."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.utils.data import DistributedSampler

from edgefas.errors import EdgefasError
from edgefas.training.samples import EpochSampler
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
    assert torch.initial_seed() is not None
