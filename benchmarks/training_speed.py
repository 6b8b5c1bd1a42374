"""What training costs: faces a second and peak memory of each system, what the loop adds to one written by hand,
whether batches are waited for, and deformable convolution against gathering.

    python -m edgefas.benchmarks.training_speed DATA [-o results.json]

DATA is a folder that `edgefas data check --dataset folder` accepts (`edgefas data synth DATA --layout bench-v1`).
Each way to train (`edgefas.benchmarks.training_steps`) runs in a process of its own, and they take turns; what is
judged is the ratio of two ways, turn by turn. After some turns all are started anew: where a process gets its memory
from alone makes two of one kind differ by some percent.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import numpy.typing as npt
import torch
import typer
from torch import Tensor

from edgefas.benchmarks.output import finish
from edgefas.benchmarks.training_steps import BATCH, BLOCK, WARM_UP, PlainLoop, Way, batches, timed_recipe
from edgefas.cli.console import errors
from edgefas.cli.guard import run_script
from edgefas.environment import environment
from edgefas.errors import EdgefasError, UsageError
from edgefas.ops import deform_conv2d
from edgefas.training.recipe import Recipe
from edgefas.training.samples import splits_of

SYSTEMS = ("dah-fas-lite-sim", "mm-fas-sim", "uadapter-fas-sim", "eca-fas-sim")
STARTS, TURNS = 3, 4
REST_S = 0.3
"""Before each block: the readers of the block before fill their queues."""
REPEATS = 12


@dataclass(frozen=True)
class Speed:
    """Of one system, in faces a second unless the name says otherwise; medians."""

    system: str
    forward: float
    forward_backward: float
    """With clipping and the optimiser's step, on a batch that is there already."""
    by_hand: float
    """A plain torch loop with the same readers and augmentation."""
    loop: float
    """`edgefas train`: a check of every loss, sums, progress, a stop at any step."""
    loop_overhead_percent: float
    """Of `loop` against `by_hand`: the median over starts of the median over turns."""
    loop_overhead_percent_of_starts: list[float]
    augmentation_percent: float
    """Of a bare step, alone."""
    loading: float
    """Reading, decoding and preprocessing alone, by two processes."""
    forward_peak_mb: float
    """Of a process that does only this, interpreter and libraries included."""
    forward_backward_peak_mb: float


def measure(name: str, data: Path) -> Speed:
    """All ways of one system, and what goes on beside them."""
    recipe = timed_recipe(name, data)
    plain = PlainLoop(recipe)
    _require_enough(recipe, plain)
    starts = [_turns(name, data) for _ in range(STARTS)]
    took_s = {way: float(np.median([start[way][:, 0] for start in starts])) for way in Way}
    peak_mb = {way: float(np.median([start[way][-1, 1] for start in starts])) for way in Way}
    overheads = [100 * float(np.median(start[Way.LOOP][:, 0] / start[Way.BY_HAND][:, 0]) - 1) for start in starts]
    return Speed(
        system=name,
        forward=BATCH / took_s[Way.FORWARD],
        forward_backward=BATCH / took_s[Way.BARE],
        by_hand=BATCH / took_s[Way.BY_HAND],
        loop=BATCH / took_s[Way.LOOP],
        loop_overhead_percent=float(np.median(overheads)),
        loop_overhead_percent_of_starts=overheads,
        augmentation_percent=100 * _median_s(plain.augmented) / took_s[Way.BARE],
        loading=_loading(recipe, plain),
        forward_peak_mb=peak_mb[Way.FORWARD],
        forward_backward_peak_mb=peak_mb[Way.BARE],
    )


def _require_enough(recipe: Recipe, plain: PlainLoop) -> None:
    needed = BATCH * max(WARM_UP + TURNS * (BLOCK + 1), WARM_UP + REPEATS)
    found = len(splits_of(recipe, plain.spec, Path(), lambda *told: None)["train"].species)
    if found < needed:
        raise UsageError(f"the train split has {found} pictures; to be timed on it must have {needed} at least")


def _turns(name: str, data: Path) -> dict[Way, npt.NDArray[np.float64]]:
    """(TURNS, 2) seconds a step and peak MB of each way."""
    found: dict[Way, list[list[float]]] = {way: [] for way in Way}
    command = [sys.executable, "-m", "edgefas.benchmarks.training_steps", str(data), name]
    with ExitStack() as stack:
        processes = {
            way: stack.enter_context(
                subprocess.Popen([*command, way.value], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            )
            for way in Way
        }
        for process in processes.values():
            _line(process)  # it has warmed up
        for turn in range(TURNS):
            for way in list(Way)[:: 1 if turn % 2 else -1]:  # so that none always comes after the same other
                time.sleep(REST_S)
                found[way].append(_block(processes[way]))
    return {way: np.array(rows) for way, rows in found.items()}


def _block(process: subprocess.Popen[str]) -> list[float]:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()
    figures = [float(word) for word in _line(process).split()]
    _line(process)  # it waits again
    return figures


def _line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    got = process.stdout.readline()
    if not got:
        raise EdgefasError("one way to train ended in the middle; what it said is above")
    return got


def _loading(recipe: Recipe, plain: PlainLoop) -> float:
    """Faces a second that the readers read, with nothing else to do."""
    read = batches(recipe, plain.spec)
    for _ in range(WARM_UP):
        next(read)
    begin = time.perf_counter()
    for _ in range(REPEATS):
        next(read)
    return REPEATS * BATCH / (time.perf_counter() - begin)


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
    for _ in range(REPEATS):
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
    for number in range(WARM_UP + REPEATS):
        begin = time.perf_counter()
        run()
        if number >= WARM_UP:
            took.append(time.perf_counter() - begin)
    return float(np.median(took))


def main(
    data: Annotated[Path, typer.Argument(help="A data set that is read as folder.")],
    out: Annotated[Path | None, typer.Option("-o", "--out", help="Write the JSON here, too.")] = None,
) -> None:
    """Measure; prints JSON."""
    rows = []
    for name in SYSTEMS:
        with errors.status(f"{name}, {SYSTEMS.index(name) + 1} of {len(SYSTEMS)}: some two minutes"):
            found = asdict(measure(name, data))
        rows.append({key: _rounded(value) for key, value in found.items()})
    document = {
        "command": "python -m edgefas.benchmarks.training_speed " + " ".join(sys.argv[1:]),
        **environment(),
        "batch": BATCH,
        "systems": rows,
        "deformable_convolution": {name: round(value, 2) for name, value in deformable().items()},
    }
    finish(document, out)


def _rounded(value: str | float | list[float]) -> str | float | list[float]:
    if isinstance(value, list):
        return [round(number, 2) for number in value]
    return value if isinstance(value, str) else round(value, 2)


if __name__ == "__main__":
    run_script(main)
