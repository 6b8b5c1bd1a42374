"""Samples as batches: what training and validation read, wherever it comes from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, Sampler

from edgefas.contracts import InputSpec, Label
from edgefas.errors import EdgefasError
from edgefas.processes import DeafContext
from edgefas.training.augment import Batch
from edgefas.training.diagnose import require_finite_scores
from edgefas.training.encoded import dataset_splits
from edgefas.training.progress import Report
from edgefas.training.recipe import Data, DatasetData, Recipe
from edgefas.training.simulated import samples_for

LEAST_FACES, TRIES = 2, 8


class TrainingSamples(Protocol):
    """What training needs of samples."""

    @property
    def species(self) -> npt.NDArray[np.str_]:
        """(N,) `Label.BONA_FIDE.value`, or the attack's species."""

    def __len__(self) -> int:
        """N."""

    def read(self, rows: Sequence[int], spec: InputSpec) -> list[tuple[int, dict[str, npt.NDArray[np.float32]]]]:
        """Rows with their inputs, (C, H, W) float32 by modality; rows without a face are left out."""


def splits_of(recipe: Recipe, spec: InputSpec, cache: Path, report: Report) -> Mapping[str, TrainingSamples]:
    """`train` and `validation`; simulated ones are rendered where they are not yet."""
    data = recipe.data
    if isinstance(data, DatasetData):
        return dataset_splits(data, spec)
    return {
        name: samples_for(data, split, spec, cache, lambda done, total: report("rendering", done, total))
        for name, split in (("train", data.train), ("validation", data.validation))
    }


@contextmanager
def batches_of(
    samples: TrainingSamples, spec: InputSpec, recipe: Recipe, workers: int, ranks: int, rank: int
) -> Iterator[tuple[EpochSampler, DataLoader[Batch | EdgefasError]]]:
    """A loader of whole batches, to be read through `sound`, and the sampler that says which; its epoch is to be set
    before each. The processes that read end with the block."""
    inputs = _Inputs(samples, spec)
    sampler = EpochSampler(inputs.bona_fide, recipe, ranks, rank)
    loader: DataLoader[Batch | EdgefasError] = DataLoader(
        inputs, batch_sampler=sampler, collate_fn=_already_a_batch, **_readers(recipe.data, workers)
    )
    try:
        yield sampler, loader
    finally:
        _end_readers(loader)


def _end_readers(loader: DataLoader[Batch | EdgefasError]) -> None:
    """Now, not when the last frame of a traceback lets go of the iterator; torch has no public way."""
    if loader._iterator is not None and loader.num_workers:
        with suppress(RuntimeError):  # of a reader that was killed: whoever needed what it read was told
            loader._iterator._shutdown_workers()


def sound(batches: Iterator[Batch | EdgefasError]) -> Iterator[Batch]:
    """What a loader gave; raises what kept a reader from reading."""
    try:
        for batch in batches:
            if isinstance(batch, EdgefasError):
                raise batch
            yield batch
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        raise EdgefasError(
            "a process that reads pictures was ended from outside, maybe for want of memory; try --workers 1"
        ) from None


class EpochSampler(Sampler[list[int]]):
    """Batches of rows, drawn from (seed, epoch) alone: a resumed run sees what it would have seen, from any step on."""

    def __init__(self, bona_fide: npt.NDArray[np.float32], recipe: Recipe, ranks: int, rank: int) -> None:
        self._bona_fide, self._recipe, self._ranks, self._rank = bona_fide, recipe, ranks, rank
        self._epoch = self._first = 0
        self._batches = len(bona_fide) // (recipe.batch_size * ranks)
        if not self._batches:
            raise EdgefasError(
                f"{len(bona_fide)} training samples make no batch of {recipe.batch_size} on {ranks} processes; give "
                f"batch_size={max(2, len(bona_fide) // ranks)}"
            )

    def begin(self, epoch: int, step: int = 0) -> None:
        """Choose the epoch, and the step of it to begin with."""
        self._epoch, self._first = epoch, step

    def __len__(self) -> int:
        return self._batches

    def __iter__(self) -> Iterator[list[int]]:
        order = self._balanced() if self._recipe.sampler == "balanced" else self._shuffled()
        size = self._recipe.batch_size
        for step in range(self._first, self._batches):
            yield order[step * size : (step + 1) * size].tolist()

    def _shuffled(self) -> npt.NDArray[np.int64]:
        """This process's rows, as torch's DistributedSampler draws them."""
        generator = torch.Generator().manual_seed(self._recipe.seed + self._epoch)
        order = torch.randperm(len(self._bona_fide), generator=generator).numpy()
        return order[: len(order) // self._ranks * self._ranks][self._rank :: self._ranks]

    def _balanced(self) -> npt.NDArray[np.int64]:
        """Bona fide and attacks take turns; of the rarer class samples come again, in another order each time round."""
        rng = np.random.default_rng([self._recipe.seed, self._epoch])
        here = self._batches * self._recipe.batch_size
        each = -(-here * self._ranks // 2)
        classes = [np.flatnonzero(self._bona_fide == label) for label in (1, 0)]
        if not all(len(rows) for rows in classes):
            raise EdgefasError("sampler: balanced needs bona fide and attacks in the training split; one is missing")
        drawn = [
            np.concatenate([rng.permutation(rows) for _ in range(-(-each // len(rows)))])[:each] for rows in classes
        ]
        return np.stack(drawn, 1).ravel()[self._rank * here : (self._rank + 1) * here]


def score_samples(
    model: nn.Module, samples: TrainingSamples, spec: InputSpec, batch_size: int = 64
) -> npt.NDArray[np.float32]:
    """(N,) log-odds of every sample, in evaluation mode; NaN where no face was found.

    Raises:
        NotFinite: a face has a score that is no number.
    """
    scores = np.full(len(samples), np.nan, np.float32)
    was_training = model.training
    model.eval()
    device = next(model.parameters()).device
    with torch.inference_mode():
        for start in range(0, len(samples), batch_size):
            found = samples.read(range(start, min(start + batch_size, len(samples))), spec)
            if found:
                batch = _stacked([one for _, one in found])
                shown = {name: value.to(device) for name, value in batch.items()}
                given = model(**shown).float().cpu().numpy()
                require_finite_scores(given)
                scores[[row for row, _ in found]] = given
    model.train(was_training)
    return scores


class _Inputs(Dataset[Batch | EdgefasError]):
    """Reads whole batches."""

    def __init__(self, samples: TrainingSamples, spec: InputSpec) -> None:
        self._samples, self._spec = samples, spec
        self.bona_fide = (samples.species == Label.BONA_FIDE.value).astype(np.float32)

    def __len__(self) -> int:
        return len(self.bona_fide)

    def __getitems__(self, indices: list[int]) -> Batch | EdgefasError:
        try:
            return self._batch(indices)
        except EdgefasError as error:  # raised here, torch would wrap it in this process's traceback: see `sound`
            return error

    def _batch(self, indices: list[int]) -> Batch:
        """Others take the place of a batch in which no two faces are found: batch norm needs two."""
        found = self._samples.read(indices, self._spec)
        others = np.random.default_rng(indices)
        for _ in range(TRIES):
            if len(found) >= LEAST_FACES:
                rows = [row for row, _ in found]
                labels = torch.from_numpy(self.bona_fide[rows])
                return {**_stacked([inputs for _, inputs in found]), "bona_fide": labels}
            found = self._samples.read(others.integers(len(self), size=len(indices)).tolist(), self._spec)
        raise EdgefasError(
            f"in {TRIES} batches of {len(indices)} samples no two faces were found; look at the pictures, or at the "
            "data set's format: edgefas data check"
        )


def _stacked(inputs: Sequence[Mapping[str, npt.NDArray[np.float32]]]) -> dict[str, Tensor]:
    return {name: torch.from_numpy(np.stack([one[name] for one in inputs])) for name in inputs[0]}


def _readers(data: Data, workers: int) -> dict[str, Any]:
    """Pictures are decoded in processes of their own; arrays that were rendered before are just there."""
    if not workers or not isinstance(data, DatasetData):
        return {}
    return {"num_workers": workers, "multiprocessing_context": DeafContext(), "persistent_workers": True}


def _already_a_batch(batch: Any) -> Any:
    return batch
