"""The CUDA kernels on a GPU: first their results against float64, then their time against PyTorch's own ways.

    python -m edgefas.benchmarks.kernels -o benchmarks/results/kernels-NAME.json

Needs a CUDA machine with nvcc. Inputs are drawn anew each time; the seed is in the result. Times are of calls captured
in a CUDA graph, so that no Python lies between them, and so are those they are compared with; implementations take
turns. Not run on a GPU so far: the targets in `TARGETS` are aims, not findings, until a result is committed.
"""

from __future__ import annotations

import importlib
import json
import secrets
import statistics
import sys
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import typer

from edgefas.benchmarks.kernel_cases import BteCase, Dcnv2Case, all_bte, all_dcnv2
from edgefas.cli.console import errors
from edgefas.cli.guard import run_script
from edgefas.engines.plugins import torch as kernels
from edgefas.environment import environment
from edgefas.errors import CheckFailed
from edgefas.files import write_atomically

CALLS, ROUNDS = 20, 15
"""Calls in one graph; replays of it that count."""
COPY_BYTES = 2**29
DEVICE = "cuda"
ALPHA, EPSILON = 0.7, 1e-6
OURS, EAGER, COMPILED, TORCHVISION = "edgefas", "torch eager", "torch.compile", "torchvision"

Call = Callable[[], Any]


@dataclass(frozen=True)
class Row:
    """One case in one dtype and layout."""

    operator: str
    case: dict[str, Any]
    dtype: str
    layout: str
    error: float
    """Largest difference to float64, as a share of what is allowed; below 1 or the benchmark ends there."""
    microseconds: dict[str, float | None]
    """Median of one call by implementation; None where it is not installed or cannot compile."""
    copy_share: float | None = None
    """BTE: bytes read and written once per second, as a share of the measured copy's."""

    def times(self, other: str) -> float | None:
        """How many times as long `other` takes."""
        theirs, ours = self.microseconds.get(other), self.microseconds[OURS]
        return None if theirs is None or ours is None else theirs / ours


@dataclass(frozen=True)
class Target:
    """An aim on a data-centre GPU: the worst of the rows that it is about must reach `least`."""

    name: str
    least: float
    about: Callable[[Row], bool]
    value: Callable[[Row], float | None]

    def verdict(self, rows: Iterable[Row]) -> dict[str, Any]:
        """`worst` is None where nothing was measured, and the target then is not met."""
        values = [self.value(row) for row in rows if self.about(row)]
        known = [value for value in values if value is not None]
        worst = min(known) if known and len(known) == len(values) else None
        return {
            "target": self.name,
            "least": self.least,
            "worst": worst,
            "met": worst is not None and worst >= self.least,
        }


TARGETS = (
    Target(
        "BTE on large maps, share of copy bandwidth",
        0.85,
        lambda row: row.operator == "bte" and row.case["large"],
        lambda row: row.copy_share,
    ),
    Target(
        "BTE at the networks' shapes, times torch eager",
        4.0,
        lambda row: row.operator == "bte" and not row.case["large"],
        lambda row: row.times(EAGER),
    ),
    Target(
        "DCNv2 dense FP16 at batch 32, times torchvision",
        3.0,
        lambda row: (
            row.operator == "dcnv2" and row.dtype == "float16" and row.case["batch"] == 32 and row.case["groups"] == 1
        ),
        lambda row: row.times(TORCHVISION),
    ),
)


def time_us(torch: Any, calls: dict[str, Call | None]) -> dict[str, float | None]:
    """Median microseconds of one call of each, replayed in turns."""
    graphs = {name: _captured(torch, call) for name, call in calls.items() if call is not None}
    samples: dict[str, list[float]] = {name: [] for name in graphs}
    for _ in range(ROUNDS):
        for name, graph in graphs.items():
            begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            graph.replay()  # warms caches and clocks; not counted
            begin.record()
            graph.replay()
            end.record()
            end.synchronize()
            samples[name].append(begin.elapsed_time(end) * 1000 / CALLS)
    return {name: statistics.median(samples[name]) if name in graphs else None for name in calls}


def _captured(torch: Any, call: Call) -> Any:
    """A CUDA graph of `CALLS` calls; the first ones run outside, on a stream of their own."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            call()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for _ in range(CALLS):
            call()
    return graph


def copy_bandwidth(torch: Any) -> float:
    """Bytes read and written per second by a copy within device memory."""
    source = torch.empty(COPY_BYTES // 4, device=DEVICE)
    target = torch.empty_like(source)
    [microseconds] = time_us(torch, {"copy": lambda: target.copy_(source)}).values()
    assert microseconds is not None
    return 2 * COPY_BYTES / microseconds * 1e6


def measure_bte(torch: Any, case: BteCase, dtype: Any, channels_last: bool, copy_bytes_per_s: float) -> Row:
    """Check, then time.

    Raises:
        CheckFailed: the kernel's result is not float64's.
    """
    from edgefas.ops.bte import _forward as eager

    shape = (case.batch, case.channels, case.height, case.width)
    common = torch.randn(case.batch, 1, case.height, case.width, device=DEVICE)
    x = (torch.randn(shape, device=DEVICE) + common).to(dtype)  # so that the channels' mean has a gradient
    if channels_last:
        x = x.contiguous(memory_format=torch.channels_last)
    alpha = torch.tensor([ALPHA], device=DEVICE)
    wanted = eager(x.double(), alpha.double())
    allowed = (1e-5 if dtype is torch.float32 else 2**-10) * wanted.abs() + 1e-6
    row = Row("bte", asdict(case), str(dtype).removeprefix("torch."), "NHWC" if channels_last else "NCHW", 0.0, {})
    row = _checked(row, kernels.bte(x, ALPHA, EPSILON), wanted, allowed)
    calls = {
        OURS: lambda: kernels.bte(x, ALPHA, EPSILON),
        EAGER: lambda: eager(x, alpha),
        COMPILED: _compiled(torch, eager, x, alpha),
    }
    times = time_us(torch, calls)
    ours = times[OURS]
    assert ours is not None
    share = 2 * x.numel() * x.element_size() / ours * 1e6 / copy_bytes_per_s
    return replace(row, microseconds=times, copy_share=share)


def measure_dcnv2(torch: Any, case: Dcnv2Case, dtype: Any) -> Row:
    """Check, then time.

    Raises:
        CheckFailed: the kernel's result is not float64's.
    """
    from edgefas.ops.dcnv2 import _forward as eager

    run: Callable[..., Any] = eager
    taps = case.kernel**2
    depth = case.channels // case.groups * taps

    def draw(*shape: int) -> Any:
        return torch.randn(shape, device=DEVICE)

    tensors = (
        draw(case.batch, case.channels, case.height, case.width),
        2 * draw(case.batch, 2 * taps, *case.output_size),
        draw(case.batch, taps, *case.output_size).sigmoid(),
        draw(case.outputs, case.channels // case.groups, case.kernel, case.kernel) / depth**0.5,
        draw(case.outputs),
    )
    x, offset, mask, weight, bias = (tensor.to(dtype) for tensor in tensors)
    stride, one = [case.stride] * 2, [1, 1]
    geometry: tuple[Any, ...] = (stride, one, one, case.groups, 1)
    wide = [tensor.double() for tensor in (x, offset, mask, weight, bias)]
    scale = run(wide[0].abs(), wide[1], wide[2], wide[3].abs(), wide[4].abs(), *geometry)
    allowed = 1e-5 * scale.max() + (2**-10 * scale if dtype is torch.float16 else 0)
    row = Row("dcnv2", asdict(case), str(dtype).removeprefix("torch."), "NCHW", 0.0, {})
    got = kernels.deform_conv2d(x, offset, mask, weight, bias, *geometry)
    row = _checked(row, got, run(*wide, *geometry), allowed)
    torchvision = _torchvision()
    calls: dict[str, Call | None] = {
        OURS: lambda: kernels.deform_conv2d(x, offset, mask, weight, bias, *geometry),
        EAGER: lambda: eager(x, offset, mask, weight, bias, *geometry),
        COMPILED: _compiled(torch, eager, x, offset, mask, weight, bias, *geometry),
        TORCHVISION: torchvision and (lambda: torchvision(x, offset, weight, bias, stride, one, one, mask)),
    }
    return replace(row, microseconds=time_us(torch, calls))


def _checked(row: Row, got: Any, wanted: Any, allowed: Any) -> Row:
    error = float(((got.double() - wanted).abs() / allowed).max())
    if not error < 1:  # NaN too
        raise CheckFailed(
            f"{row.operator} is wrong on this GPU: {error:.3g} times the allowed difference to float64 at {row.case}, "
            f"{row.dtype}, {row.layout}; please report it with the device's name"
        )
    return replace(row, error=error)


def _compiled(torch: Any, function: Callable[..., Any], *arguments: Any) -> Call | None:
    """None, with a line on stderr, where torch.compile cannot (no Triton)."""
    compiled = torch.compile(function, dynamic=False)
    try:
        compiled(*arguments)
    except RuntimeError as error:
        errors.print(f"torch.compile is left out: {str(error).splitlines()[0]}", markup=False, highlight=False)
        return None
    return lambda: compiled(*arguments)


def _torchvision() -> Callable[..., Any] | None:
    try:
        function: Callable[..., Any] = importlib.import_module("torchvision.ops").deform_conv2d
    except ImportError:
        return None
    return function


def main(
    out: Annotated[Path, typer.Option("-o", "--out", help="JSON.")] = Path("benchmarks/results/kernels.json"),
    seed: Annotated[int | None, typer.Option(help="Of the inputs; drawn anew if not given.")] = None,
) -> None:
    """Check and time the kernels on this machine's GPU."""
    torch = kernels.require_cuda()
    seed = secrets.randbelow(2**31) if seed is None else seed
    torch.manual_seed(seed)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    bandwidth = copy_bandwidth(torch)
    rows: list[Row] = []

    def add(row: Row) -> None:
        rows.append(row)
        sys.stdout.write(describe(row) + "\n")

    with torch.inference_mode():
        for bte in all_bte():
            for dtype in (torch.float32, torch.float16):
                for channels_last in (False, True):
                    add(measure_bte(torch, bte, dtype, channels_last, bandwidth))
        for dcnv2 in all_dcnv2():
            for dtype in (torch.float32, torch.float16):
                add(measure_dcnv2(torch, dcnv2, dtype))
    verdicts = [target.verdict(rows) for target in TARGETS]
    document = {
        "command": "python -m edgefas.benchmarks.kernels " + " ".join(sys.argv[1:]),
        **environment(),
        "gpu": torch.cuda.get_device_name(),
        "compute_capability": ".".join(map(str, torch.cuda.get_device_capability())),
        "cuda": torch.version.cuda,
        "seed": seed,
        "copy_gb_per_s": bandwidth / 1e9,
        "targets": verdicts,
        "rows": [asdict(row) for row in rows],
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(out, json.dumps(document, indent=1).encode() + b"\n")
    for verdict in verdicts:
        worst = "not measured" if verdict["worst"] is None else f"{verdict['worst']:.2f}"
        sys.stdout.write(f"{verdict['target']}: {worst} (target {verdict['least']})\n")


def describe(row: Row) -> str:
    """One line for people."""
    shape = "x".join(str(row.case[name]) for name in ("batch", "channels", "height", "width"))
    times = ", ".join(f"{name} {us:.1f}" for name, us in row.microseconds.items() if us is not None)
    share = "" if row.copy_share is None else f", {row.copy_share:.0%} of copy bandwidth"
    return f"{row.operator} {row.case['name']} {shape} {row.dtype} {row.layout}: microseconds {times}{share}"


if __name__ == "__main__":
    run_script(main)
