"""`edgefas evaluate`: a network, or scores made elsewhere, by the standard's definitions."""

from __future__ import annotations

import json as jsonlib
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from edgefas.cli.console import errors, print_json, results
from edgefas.cli.evaluation_tables import print_flips, print_means, print_report
from edgefas.contracts import Modality
from edgefas.errors import UsageError

if TYPE_CHECKING:
    from edgefas.data import SampleTable
    from edgefas.evaluation.evaluate import Report
    from edgefas.evaluation.flips import Flips
    from edgefas.evaluation.network import Judged
    from edgefas.evaluation.scores import Scores
    from edgefas.evaluation.thresholds import Rule

KINDS = "A .safetensors checkpoint, .onnx, folder of `edgefas quantize` or `edgefas build`, or bundle."


def command(
    model: Annotated[Path | None, typer.Argument(help=KINDS, show_default=False)] = None,
    data: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Of the data set.")] = None,
    dataset: Annotated[str | None, typer.Option(help="Which; see: edgefas data list.")] = None,
    protocol: Annotated[str | None, typer.Option(help="Default: the data set's first.")] = None,
    scores: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE.csv", help="Columns id,subject,label,pai,split,score; again per further run."),
    ] = None,
    merge: Annotated[
        list[Path] | None, typer.Option(metavar="FOLDER", help="Of --shard, one after the other: all of one run.")
    ] = None,
    threshold: Annotated[
        str, typer.Option(metavar="RULE", help="dev-eer, bpcer=SHARE, apcer=SHARE (of split dev) or fixed=SCORE.")
    ] = "dev-eer",
    nonresponse: Annotated[
        Literal["reject", "exclude", "error"], typer.Option(help="What a row without a score (no face) counts as.")
    ] = "reject",
    level: Annotated[
        Literal["frame", "video"], typer.Option(help="Each row, or the mean log-odds of the rows of a video.")
    ] = "frame",
    moments: Annotated[int, typer.Option(min=1, max=1000, help="Of each clip, at equal distances.")] = 10,
    drop_modality: Annotated[
        list[Modality] | None, typer.Option(help="Show the network nothing there; again for more.")
    ] = None,
    allow: Annotated[list[str] | None, typer.Option(help="A kind of leak that shall not stop it.")] = None,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Threads that read and prepare pictures.")] = 2,
    threads: Annotated[int, typer.Option(min=0, help="Threads of the engine; 0: all cores.")] = 0,
    shard: Annotated[str | None, typer.Option(metavar="I/N", help="Score this part only, into --out.")] = None,
    against: Annotated[
        Path | None, typer.Option(metavar="FILE.csv", help="Scores of another network: whose decision changed.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="A folder for scores.csv, evaluation.json, curve.csv and report.html.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
) -> None:
    """APCER, BPCER and the rest on split test, at a threshold chosen on split dev.

    Of several runs (seeds, sub-protocols) the means are told, too.
    """
    from edgefas.evaluation.documents import SCHEMA, curve, document
    from edgefas.evaluation.evaluate import evaluate, means_over_runs
    from edgefas.evaluation.score_files import read_scores
    from edgefas.evaluation.thresholds import parse_rule
    from edgefas.files import write_atomically

    rule = parse_rule(threshold)
    judged: Judged | None = None
    tables: dict[str, Scores] = {}
    if sum(map(bool, (model, scores, merge))) != 1:
        raise UsageError("give one of: MODEL with --data and --dataset, --scores FILE.csv, or --merge FOLDER")
    if model is not None:
        if data is None or dataset is None:
            raise UsageError("a network is judged by a data set: give --data FOLDER and --dataset NAME")
        table = _opened(data, dataset, protocol, allow or [])
        judged = _judge(model, table, moments, drop_modality or [], workers, threads, shard)
        if out is not None:
            judged.write(out)
        if judged.run.shards > 1:
            _told_of_shard(judged, out)
            return
        tables[judged.run.model] = judged.scores
    elif merge:
        judged = _merged(merge)
        if out is not None:
            judged.write(out)
        tables[judged.run.model] = judged.scores
    else:
        for path in scores or ():
            with errors.status(f"reading {path}"):
                tables[str(path)] = read_scores(path)
    reports: dict[str, Report] = {}
    for name, found in tables.items():
        with errors.status(f"evaluating {name}"):
            reports[name] = evaluate(found, rule, nonresponse, level)
    means = means_over_runs(list(reports.values())) if len(reports) > 1 else {}
    flips = [] if against is None else _flips(against, tables, reports, rule, nonresponse, level)
    made = {
        "schema": SCHEMA,
        "network": None if judged is None else jsonlib.loads(judged.run.to_json()),
        "runs": [{"file": name, **document(report)} for name, report in reports.items()],
        "over_runs": {name: asdict(mean) for name, mean in means.items()},
        "flips": [asdict(flip) for flip in flips],
    }
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        write_atomically(out / "evaluation.json", jsonlib.dumps(made, indent=1, allow_nan=False).encode() + b"\n")
        write_atomically(out / "curve.csv", curve(reports).encode())
        _page(out, reports, tables, judged)
    if json:
        print_json(made)
        return
    for name, report in reports.items():
        print_report(name, report)
    if means:
        print_means(means)
    if flips:
        print_flips(flips, str(against))


def _opened(data: Path, dataset: str, protocol: str | None, allow: Sequence[str]) -> SampleTable:
    from edgefas.cli.data import kinds
    from edgefas.data import open_dataset, require_sound

    with errors.status("reading lists"):
        table = open_dataset(dataset, data, protocol)
        require_sound(table, kinds(allow))
    return table


def _judge(
    model: Path,
    table: SampleTable,
    moments: int,
    dropped: Sequence[Modality],
    workers: int,
    threads: int,
    shard: str | None,
) -> Judged:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from edgefas.evaluation.network import judge
    from edgefas.evaluation.run import Shard, parse_shard

    part = Shard() if shard is None else parse_shard(shard)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=errors, transient=True, disable=not errors.is_terminal) as bars:
        task = bars.add_task("scoring", total=None)

        def show(done: int, total: int) -> None:
            bars.update(task, completed=done, total=total)

        return judge(model, table, part, moments, frozenset(dropped), workers=workers, threads=threads, progress=show)


def _merged(folders: Sequence[Path]) -> Judged:
    from edgefas.evaluation.network import Judged
    from edgefas.evaluation.run import merge_runs

    return Judged(*merge_runs(folders))


def _told_of_shard(judged: Judged, out: Path | None) -> None:
    run = judged.run
    if out is None:
        raise UsageError("--shard needs --out: its scores are put together by --merge")
    words = f"shard {run.shard} of {run.shards}: {len(judged.scores)} scores in {out}; put all together: --merge FOLDER"
    results.print(words, highlight=False, markup=False, soft_wrap=True)


def _flips(
    against: Path,
    tables: dict[str, Scores],
    reports: dict[str, Report],
    rule: Rule,
    nonresponse: Literal["reject", "exclude", "error"],
    level: Literal["frame", "video"],
) -> list[Flips]:
    from edgefas.evaluation.evaluate import evaluate
    from edgefas.evaluation.flips import decision_flips
    from edgefas.evaluation.score_files import read_scores
    from edgefas.evaluation.scores import by_video

    if len(tables) != 1:
        raise UsageError("--against compares one network with another; give one file of scores")
    old = read_scores(against)
    before = evaluate(old, rule, nonresponse, level).threshold.value
    (new,), (report,) = tables.values(), reports.values()
    if level == "video":
        old, new = by_video(old), by_video(new)
    return decision_flips(old, new, before, report.threshold.value)


def _page(out: Path, reports: dict[str, Report], tables: dict[str, Scores], judged: Judged | None) -> None:
    """The page, where it can be made; what cannot is no reason to lose the rest."""
    from edgefas.errors import MissingExtra
    from edgefas.evaluation.network import page_of
    from edgefas.evaluation.page import render
    from edgefas.files import write_atomically

    if len(reports) != 1:
        return
    ((name, report),) = reports.items()
    try:
        with errors.status("drawing"):
            page = render(page_of(name, report, tables[name], judged))
    except MissingExtra as error:
        errors.print(f"no report.html: {error}", style="yellow", highlight=False, markup=False, soft_wrap=True)
        return
    write_atomically(out / "report.html", page.encode())
