"""`edgefas train`: a checkpoint from a recipe."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
import yaml
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from edgefas.cli.console import errors, print_json, results
from edgefas.errors import UsageError, require

if TYPE_CHECKING:
    from edgefas.training.progress import Report
    from edgefas.training.recipe import Recipe


def command(
    recipe: Annotated[
        str | None,
        typer.Argument(
            help="Name of a shipped recipe, or a .yaml file; not with --ablation. A wrong name lists them.",
            show_default=False,
        ),
    ] = None,
    changes: Annotated[
        list[str] | None,
        typer.Argument(help="key=value: a recipe's key and its value for this run; with --ablation, of every row."),
    ] = None,
    ablation: Annotated[
        str | None, typer.Option(metavar="NAME", help="Instead of a recipe: a paper's table, or a .yaml file.")
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, max=100, help="Of an ablation: runs of every row.")] = 1,
    out: Annotated[Path | None, typer.Option(help="Run folder; default runs/RECIPE.")] = None,
    cache: Annotated[Path, typer.Option(help="Where rendered samples are kept.")] = Path(".cache/data"),
    workers: Annotated[int, typer.Option(min=0, max=64, help="Processes that read a data set's pictures.")] = 2,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what it would take, and train nothing.")] = False,
    resume: Annotated[bool, typer.Option(help="Go on with the run in --out; an ablation always does.")] = False,
    json: Annotated[bool, typer.Option("--json", help="The best epoch, or the table, as JSON.")] = False,
) -> None:
    """Train a network by a recipe; leaves checkpoints, metrics and curves in the run folder."""
    require("torch", "train")
    require("lightning_fabric", "train")
    require("tensorboardX", "train")
    if ablation is not None:
        from edgefas.cli.ablation import run_ablation

        if dry_run:
            raise UsageError(
                "--dry-run looks at one recipe; give it without --ablation: edgefas train RECIPE --dry-run"
            )
        told = [recipe, *(changes or ())] if recipe else []
        run_ablation(ablation, told, seeds, out, cache, workers, json)
        return
    if recipe is None:
        raise UsageError("what shall be trained? give a RECIPE, or --ablation NAME")
    if seeds != 1:
        raise UsageError(f"--seeds {seeds} is of an ablation; of a recipe the seed is a key: seed=2")
    from edgefas.training.loop import train
    from edgefas.training.recipe import load_recipe
    from edgefas.training.run_folder import CHECKPOINT

    parsed = load_recipe(recipe, changes or ())
    if dry_run:
        _dry_run(parsed, json)
        return
    folder = out or Path("runs") / Path(recipe).stem
    with training_progress() as progress:
        best = train(parsed, folder, cache, workers=workers, resume=resume, report=report_to(progress))
    if best is None:  # the first of several processes tells
        return
    checkpoint = folder / CHECKPOINT
    if json:
        print_json({"checkpoint": str(checkpoint), **asdict(best), "epoch": best.epoch + 1, "epochs": parsed.epochs})
        return
    results.print(
        f"{checkpoint}: epoch {best.epoch + 1} of {parsed.epochs}, the best; loss {best.loss:.4f}, validation loss "
        f"{best.validation_loss:.4f}, EER {best.eer:.2%} on {data_of(parsed)}\n"
        f"next: edgefas export {checkpoint} -o {folder / 'model.onnx'}",
        highlight=False,
        soft_wrap=True,
    )


def _dry_run(recipe: Recipe, json: bool) -> None:
    from edgefas.training.dry_run import dry_run

    with errors.status("taking a step"):
        found = dry_run(recipe)
    if json:
        print_json({"recipe": recipe.model_dump(mode="json"), **asdict(found)})
        return
    results.print(yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False), highlight=False, markup=False)
    for name, number in found.parameters.items():
        results.print(f"{name}: {number / 1e6:.3f} M parameters", highlight=False, markup=False)
    results.print(
        f"{found.gmacs:.3f} GMACs per face; {found.state_mb:.0f} MB of weights, gradients and optimiser, "
        f"{found.peak_mb:.0f} MB of this process at its peak; a step of {recipe.batch_size} takes {found.step_s:.2f} s "
        f"here ({found.images_per_s:.1f} images a second, in float32)",
        highlight=False, soft_wrap=True,
    )  # fmt: skip


def data_of(recipe: Recipe) -> str:
    """What a figure of the run was measured on."""
    if recipe.data.kind == "simulated":
        return "simulated data"
    from edgefas.training.encoded import title_of

    return f"split dev of {title_of(recipe.data)}"


@contextmanager
def training_progress() -> Iterator[Progress]:
    """Bars on stderr: what, how far, how quickly, how long, and how it goes; nothing where nothing is reported."""
    progress = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
        console=errors,
    )
    try:
        yield progress
    finally:
        if progress.live.is_started:
            progress.stop()


def report_to(progress: Progress, prefix: str = "") -> Report:
    """What the loop reports, as one bar per kind of work; finished ones leave the screen."""
    tasks: dict[str, TaskID] = {}

    def report(what: str, done: int, total: int, note: str = "") -> None:
        if what not in tasks:
            progress.start()
            tasks[what] = progress.add_task(prefix + what, total=total, rate="", note="")
        speed = next(task.speed for task in progress.tasks if task.id == tasks[what])
        rate = "" if speed is None else f"{speed:.2f}/s"
        shown = what == "epoch" or done < total
        progress.update(tasks[what], completed=done, total=total, visible=shown, rate=rate, note=note)

    return report
