"""`edgefas quantize`: the INT8 scale table and the engine files."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from edgefas.cli.console import errors, print_json, results
from edgefas.engines.precision import DEFAULT_PRECISIONS, PLUGINS, PRECISIONS
from edgefas.errors import UsageError, require

if TYPE_CHECKING:
    from edgefas.calibration.compare import ScoreDifference
    from edgefas.engines.quantize import QuantizeReport

Name = TypeVar("Name", bound=str)


def command(
    source: Annotated[Path, typer.Argument(help="The float .onnx of `edgefas export`.")],
    calibration: Annotated[Path, typer.Option(help=".npz with rgb, ir, depth: (N, C, H, W) float32 each.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="The folder to write.")],
    recipe: Annotated[str | None, typer.Option(help="Name or .yaml; default: the one of the model's name.")] = None,
    precision: Annotated[
        list[str] | None, typer.Option(help="TensorRT's copies; repeatable. Default: fp16 and int8+fp16.")
    ] = None,
    plugins: Annotated[
        list[str] | None, typer.Option(help="TensorRT's copies: our plugins, or nothing to compile. Default: both.")
    ] = None,
    asymmetric: Annotated[
        bool, typer.Option("--asymmetric", help="ONNX Runtime's files: use both ends of each range (CPUs alone).")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="The report as JSON.")] = False,
) -> None:
    """Make the INT8 scale table and the engine files."""
    require("onnx", "export")
    require("onnxruntime", "cpu")
    from edgefas.engines.quantize import quantize

    precisions = _chosen("--precision", precision, PRECISIONS, DEFAULT_PRECISIONS)
    kinds = _chosen("--plugins", plugins, PLUGINS, PLUGINS)
    with errors.status("calibrating, lowering, and running every copy as written (slow on purpose)"):
        report = quantize(source, calibration, recipe, out, precisions, kinds, asymmetric=asymmetric)
    if json:
        print_json({**asdict(report), "folder": str(report.folder)})
    else:
        _print(report)


def _chosen(flag: str, given: list[str] | None, known: tuple[Name, ...], default: tuple[Name, ...]) -> list[Name]:
    """Typer takes no list of literals."""
    unknown = sorted(set(given or ()) - set(known))
    if unknown:
        raise UsageError(f"{flag} {unknown[0]} is not one of: {', '.join(known)}")
    return [name for name in known if name in (given or default)]


def _print(report: QuantizeReport) -> None:
    from rich.table import Table

    copies = ", ".join(f"{name} {size / 1e6:.2f} MB" for name, size in report.tensorrt_bytes.items())
    results.print(
        f"{report.folder}: {report.bytes / 1e6:.2f} MB for ONNX Runtime; tensorrt/: {copies or 'nothing'}\n"
        f"INT8: {_counts(report.int8_nodes)}\n"
        f"float layers: {', '.join(report.float_layers)}",
        highlight=False,
        soft_wrap=True,
    )
    title = f"against float, scores of {report.difference.frames} calibration frames"
    table = Table("run as", "max |Δ|", "mean |Δ|", "centred SQNR", "flips at 0", title=title)
    for precision, difference in report.reference.items():
        table.add_row(f"TensorRT's {precision}, reference", *_figures(difference))
    table.add_row("INT8 fused, this CPU", *_figures(report.difference))
    results.print(table)


def _figures(difference: ScoreDifference) -> tuple[str, str, str, str]:
    sqnr = "undefined" if difference.sqnr_db is None else f"{difference.sqnr_db:.1f} dB"
    return f"{difference.max_abs:.3g}", f"{difference.mean_abs:.3g}", sqnr, str(difference.flips)


def _counts(nodes: dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(nodes.items(), key=lambda item: -item[1])) or "nothing"
