"""`edgefas export`: from a checkpoint to the source ONNX."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgefas.cli.console import errors, print_json, results
from edgefas.errors import UsageError, require


def command(
    checkpoint: Annotated[Path | None, typer.Argument(help="A .safetensors checkpoint of `edgefas train`.")] = None,
    out: Annotated[Path, typer.Option("-o", "--out", help="The .onnx file to write.")] = Path("model.onnx"),
    model: Annotated[str | None, typer.Option(help="Instead of a checkpoint: an untrained network by name.")] = None,
    opset: Annotated[int, typer.Option(help="ONNX operator set, 19 or later.")] = 22,
    json: Annotated[bool, typer.Option("--json", help="The report as JSON.")] = False,
) -> None:
    """Export a trained network to ONNX, with its preprocessing contract inside."""
    require("torch", "export")
    from edgefas.engines.export import export_onnx
    from edgefas.models import create_model, load_checkpoint

    if checkpoint is not None and model is None:
        network = load_checkpoint(checkpoint)
    elif model is not None and checkpoint is None:
        network = create_model(model)
        errors.print(f"[bold red]{model} is untrained: its weights are random, its scores mean nothing.[/]")
    else:
        raise UsageError("give either a checkpoint or --model NAME; `edgefas models` lists the names")
    with errors.status("exporting (about a minute for a large network)"):
        report = export_onnx(network, network.input_spec, network.model_name, out, opset)
    if json:
        print_json(
            {
                "path": str(report.path),
                "opset": report.opset,
                "nodes": report.nodes,
                "max_abs_difference": report.max_abs_difference,
                "max_abs_score": report.max_abs_score,
                "trained": model is None,
            }
        )
        return
    results.print(
        f"{report.path}: opset {report.opset}, {report.nodes} nodes; scores differ from torch's by at most "
        f"{report.max_abs_difference:.1e} (scores reach {report.max_abs_score:.2g})\n"
        f"next: edgefas quantize {report.path} --calibration FRAMES.npz -o {out.with_suffix('')}-int8",
        highlight=False,
    )
