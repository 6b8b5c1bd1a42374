"""`edgefas export`: from a checkpoint to the source ONNX, whole or one part of it."""

from __future__ import annotations

import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from edgefas.cli.console import errors, print_json, results
from edgefas.errors import UsageError, require
from edgefas.files import write_atomically

if TYPE_CHECKING:
    from edgefas.engines.export import ExportReport


def command(
    checkpoint: Annotated[
        Path | None,
        typer.Argument(help="A .safetensors checkpoint of `edgefas train`; with --branch an exported .onnx, too."),
    ] = None,
    out: Annotated[Path, typer.Option("-o", "--out", help="The .onnx file to write.")] = Path("model.onnx"),
    model: Annotated[str | None, typer.Option(help="Instead of a checkpoint: an untrained network by name.")] = None,
    branch: Annotated[
        Literal["rgb", "ir", "depth", "fusion"] | None,
        typer.Option(help="Only this part: a branch gives its feature maps, the fusion takes them."),
    ] = None,
    opset: Annotated[int, typer.Option(help="ONNX operator set, 19 or later.")] = 22,
    json: Annotated[bool, typer.Option("--json", help="The report as JSON.")] = False,
) -> None:
    """Export a trained network to ONNX, with its preprocessing contract inside."""
    if branch is not None:
        _export_part(checkpoint, model, branch, out, opset, json)
        return
    report = _export(checkpoint, model, out, opset)
    if json:
        print_json(
            {
                "path": str(report.path),
                "opset": report.opset,
                "nodes": report.nodes,
                **asdict(report.parity),
                "trained": model is None,
            }
        )
        return
    parity = report.parity
    left_out = f"; {parity.undetermined} scores that float32 does not determine were left out"
    results.print(
        f"{report.path}: opset {report.opset}, {report.nodes} nodes; scores differ from torch's by at most "
        f"{parity.max_abs_difference:.1e} (scores reach {parity.max_abs_score:.2g})"
        f"{left_out if parity.undetermined else ''}\n"
        f"next: edgefas quantize {report.path} --calibration FRAMES.npz -o {out.with_suffix('')}-int8",
        highlight=False,
    )


def _export(checkpoint: Path | None, model: str | None, out: Path, opset: int) -> ExportReport:
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
        return export_onnx(network, network.input_spec, network.model_name, out, opset)


def _export_part(
    checkpoint: Path | None,
    model: str | None,
    part: Literal["rgb", "ir", "depth", "fusion"],
    out: Path,
    opset: int,
    json: bool,
) -> None:
    """The whole is exported and compared with torch, then cut; the cut computes what the whole does there."""
    require("onnx", "export")
    from edgefas.engines.lowering.branches import cut_branch
    from edgefas.engines.lowering.check import load_graph

    with tempfile.TemporaryDirectory() as scratch:
        whole = checkpoint
        if model is not None or checkpoint is None or checkpoint.suffix != ".onnx":
            whole = _export(checkpoint, model, Path(scratch) / "whole.onnx", opset).path
        assert whole is not None
        cut = cut_branch(load_graph(whole), part)
    write_atomically(out, cut.SerializeToString())
    outputs = {v.name: [d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim] for v in cut.graph.output}
    inputs = {v.name: [d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim] for v in cut.graph.input}
    if json:
        print_json({"path": str(out), "branch": part, "inputs": inputs, "outputs": outputs, "trained": model is None})
        return
    results.print(f"{out}: the {part} part, {_shapes(inputs)} -> {_shapes(outputs)}", highlight=False)


def _shapes(values: dict[str, list[int | str]]) -> str:
    return ", ".join(f"{name} ({', '.join(map(str, shape))})" for name, shape in values.items())
