"""`edgefas build`: TensorRT engines, built and verified on the board that runs them."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.progress import Progress, TaskID
from rich.table import Table

from edgefas.cli.console import errors, print_json, results
from edgefas.errors import UsageError

if TYPE_CHECKING:
    from edgefas.engines.build import BuildReport
    from edgefas.engines.runtime.plan import BatchRange

BATCH = re.compile(r"(\d{1,4})(?:-(\d{1,4}))?")


def command(
    model: Annotated[Path, typer.Argument(help="A bundle, a folder of `edgefas quantize`, or a lowered .onnx.")],
    precision: Annotated[
        Literal["fp32", "fp16", "int8", "int8+fp16", "best"],
        typer.Option(help="best builds all there are and keeps the fastest that passes."),
    ] = "best",
    plugins: Annotated[
        Literal["own", "stock"] | None, typer.Option(help="Default: both; own are kept only if they are faster.")
    ] = None,
    batch: Annotated[
        list[str] | None, typer.Option(help="1, or a range such as 2-8; again for more profiles. Default: 1.")
    ] = None,
    out: Annotated[Path | None, typer.Option("-o", "--out", help="Folder; default: MODEL.engines beside it.")] = None,
    allow_unsigned: Annotated[bool, typer.Option("--allow-unsigned", help="Take a bundle nobody vouches for.")] = False,
    json: Annotated[bool, typer.Option("--json", help="The report as JSON.")] = False,
) -> None:
    """Build TensorRT engines on this machine and keep the fastest that gives the golden scores."""
    from edgefas.engines.build import build
    from edgefas.engines.runtime.plan import engines_folder

    batches = tuple(_batch_range(text) for text in batch or ["1"])
    folder = out or engines_folder(model)
    with _opened(model, allow_unsigned) as (opened, threshold), _bar() as bar:
        report = build(
            opened, folder, precision, plugins, batches=batches, threshold=threshold, progress=_Bars(bar).update
        )
    if json:
        print_json(
            {
                "schema": 1,
                "folder": str(report.folder),
                "engine": report.manifest.model_dump(mode="json", exclude={"stamp", "input_spec"}),
                "attempts": [asdict(attempt) for attempt in report.attempts],
            }
        )
    else:
        _print(report)


@contextmanager
def _opened(model: Path, allow_unsigned: bool) -> Iterator[tuple[Path, float]]:
    """(folder or .onnx to build from, the policy's threshold); a bundle's members lie in a folder for the while."""
    if model.suffix != ".efas":
        yield model, 0.0
        return
    from edgefas.deploy.bundle import open_bundle
    from edgefas.engines.golden import GOLDEN_FILE

    bundle = open_bundle(model, allow_unsigned=allow_unsigned)
    with tempfile.TemporaryDirectory(prefix="edgefas-") as work:
        folder = Path(work) / model.stem
        (folder / "tensorrt").mkdir(parents=True)
        bundle.unpack(folder, GOLDEN_FILE, "tensorrt/")
        if not any((folder / "tensorrt").iterdir()):
            raise UsageError(
                f"{model} has no tensorrt/ members: it is for ONNX Runtime alone; pack them with: edgefas bundle create"
            )
        yield folder, bundle.policy.threshold


def _batch_range(text: str) -> BatchRange:
    from edgefas.engines.runtime.plan import BatchRange

    match = BATCH.fullmatch(text)
    low = int(match[1]) if match else 0
    high = int(match[2] or low) if match else 0
    if not 1 <= low <= high <= 1024:
        raise UsageError(f"--batch {text}: give a size such as 1 or a range such as 2-8, from 1 to 1024")
    return BatchRange(low=low, high=high)


def _bar() -> Progress:
    return Progress(console=errors, transient=True, disable=not errors.is_terminal)


class _Bars:
    """One bar per phase; TensorRT's phases lie within each other."""

    def __init__(self, bar: Progress) -> None:
        self._bar = bar
        self._tasks: dict[str, TaskID] = {}

    def update(self, phase: str, done: int, total: int) -> None:
        if phase not in self._tasks:
            self._tasks[phase] = self._bar.add_task(phase, total=max(total, 1))
        if done >= total:
            self._bar.remove_task(self._tasks.pop(phase))
        else:
            self._bar.update(self._tasks[phase], completed=done)


def _print(report: BuildReport) -> None:
    table = Table("precision", "plugins", "result", title=f"built for {_device(report)}")
    for head in ("max |Δ|", "ms"):
        table.add_column(head, justify="right", no_wrap=True)
    failed = []
    for attempt in report.attempts:
        status = f"{attempt.status}, from before" if attempt.cached else attempt.status
        delta, ms = attempt.max_abs, attempt.median_ms
        table.add_row(
            attempt.precision, attempt.plugins, status, _figure(delta, ".3g"), _figure(ms, ".3f")
        )  # fmt: skip
        failed += [f"{attempt.precision}, {attempt.plugins}: {attempt.detail}"] if attempt.status == "failed" else []
    results.print(table)
    for line in failed:
        errors.print(f"failed: {line}", highlight=False, markup=False, soft_wrap=True)
    layers = report.manifest.plan.rsplit("-", 1)[0] + ".layers.json"
    results.print(
        f"in use: {report.folder / report.manifest.plan}\nlayers: {report.folder / layers}", soft_wrap=True,
        highlight=False, markup=False,
    )  # fmt: skip


def _device(report: BuildReport) -> str:
    device = report.manifest.key.device
    return f"{device.board}, compute capability {device.compute_capability}, TensorRT {device.tensorrt}"


def _figure(value: float | None, form: str) -> Any:
    return "-" if value is None else format(value, form)
