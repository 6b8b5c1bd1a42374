"""`edgefas train`: a checkpoint from a recipe."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from edgefas.cli.console import errors, print_json, results
from edgefas.errors import require

if TYPE_CHECKING:
    from edgefas.training.recipe import Recipe


def command(
    recipe: Annotated[str, typer.Argument(help="Name of a shipped recipe, or a .yaml file.")],
    changes: Annotated[
        list[str] | None, typer.Argument(help="key=value: a recipe's key and its value for this run.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Run folder; default runs/RECIPE.")] = None,
    cache: Annotated[Path, typer.Option(help="Where rendered samples are kept.")] = Path(".cache/data"),
    workers: Annotated[int, typer.Option(min=0, max=64, help="Processes that read a data set's pictures.")] = 2,
    resume: Annotated[bool, typer.Option(help="Go on with the run in --out.")] = False,
    json: Annotated[bool, typer.Option("--json", help="The last epoch's result as JSON.")] = False,
) -> None:
    """Train a network by a recipe; leaves best.safetensors and history.jsonl in the run folder."""
    require("torch", "train")
    require("lightning_fabric", "train")
    from edgefas.training.loop import CHECKPOINT, train
    from edgefas.training.recipe import load_recipe

    parsed = load_recipe(recipe, changes or ())
    folder = out or Path("runs") / Path(recipe).stem
    with training_progress() as progress:
        result = train(parsed, folder, cache, workers=workers, resume=resume, report=report_to(progress))
    checkpoint = folder / CHECKPOINT
    if json:
        print_json({"checkpoint": str(checkpoint), "epoch": result.epoch, "eer": result.eer, "loss": result.loss})
        return
    results.print(
        f"{checkpoint}: last epoch {result.epoch + 1}, loss {result.loss:.4f}, validation EER {result.eer:.2%} "
        f"on {data_of(parsed)}\nnext: edgefas export {checkpoint} -o {folder / 'model.onnx'}",
        highlight=False,
    )


def data_of(recipe: Recipe) -> str:
    """What a figure of the run was measured on."""
    return "simulated data" if recipe.data.kind == "simulated" else f"{recipe.data.dataset}, split dev"


def training_progress() -> Progress:
    """Bars on stderr: what, how far, how long."""
    return Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=errors
    )


def report_to(progress: Progress, prefix: str = "") -> Callable[[str, int, int], None]:
    """What the loop reports, as one bar per kind of work; finished ones leave the screen."""
    tasks: dict[str, TaskID] = {}

    def report(what: str, done: int, total: int) -> None:
        if what not in tasks:
            tasks[what] = progress.add_task(prefix + what, total=total)
        progress.update(tasks[what], completed=done, total=total, visible=what == "epoch" or done < total)

    return report
