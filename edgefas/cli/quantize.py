"""`edgefas quantize`: the INT8 scale table and the engine files."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from edgefas.cli.console import errors, print_json, results
from edgefas.errors import require


def command(
    source: Annotated[Path, typer.Argument(help="The float .onnx of `edgefas export`.")],
    calibration: Annotated[Path, typer.Option(help=".npz with rgb, ir, depth: (N, C, H, W) float32 each.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="The folder to write.")],
    recipe: Annotated[str | None, typer.Option(help="Name or .yaml; default: the one of the model's name.")] = None,
    json: Annotated[bool, typer.Option("--json", help="The report as JSON.")] = False,
) -> None:
    """Make the INT8 scale table and the engine files."""
    require("onnx", "export")
    require("onnxruntime", "cpu")
    from edgefas.engines.quantize import quantize

    with errors.status("calibrating and lowering"):
        report = quantize(source, calibration, recipe, out)
    if json:
        print_json({**asdict(report), "folder": str(report.folder)})
        return
    difference = report.difference
    sqnr = "undefined" if difference.sqnr_db is None else f"{difference.sqnr_db:.1f} dB"
    results.print(
        f"{report.folder}: {report.bytes / 1e6:.2f} MB\n"
        f"INT8: {_counts(report.int8_nodes)}\n"
        f"float layers: {', '.join(report.float_layers)}\n"
        f"scores of {difference.frames} calibration frames, INT8 against float: max |Δ| {difference.max_abs:.3g}, "
        f"mean |Δ| {difference.mean_abs:.3g}, centred SQNR {sqnr}, "
        f"{difference.flips} decisions flipped at threshold 0",
        highlight=False,
        soft_wrap=True,
    )


def _counts(nodes: dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(nodes.items(), key=lambda item: -item[1])) or "nothing"
