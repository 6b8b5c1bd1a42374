"""`edgefas models`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgefas.cli.console import print_json, results
from edgefas.errors import require

if TYPE_CHECKING:
    from edgefas.models import ModelEntry


def command(
    name: Annotated[
        str | None, typer.Argument(help="Only this one, with its options and what its paper leaves open.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON list instead of the table.")] = False,
) -> None:
    """List the networks: parameters, MACs and FLOPs beside the papers' figures."""
    require("torch", "train")
    require("safetensors", "train")
    from edgefas.models import find_model, list_models

    entries = list_models() if name is None else [find_model(name)]
    rows = [_row(entry) for entry in entries]
    if json:
        print_json(rows if name is None else [{**rows[0], "options": _options(entries[0]), "about": entries[0].about}])
        return
    _print_table(rows)
    if name is not None:
        _print_options(entries[0])


def _print_table(rows: list[dict[str, Any]]) -> None:
    from rich.table import Table

    table = Table()
    for header in ("name", "params M", "GMACs", "GFLOPs"):
        table.add_column(header, no_wrap=True, justify="left" if header == "name" else "right")
    table.add_column("inputs")
    table.add_column("paper")
    for row in rows:
        table.add_row(
            row["name"],
            f"{row['params'] / 1e6:.2f}",
            f"{row['macs'] / 1e9:.3f}",
            f"{row['flops'] / 1e9:.3f}",
            "\n".join(f"{name} {'x'.join(map(str, shape))}" for name, shape in row["inputs"].items()),
            _paper(row["paper"]) if row["paper"] else "-",
        )
    results.print(table)
    results.print("one face; a MAC is one multiply-accumulate, FLOPs = 2 x MACs; (%) is ours against the paper")


def _print_options(entry: ModelEntry) -> None:
    from rich.markup import escape
    from rich.table import Table

    table = Table("option", "default", "", title="model_options of a recipe")
    for name, option in _options(entry).items():
        table.add_row(name, escape(str(option["default"])), escape(option["description"]))
    results.print(table)
    results.print(entry.about, highlight=False, markup=False)


def _options(entry: ModelEntry) -> dict[str, dict[str, Any]]:
    defaults = entry.defaults.model_dump(mode="json")
    fields = type(entry.defaults).model_fields
    return {name: {"default": value, "description": fields[name].description or ""} for name, value in defaults.items()}


def _row(entry: ModelEntry) -> dict[str, Any]:
    import torch

    from edgefas.models import count, create_model

    spec = entry.input_spec
    with torch.device("meta"):  # shapes are enough to count; nothing is computed
        ours = count(create_model(entry.name), spec)
    paper = entry.paper and {
        "title": entry.paper.title,
        "source": entry.paper.source,
        "params_m": entry.paper.params_m,
        "gmacs": entry.paper.gmacs,
        "params_deviation_percent": _deviation(ours.params / 1e6, entry.paper.params_m, entry.paper.comparable),
        "macs_deviation_percent": _deviation(ours.macs / 1e9, entry.paper.gmacs, entry.paper.comparable),
    }
    return {
        "name": entry.name,
        "params": ours.params,
        "macs": ours.macs,
        "flops": ours.flops,
        "inputs": {m.value: spec.shape(m) for m in spec.modalities},
        "paper": paper,
    }


def _deviation(ours: float, paper: float | None, comparable: bool) -> float | None:
    """Percent; None where the paper is silent or speaks of another input size or head."""
    return round((ours / paper - 1) * 100, 2) if paper is not None and comparable else None


def _paper(paper: dict[str, Any]) -> str:
    figures = [
        f"{paper[figure]:g} {unit}" + (f" ({paper[deviation]:+.1f} %)" if paper[deviation] is not None else "")
        for figure, unit, deviation in (
            ("params_m", "M", "params_deviation_percent"),
            ("gmacs", "GMACs", "macs_deviation_percent"),
        )
        if paper[figure] is not None
    ]
    return f"{', '.join(figures)}: {paper['title']}, {paper['source']}"
