"""`edgefas data`: what data sets hold, whether their lists can be trusted, and simulated ones in their layouts."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgefas.cli.console import errors, print_json, results
from edgefas.errors import CheckFailed, UsageError

if TYPE_CHECKING:
    from edgefas.data import Kind, Report, SampleTable

app = typer.Typer(no_args_is_help=True, help="Data sets: what they hold, and whether their lists can be trusted.")

Json = Annotated[bool, typer.Option("--json", help="One JSON document.")]


@app.command("list")
def list_datasets(json: Json = False) -> None:
    """The data sets and protocols that are read."""
    from rich.table import Table

    from edgefas.data import DATASETS

    if json:
        print_json(
            {
                name: {"title": known.title, "protocols": known.protocols, "others": known.others}
                for name, known in DATASETS.items()
            }
        )
        return
    table = Table("--dataset", "", "--protocol", box=None, pad_edge=False)
    for name, known in DATASETS.items():
        table.add_row(name, known.title, ", ".join(filter(None, (*known.protocols, known.others))))
    results.print(table)


@app.command("check")
def check_dataset(
    root: Annotated[Path, typer.Argument(help="The folder of the data set.", show_default=False)],
    dataset: Annotated[str, typer.Option(help="Which; see: edgefas data list.", show_default=False)],
    protocol: Annotated[str | None, typer.Option(help="Default: its first.", show_default=False)] = None,
    decode: Annotated[
        bool, typer.Option(help="Read a picture of each sample, or look only whether files exist.")
    ] = True,
    allow: Annotated[
        list[str] | None, typer.Option(help="A kind of problem that is told, but is no failure; may be repeated.")
    ] = None,
    json: Json = False,
) -> None:
    """Samples by split and PAI, leaks between splits, labels that give themselves away, missing and broken files.

    Exits 3 if something is wrong with the samples; a list that is not what its format says is an error.
    """
    from edgefas.data import check_lists, open_dataset

    allowed = kinds(allow or [])
    with errors.status("reading lists"):
        table = open_dataset(dataset, root, protocol)
        report = check_lists(table)
    report = _with_files(table, report, decode)
    if json:
        print_json(asdict(report))
    else:
        _print(report)
    failed = [problem for problem in report.problems if problem.kind not in allowed]
    if failed:
        found = ", ".join(dict.fromkeys(problem.kind.value for problem in failed))
        raise CheckFailed(f"{dataset} {report.protocol} in {root} is not sound: {found}")


@app.command("synth")
def synthesise(
    out: Annotated[Path, typer.Argument(help="The folder to make; must not exist.", show_default=False)],
    layout: Annotated[
        str, typer.Option(help="A data set of `edgefas data list`, or bench-v1, a frozen set.", show_default=False)
    ],
    subjects: Annotated[int | None, typer.Option(min=1, help="People; default: of the layout.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Who and everything else; default: 0.")] = None,
    frames: Annotated[int | None, typer.Option(min=1, max=300, help="Of a clip; default: of the layout.")] = None,
    workers: Annotated[int | None, typer.Option(min=1, max=256, help="Processes; default: a core each.")] = None,
    json: Json = False,
) -> None:
    """A data set in a public layout, made by the simulated camera: for tools and tests, never for claims."""
    from edgefas.data.synth import LAYOUTS, WARNING, facts_of, wanted_of, write_tree

    wanted = wanted_of(layout, subjects, seed, frames)
    tree = LAYOUTS[layout].plan(wanted)
    facts = facts_of(layout, wanted, tree)
    pictures = sum(len(clip.frames) for clip in tree.clips)
    with _bar("rendering", pictures) as show:
        write_tree(out, layout, tree, facts, workers or os.cpu_count() or 1, show)
    if json:
        print_json({"out": str(out), "pictures": pictures, **facts})
        return
    _say(f"{out}: {facts['clips']} clips, {pictures} pictures of each modality, layout {layout}")
    _say(WARNING)
    _say(f"next: edgefas data check {out} --dataset {LAYOUTS[layout].dataset}")


def kinds(words: Sequence[str]) -> set[Kind]:
    """Kinds of problems by their names, as `--allow` takes them."""
    from edgefas.data import Kind

    known = {kind.value: kind for kind in Kind}
    wrong = next((word for word in words if word not in known), None)
    if wrong is not None:
        raise UsageError(f"--allow {wrong!r}: expected one of {', '.join(known)}")
    return {known[word] for word in words}


def _with_files(table: SampleTable, report: Report, decode: bool) -> Report:
    from edgefas.data import check_files

    with _bar("reading pictures" if decode else "looking for files", len(table)) as show:
        return check_files(table, report, decode=decode, progress=show)


@contextmanager
def _bar(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """A progress bar on a terminal; gives what is told how many are done."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=errors, transient=True, disable=not errors.is_terminal) as bars:
        task = bars.add_task(what, total=total)
        yield lambda done: bars.update(task, completed=done)


def _print(report: Report) -> None:
    from rich.table import Table

    species = list(dict.fromkeys(name for by_pai in report.counts.values() for name in by_pai))
    table = Table("", *report.counts, box=None, pad_edge=False, title=f"{report.dataset} {report.protocol}")
    for name in species:
        table.add_row(name, *(str(by_pai.get(name, 0)) for by_pai in report.counts.values()))
    table.add_row("all", *(str(sum(by_pai.values())) for by_pai in report.counts.values()))
    table.add_row("subjects", *(str(number or "not told") for number in report.subjects.values()))
    results.print(table)
    for note in report.lists:
        _say(f"{note.file}: {note.form}; {note.checked} of {note.lines} labels confirmed by their paths")
    for text in report.notes:
        _say(f"note: {text}")
    for problem in report.problems:
        _say(f"{problem.kind.value}: {problem.text}")
    done = {"exist": "files looked for, not read (--decode reads them)", "decoded": "a picture of each sample read"}
    _say(f"{report.samples} samples, {done.get(report.files, report.files)}, {len(report.problems) or 'no'} problems")


def _say(text: str) -> None:
    results.print(text, highlight=False, markup=False, soft_wrap=True)
