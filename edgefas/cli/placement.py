"""`edgefas placement`: which layers of a Q/DQ file TensorRT runs in INT8."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgefas.cli.console import errors, print_json, results
from edgefas.errors import CheckFailed, require
from edgefas.files import write_atomically

if TYPE_CHECKING:
    from edgefas.engines.lowering.check import Placement


def command(
    model: Annotated[Path, typer.Argument(help="A quantised .onnx, of edgefas or of any other tool.")],
    svg: Annotated[Path | None, typer.Option(help="Draw it as a graph into this file.")] = None,
    json: Annotated[bool, typer.Option("--json", help="JSON instead of tables.")] = False,
) -> None:
    """Say which layers TensorRT runs in INT8, which not, and why; no GPU needed. Ends with 3 if it refuses the file."""
    require("onnx", "export")
    from edgefas.engines.lowering.check import check_placement, load_graph

    graph = load_graph(model)
    found = check_placement(graph)
    if svg is not None:
        from edgefas.engines.lowering.draw import placement_svg

        write_atomically(svg, placement_svg(graph, found).encode())
        errors.print(f"{svg} written", highlight=False)
    if json:
        counts = {verdict: found.count(verdict) for verdict in ("int8", "float", "refused")}
        print_json({"schema": 1, "model": str(model), "counts": counts, **asdict(found)})
    else:
        _print(found)
    if found.refused:
        raise CheckFailed(f"TensorRT does not take {model}: {found.refused[0]}")


def _print(found: Placement) -> None:
    from rich.table import Table

    layers = Table("layer", "op", "runs", "why, or what it costs", title="weighted layers")
    for layer in found.layers:
        layers.add_row(
            layer.weight or layer.name, layer.op, layer.verdict.upper(), "; ".join([*layer.reasons, *layer.notes])
        )
    sums = Table("sum", "quantised branches", "", title="sums of two activations")
    for add in found.adds:
        sums.add_row(add.name, str(add.quantised_branches), add.note)
    edges = Table("tensor", "why", title="between INT8 and float: a reformat may stand here")
    for boundary in found.boundaries:
        edges.add_row(boundary.tensor, boundary.why)
    shown = [table for table in (layers, sums, edges) if table.row_count]
    results.print(*shown)
    results.print(
        f"{found.count('int8')} of {len(found.layers)} layers in INT8, {found.count('float')} float, "
        f"{found.count('refused')} refused; {len(found.boundaries)} boundaries",
        highlight=False,
    )
