"""What training costs: pictures a second and peak memory of each system, what the loop adds to one written by hand,
whether batches are waited for, and deformable convolution against gathering.

    python -m edgefas.benchmarks.training_speed DATA [-o results.json]

DATA is a folder that `edgefas data check --dataset folder` accepts (`edgefas data synth DATA --layout bench-v1`).
`edgefas train`, the same written by hand in a dozen lines, and bare steps on a batch that is there already take turns
within one run; what is judged is their ratio, turn by turn. Each system is measured in a process of its own.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import numpy.typing as npt
import torch
import typer
from torch import Tensor

from edgefas.benchmarks.environment import environment, finish
from edgefas.benchmarks.memory import high_water_mb
from edgefas.cli.guard import run_script
from edgefas.contracts import InputSpec
from edgefas.errors import UsageError
from edgefas.ops import deform_conv2d
from edgefas.training.augment import Batch, augment
from edgefas.training.loop import make_network, train
from edgefas.training.objective import objective
from edgefas.training.optimise import make_optimiser
from edgefas.training.recipe import Recipe, load_recipe
from edgefas.training.samples import batches_of, sound, splits_of

SYSTEMS = ("dah-fas-lite-sim", "mm-fas-sim", "uadapter-fas-sim", "eca-fas-sim")
BATCH, BLOCK, BLOCKS = 16, 4, 12
WARM_UP, READERS = 2, 2
REST_S = 0.3
"""Before each block: the readers of the block before fill their queues. Then a step that is not counted: the other
network's weights lie in the caches. Either would count against the loop, which is the last to come."""


@dataclass(frozen=True)
class Speed:
    """Of one system, in pictures (faces) a second unless the name says otherwise; medians."""

    system: str
    forward: float
    forward_backward: float
    """With the optimiser's step, on a batch that is there already."""
    by_hand: float
    """A plain torch loop with the same readers and augmentation."""
    loop: float
    """`edgefas train`: checks of every loss, clipping, sums, progress, a stop at any step."""
    loop_overhead_percent: float
    """Of `loop` against `by_hand`."""
    augmentation_percent: float
    """Of a bare step, alone."""
    loading: float
    """Reading, decoding and preprocessing alone, by two processes."""
    forward_peak_mb: float
    """Of the process after it, interpreter and libraries included."""
    forward_backward_peak_mb: float


def measure(name: str, data: Path) -> Speed:
    """One system, in this process."""
    kind = f"data={{kind: dataset, dataset: folder, root: {json.dumps(str(data))}}}"
    recipe = load_recipe(name, [kind, f"batch_size={BATCH}", "epochs=1"])
    plain = _PlainLoop(recipe)
    forward, forward_mb = plain.forward_s(), _peak_mb()
    plain.bare_step()
    step_mb = _peak_mb()
    turns = _in_turns(recipe, plain)
    bare, by_hand, loop = np.median(turns, 0)
    return Speed(
        system=name,
        forward=BATCH / forward,
        forward_backward=BATCH / bare,
        by_hand=BATCH / by_hand,
        loop=BATCH / loop,
        loop_overhead_percent=100 * float(np.median(turns[:, 2] / turns[:, 1]) - 1),
        augmentation_percent=100 * plain.augmentation_s() / bare,
        loading=_loading(recipe, plain.spec),
        forward_peak_mb=forward_mb,
        forward_backward_peak_mb=step_mb,
    )


def _peak_mb() -> float:
    """Of this process so far."""
    return high_water_mb(Path("/proc/self/status").read_text())


class _PlainLoop:
    """The least that trains: batch, loss, gradients, step."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        self.model, self.spec = make_network(recipe)
        self.trained = objective(self.model, recipe.label_smoothing)
        self.optimiser = make_optimiser(recipe, self.trained.parameters())
        self.generator = torch.Generator().manual_seed(0)
        self.inputs = {m.value: torch.randn(BATCH, *self.spec.shape(m)) for m in self.spec.modalities}
        self.labels = (torch.arange(BATCH) % 2).float()
        self.trained.train()

    def forward_s(self) -> float:
        self.model.eval()
        with torch.no_grad():
            took_s = _median_s(lambda: self.model(**self.inputs))
        self.model.train()
        return took_s

    def augmentation_s(self) -> float:
        return _median_s(lambda: augment(self.inputs, self.spec, self.recipe.augmentation, self.generator))

    def bare_step(self) -> None:
        self._step(self.inputs, self.labels)

    def step(self, batch: Batch) -> None:
        labels = batch.pop("bona_fide")
        self._step(augment(batch, self.spec, self.recipe.augmentation, self.generator), labels)

    def _step(self, inputs: Batch, labels: Tensor) -> None:
        self.optimiser.zero_grad(set_to_none=True)
        torch.stack(list(self.trained(bona_fide=labels, **inputs).values())).sum().backward()
        self.optimiser.step()


class _Enough(Exception):
    """Ends a training that has been timed."""


def _in_turns(recipe: Recipe, plain: _PlainLoop) -> npt.NDArray[np.float64]:
    """(BLOCKS, 3) seconds a step: bare, by hand, `edgefas train`."""
    turns: list[tuple[float, float, float]] = []
    batches = _batches(recipe, plain.spec)
    for _ in range(WARM_UP):
        plain.bare_step()
        plain.step(next(batches))
    begin, count = 0.0, 0

    def report(what: str, done: int, total: int, note: str = "") -> None:
        nonlocal begin, count
        if not what.startswith("epoch "):
            return
        count += 1
        if count == WARM_UP + 1:  # this step was not counted, either
            begin = time.perf_counter()
        elif count == WARM_UP + 1 + BLOCK:
            loop_s = (time.perf_counter() - begin) / BLOCK
            turns.append((_block_s(plain.bare_step), _block_s(lambda: plain.step(next(batches))), loop_s))
            if len(turns) == BLOCKS:
                raise _Enough
            count = WARM_UP
            time.sleep(REST_S)

    with tempfile.TemporaryDirectory() as folder, suppress(_Enough):
        train(recipe, Path(folder) / "run", Path(folder), workers=READERS, report=report)
    if len(turns) < BLOCKS:
        least = BATCH * (WARM_UP + BLOCKS * (BLOCK + 1))
        raise UsageError(f"the train split is too small to be timed on; it must have {least} pictures at least")
    return np.array(turns)


def _block_s(step: Callable[[], None]) -> float:
    time.sleep(REST_S)
    step()
    begin = time.perf_counter()
    for _ in range(BLOCK):
        step()
    return (time.perf_counter() - begin) / BLOCK


def _batches(recipe: Recipe, spec: InputSpec) -> Iterator[Batch]:
    samples = splits_of(recipe, spec, Path(), lambda *told: None)["train"]
    sampler, loader = batches_of(samples, spec, recipe, READERS, 1, 0)
    sampler.begin(0)
    return sound(iter(loader))


def _loading(recipe: Recipe, spec: InputSpec) -> float:
    """Pictures a second that the readers read, with nothing else to do."""
    batches = _batches(recipe, spec)
    for _ in range(WARM_UP):
        next(batches)
    begin, count = time.perf_counter(), 40
    for _ in range(count):
        next(batches)
    return count * BATCH / (time.perf_counter() - begin)


def deformable() -> dict[str, float]:
    """Milliseconds of forward and backward of a DCNv2 of DAH-FAS, and by gathering four neighbours."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(BATCH, 192, 14, 14, generator=generator, requires_grad=True)
    offset = (2 * torch.randn(BATCH, 18, 14, 14, generator=generator)).requires_grad_()
    mask = torch.rand(BATCH, 9, 14, 14, generator=generator).requires_grad_()
    weight = torch.randn(192, 192, 3, 3, generator=generator).mul_(0.02).requires_grad_()

    def ours() -> None:
        deform_conv2d(x, offset, mask, weight, None, [1, 1], [1, 1], [1, 1], 1, 1).square().sum().backward()

    def gathering() -> None:
        gathered(x, offset, mask, weight).square().sum().backward()

    with torch.no_grad():
        same = deform_conv2d(x, offset, mask, weight, None, [1, 1], [1, 1], [1, 1], 1, 1)
        torch.testing.assert_close(gathered(x, offset, mask, weight), same, rtol=1e-3, atol=1e-3)
    took: dict[str, list[float]] = {"ours_ms": [], "gather_ms": []}
    for run in (ours, gathering):
        run()
    for _ in range(BLOCKS):
        for name, run in (("ours_ms", ours), ("gather_ms", gathering)):
            begin = time.perf_counter()
            for _ in range(BLOCK):
                run()
            took[name].append(1e3 * (time.perf_counter() - begin) / BLOCK)
    found = {name: float(np.median(values)) for name, values in took.items()}
    return {**found, "times_as_fast": found["gather_ms"] / found["ours_ms"]}


def gathered(x: Tensor, offset: Tensor, mask: Tensor, weight: Tensor) -> Tensor:
    """The same 3x3 convolution by indexing: four neighbours of each tap, weighed, zero outside the map."""
    n, c, h, w = x.shape
    rows, columns = torch.meshgrid(torch.arange(h), torch.arange(w), indexing="ij")
    taps = torch.stack(torch.meshgrid(torch.arange(3) - 1, torch.arange(3) - 1, indexing="ij"), -1).view(9, 2)
    shift = offset.view(n, 9, 2, h, w)
    y = rows + taps[:, 0].view(9, 1, 1) + shift[:, :, 0]
    z = columns + taps[:, 1].view(9, 1, 1) + shift[:, :, 1]
    flat, sampled = x.flatten(2), torch.zeros(n, c, 9, h, w)
    for dy in (0, 1):
        for dz in (0, 1):
            row, column = y.floor() + dy, z.floor() + dz
            share = (1 - (y - row).abs()) * (1 - (z - column).abs())
            inside = (row >= 0) & (row < h) & (column >= 0) & (column < w)
            place = (row.clamp(0, h - 1) * w + column.clamp(0, w - 1)).long().view(n, 1, -1).expand(-1, c, -1)
            value = flat.gather(2, place).view(n, c, 9, h, w)
            sampled = sampled + value * (share * inside).unsqueeze(1)
    sampled = sampled * mask.unsqueeze(1)
    return (weight.flatten(1) @ sampled.reshape(n, c * 9, h * w)).view(n, -1, h, w)


def _median_s(run: Callable[[], object]) -> float:
    took = []
    for number in range(WARM_UP + BLOCKS):
        begin = time.perf_counter()
        run()
        if number >= WARM_UP:
            took.append(time.perf_counter() - begin)
    return float(np.median(took))


def main(
    data: Annotated[Path, typer.Argument(help="A data set that is read as folder.")],
    system: Annotated[str | None, typer.Option(help="Measure this one in this process; prints JSON.")] = None,
    out: Annotated[Path | None, typer.Option("-o", "--out", help="Write the JSON here, too.")] = None,
) -> None:
    """Measure; prints JSON."""
    if system is not None:
        sys.stdout.write(json.dumps(asdict(measure(system, data))) + "\n")
        return
    rows = []
    for name in SYSTEMS:
        command = [sys.executable, "-m", "edgefas.benchmarks.training_speed", str(data), "--system", name]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=600)
        if done.returncode:
            raise SystemExit(done.returncode)
        found = json.loads(done.stdout.splitlines()[-1])
        rows.append({key: round(value, 2) if isinstance(value, float) else value for key, value in found.items()})
    document = {
        "command": "python -m edgefas.benchmarks.training_speed " + " ".join(sys.argv[1:]),
        **environment(),
        "batch": BATCH,
        "systems": rows,
        "deformable_convolution": {name: round(value, 2) for name, value in deformable().items()},
    }
    finish(document, out)


if __name__ == "__main__":
    run_script(main)
