"""What training costs: pictures a second and peak memory of each system, what the loop adds to a plain one, whether
batches are waited for, and deformable convolution against gathering.

    python -m edgefas.benchmarks.training_speed DATA [-o results.json]

DATA is a folder that `edgefas data check --dataset folder` accepts (`edgefas data synth DATA --layout bench-v1`). The
loop and a plain torch loop with the same network, batch size and optimiser take turns within one run, and what is
judged is the ratio. Each system is measured in a process of its own.
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
import torch
import typer
from torch import Tensor

from edgefas.benchmarks.environment import environment, finish
from edgefas.benchmarks.memory import high_water_mb
from edgefas.ops import deform_conv2d
from edgefas.training.loop import make_network, train
from edgefas.training.objective import objective
from edgefas.training.optimise import make_optimiser
from edgefas.training.recipe import Recipe, load_recipe
from edgefas.training.samples import batches_of, splits_of

SYSTEMS = ("dah-fas-lite-sim", "mm-fas-sim", "uadapter-fas-sim", "eca-fas-sim")
BATCH, BLOCK, BLOCKS = 16, 3, 6
WARM_UP = 2


@dataclass(frozen=True)
class Speed:
    """Of one system, in pictures (faces) a second unless the name says otherwise; medians."""

    system: str
    forward: float
    forward_backward: float
    """With the optimiser's step, in a plain torch loop."""
    loop: float
    """The same through `edgefas train`: reading, augmentation, checks, clipping, progress."""
    loop_overhead_percent: float
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
    plain.step()
    step_mb = _peak_mb()
    loop_s, plain_s = _in_turns(recipe, plain)
    return Speed(
        system=name,
        forward=BATCH / forward,
        forward_backward=BATCH / plain_s,
        loop=BATCH / loop_s,
        loop_overhead_percent=100 * (loop_s / plain_s - 1),
        loading=_loading(recipe),
        forward_peak_mb=forward_mb,
        forward_backward_peak_mb=step_mb,
    )


def _peak_mb() -> float:
    """Of this process so far."""
    return high_water_mb(Path("/proc/self/status").read_text())


class _PlainLoop:
    """The least that trains: a batch that is there already, loss, gradients, step."""

    def __init__(self, recipe: Recipe) -> None:
        self.model, spec = make_network(recipe)
        self.trained = objective(self.model, recipe.label_smoothing)
        self.optimiser = make_optimiser(recipe, self.trained.parameters())
        self.inputs = {m.value: torch.randn(BATCH, *spec.shape(m)) for m in spec.modalities}
        self.labels = (torch.arange(BATCH) % 2).float()

    def forward_s(self) -> float:
        self.model.eval()
        with torch.no_grad():
            return _median_s(lambda: self.model(**self.inputs))

    def step(self) -> None:
        self.trained.train()
        self.optimiser.zero_grad(set_to_none=True)
        torch.stack(list(self.trained(bona_fide=self.labels, **self.inputs).values())).sum().backward()
        self.optimiser.step()


class _Enough(Exception):
    """Ends a training that has been timed."""


def _in_turns(recipe: Recipe, plain: _PlainLoop) -> tuple[float, float]:
    """Seconds a step of `edgefas train` and of a plain loop, medians over blocks that take turns."""
    loop_s: list[float] = []
    plain_s: list[float] = []
    for _ in range(WARM_UP):
        plain.step()
    begin = 0.0

    def report(what: str, done: int, total: int, note: str = "") -> None:
        nonlocal begin
        if not what.startswith("epoch "):
            return
        if done >= WARM_UP and (done - WARM_UP) % BLOCK == 0:
            if done > WARM_UP:
                loop_s.append((time.perf_counter() - begin) / BLOCK)
                start = time.perf_counter()
                for _ in range(BLOCK):
                    plain.step()
                plain_s.append((time.perf_counter() - start) / BLOCK)
            if len(loop_s) == BLOCKS:
                raise _Enough
            begin = time.perf_counter()

    with tempfile.TemporaryDirectory() as folder, suppress(_Enough):
        train(recipe, Path(folder) / "run", Path(folder), workers=2, report=report)
    return float(np.median(loop_s)), float(np.median(plain_s))


def _loading(recipe: Recipe) -> float:
    """Pictures a second that two processes read, with nothing else to do."""
    spec = make_network(recipe)[1]
    samples = splits_of(recipe, spec, Path(), lambda *told: None)["train"]
    sampler, loader = batches_of(samples, spec, recipe, 2, 1, 0)
    sampler.begin(0)
    batches: Iterator[object] = iter(loader)
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
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=600)
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
    typer.run(main)
