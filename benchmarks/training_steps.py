"""One way to train, in a process of its own: a block of steps whenever a line comes on stdin.

    python -m edgefas.benchmarks.training_steps DATA RECIPE WAY

Prints a line when it is ready, and one for each block: seconds a step and the peak memory in MB of this process.
`edgefas.benchmarks.training_speed` lets several of these take turns.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from enum import Enum
from pathlib import Path
from typing import Annotated

import torch
import typer
from torch import Tensor

from edgefas.benchmarks.memory import high_water_mb
from edgefas.cli.guard import run_script
from edgefas.contracts import InputSpec
from edgefas.training.augment import Batch, augment
from edgefas.training.loop import make_network, train
from edgefas.training.objective import objective
from edgefas.training.optimise import make_optimiser
from edgefas.training.recipe import Recipe, load_recipe
from edgefas.training.samples import batches_of, sound, splits_of

BATCH, BLOCK = 16, 4
WARM_UP, READERS = 2, 2


class Way(str, Enum):
    """What a step is."""

    FORWARD = "forward"
    BARE = "bare"
    """On a batch that is there already: loss, gradients, clipping, the optimiser's step."""
    BY_HAND = "by_hand"
    """A plain torch loop with the readers and the augmentation of the recipe."""
    LOOP = "loop"
    """`edgefas train`."""


def timed_recipe(name: str, data: Path) -> Recipe:
    """A shipped recipe, on the data set in `data`."""
    where = f"data={{kind: dataset, dataset: folder, root: {json.dumps(str(data))}}}"
    return load_recipe(name, [where, f"batch_size={BATCH}", "epochs=1"])


class PlainLoop:
    """The least that trains as the recipe says."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        self.model, self.spec = make_network(recipe)
        self.trained = objective(self.model, recipe.label_smoothing)
        self.optimiser = make_optimiser(recipe, self.trained.parameters())
        self.generator = torch.Generator().manual_seed(0)
        self.inputs = {m.value: torch.randn(BATCH, *self.spec.shape(m)) for m in self.spec.modalities}
        self.labels = (torch.arange(BATCH) % 2).float()
        self.trained.train()

    def forward(self) -> None:
        self.model.eval()
        with torch.no_grad():
            self.model(**self.inputs)

    def bare(self) -> None:
        self.step(self.inputs, self.labels)

    def augmented(self) -> Batch:
        return augment(self.inputs, self.spec, self.recipe.augmentation, self.generator)

    def by_hand(self, batch: Batch) -> None:
        labels = batch.pop("bona_fide")
        self.step(augment(batch, self.spec, self.recipe.augmentation, self.generator), labels)

    def step(self, inputs: Batch, labels: Tensor) -> None:
        self.optimiser.zero_grad(set_to_none=True)
        torch.stack(list(self.trained(bona_fide=labels, **inputs).values())).sum().backward()
        if self.recipe.max_gradient_norm is not None:
            torch.nn.utils.clip_grad_norm_(self.trained.parameters(), self.recipe.max_gradient_norm)
        self.optimiser.step()


def batches(recipe: Recipe, spec: InputSpec) -> Iterator[Batch]:
    """Of one epoch, by two reading processes."""
    samples = splits_of(recipe, spec, Path(), lambda *told: None)["train"]
    with batches_of(samples, spec, recipe, READERS, 1, 0) as (sampler, loader):
        sampler.begin(0)
        yield from sound(iter(loader))


def _serve(step: Callable[[], None]) -> None:
    for _ in range(WARM_UP):
        step()
    while _told_to_go_on():
        step()  # not counted: another network's weights lie in the caches
        begin = time.perf_counter()
        for _ in range(BLOCK):
            step()
        _answer(time.perf_counter() - begin)


class _Enough(Exception):
    """Ends a training that has been timed."""


def _serve_loop(recipe: Recipe) -> None:
    """As `_serve`, from within `edgefas train`, which reports after every step."""
    begin, count = 0.0, 0

    def report(what: str, done: int, total: int, note: str = "") -> None:
        nonlocal begin, count
        if not what.startswith("epoch "):
            return
        count += 1
        if count == WARM_UP + 1:
            begin = time.perf_counter()
        elif count == WARM_UP + 1 + BLOCK:
            _answer(time.perf_counter() - begin)
            count = WARM_UP
        if count == WARM_UP and not _told_to_go_on():
            raise _Enough

    with tempfile.TemporaryDirectory() as folder, suppress(_Enough):
        train(recipe, Path(folder) / "run", Path(folder), workers=READERS, report=report)


def _told_to_go_on() -> bool:
    """Says that it waits; False when stdin has ended."""
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    return sys.stdin.readline() != ""


def _answer(seconds: float) -> None:
    peak_mb = high_water_mb(Path("/proc/self/status").read_text())
    sys.stdout.write(f"{seconds / BLOCK} {peak_mb}\n")


def main(
    data: Annotated[Path, typer.Argument(help="A data set that is read as folder.")],
    recipe: Annotated[str, typer.Argument(help="Name of a shipped recipe.")],
    way: Annotated[Way, typer.Argument(help="What a step is.")],
) -> None:
    """Time blocks of steps, one for each line on stdin."""
    timed = timed_recipe(recipe, data)
    if way is Way.LOOP:
        _serve_loop(timed)
        return
    plain = PlainLoop(timed)
    if way is Way.BY_HAND:
        read = batches(timed, plain.spec)
        _serve(lambda: plain.by_hand(next(read)))
    else:
        _serve(plain.forward if way is Way.FORWARD else plain.bare)


if __name__ == "__main__":
    run_script(main)
