"""`edgefas train --ablation`: the rows of a paper's table, trained and judged."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgefas.cli.console import print_json, results
from edgefas.errors import MissingExtra

if TYPE_CHECKING:
    from edgefas.training.ablation import Ablation, Result
    from edgefas.training.recipe import Recipe


def run_ablation(
    name: str, changes: Sequence[str], seeds: int, out: Path | None, cache: Path, workers: int, json: bool
) -> None:
    """Every row with every seed; the table is written after each run, so that what is done can be read."""
    from edgefas.cli.train import report_to, training_progress
    from edgefas.training.ablation import load_ablation, recipe_of, require_data, run_row
    from edgefas.training.ablation_table import document, markdown

    ablation = load_ablation(name)
    folder = out or Path("runs") / Path(name).stem
    recipes = [
        [recipe_of(ablation, row, seed, changes) for row in ablation.rows] for seed in range(1, seeds + 1)
    ]  # all of them first: a mistake in the last row should not cost the time of the others
    for recipe in recipes[0]:
        require_data(recipe)
    found: list[list[Result]] = [[] for _ in ablation.rows]
    facts = _facts(recipes[0][0])
    for seed, of_rows in enumerate(recipes, 1):
        for number, recipe in enumerate(of_rows, 1):
            run = folder / f"row-{number}" / f"seed-{seed}"
            with training_progress() as progress:
                report = report_to(progress, f"row {number} of {len(of_rows)}, seed {seed}: ")
                found[number - 1].append(run_row(recipe, list(ablation.figures), run, cache, workers, report))
            _write(folder, ablation, found, facts)
    if json:
        print_json(document(ablation, found, facts))
    else:
        results.print(markdown(ablation, found, facts), highlight=False, markup=False, soft_wrap=True)
        results.print(
            f"in {folder}: table.md, table.json, curves.svg, and a run folder per row and seed", highlight=False
        )


def _write(folder: Path, ablation: Ablation, found: list[list[Result]], facts: dict[str, Any]) -> None:
    from json import dumps

    from edgefas.files import write_atomically
    from edgefas.training.ablation_table import curves, document, markdown

    write_atomically(folder / "table.json", dumps(document(ablation, found, facts), indent=1).encode() + b"\n")
    write_atomically(folder / "table.md", markdown(ablation, found, facts).encode())
    with suppress(MissingExtra):
        write_atomically(folder / "curves.svg", curves(ablation, found).encode())


def _facts(recipe: Recipe) -> dict[str, Any]:
    """What the figures are of: data, command, machine."""
    from edgefas.environment import environment
    from edgefas.training.encoded import title_of
    from edgefas.training.recipe import DatasetData
    from edgefas.training.run_folder import accelerator

    assert isinstance(recipe.data, DatasetData)  # `recipe_of` saw to it
    where = environment()
    return {
        "data": title_of(recipe.data),
        "command": shlex.join(["edgefas", *sys.argv[1:]]),
        "machine": f"{where['cpu']}, {where['cores']} cores, {accelerator()}",
        "date": where["date"],
    }
