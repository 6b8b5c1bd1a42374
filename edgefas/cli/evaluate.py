"""`edgefas evaluate`: error rates by the standard's definitions from a file of scores."""

from __future__ import annotations

import csv
import io
import json as jsonlib
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from edgefas.cli.console import errors, print_json, results

if TYPE_CHECKING:
    from rich.table import Table

    from edgefas.evaluation.evaluate import Figure, Report
    from edgefas.evaluation.intervals import Mean

SCHEMA = "edgefas.evaluation/1"
CURVE_POINTS = 1000


def command(
    scores: Annotated[
        list[Path],
        typer.Option(metavar="FILE.csv", help="Columns id,subject,label,pai,split,score; again per further run."),
    ],
    threshold: Annotated[
        str, typer.Option(metavar="RULE", help="dev-eer, bpcer=SHARE, apcer=SHARE (of split dev) or fixed=SCORE.")
    ] = "dev-eer",
    nonresponse: Annotated[
        Literal["reject", "exclude", "error"], typer.Option(help="What a row without a score (no face) counts as.")
    ] = "reject",
    level: Annotated[
        Literal["frame", "video"], typer.Option(help="Each row, or the mean log-odds of the rows of a video.")
    ] = "frame",
    out: Annotated[Path | None, typer.Option(help="A folder for evaluation.json and curve.csv.")] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
) -> None:
    """APCER, BPCER and the rest on split test, at a threshold chosen on split dev.

    Of several runs (seeds, sub-protocols) the means are told, too.
    """
    from edgefas.evaluation.evaluate import evaluate, means_over_runs
    from edgefas.evaluation.score_files import read_scores
    from edgefas.evaluation.thresholds import parse_rule
    from edgefas.files import write_atomically

    rule = parse_rule(threshold)
    reports = []
    for path in scores:
        with errors.status(f"evaluating {path}"):
            reports.append(evaluate(read_scores(path), rule, nonresponse, level))
    means = means_over_runs(reports) if len(reports) > 1 else {}
    document = {
        "schema": SCHEMA,
        "runs": [{"file": str(path), **_document(report)} for path, report in zip(scores, reports, strict=True)],
        "over_runs": {name: asdict(mean) for name, mean in means.items()},
    }
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        write_atomically(out / "evaluation.json", jsonlib.dumps(document, indent=1, allow_nan=False).encode() + b"\n")
        write_atomically(out / "curve.csv", _curve(scores, reports).encode())
    if json:
        print_json(document)
        return
    for path, report in zip(scores, reports, strict=True):
        _print(path, report)
    if means:
        _print_means(means)


def _document(report: Report) -> dict[str, Any]:
    return {
        "level": report.level,
        "nonresponse": report.nonresponse,
        "presentations": report.rows,
        "subjects": report.subjects,
        "threshold": asdict(report.threshold),
        "dev": None
        if report.dev is None
        else {"APCER": report.dev.max_apcer, "APCER_per_PAI": report.dev.apcer, "BPCER": report.dev.bpcer},
        "PAI": {
            name: {
                "presentations": species.presentations,
                "nonresponses": species.nonresponses,
                "APNRR": species.nonresponses / species.presentations,
                "APCER": _said(species.apcer),
            }
            for name, species in report.species.items()
        },
        "at_threshold": {name: _said(figure) for name, figure in report.at_threshold.items()},
        "curve": {name: _said(figure) for name, figure in report.curve.items()},
        "notes": list(report.notes),
    }


def _said(figure: Figure) -> dict[str, Any]:
    """What there is of a figure; its value and counts always."""
    always = ("value", "bona_fide", "attacks")
    return {key: value for key, value in asdict(figure).items() if key in always or value is not None}


def _curve(paths: Sequence[Path], reports: Sequence[Report]) -> str:
    """Error rates at up to about a thousand thresholds of each run."""
    from edgefas.evaluation.metrics import count_errors
    from edgefas.evaluation.presentations import few_cuts

    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["file", "threshold", "APCER", "APCER_pooled", "BPCER"])
    for path, report in zip(paths, reports, strict=True):
        for cut in few_cuts(report.test, CURVE_POINTS).tolist():
            found = count_errors(report.test, cut)
            writer.writerow([path, cut, found.rates.max_apcer, found.pooled_apcer, found.rates.bpcer])
    return text.getvalue()


def _print(path: Path, report: Report) -> None:
    from rich.markup import escape
    from rich.table import Table

    table = Table("PAI species", title=f"{escape(str(path))}: split test by {report.level}")
    for heading in ("n", "no face", "APCER %", "95 % exact", "95 % subjects"):
        table.add_column(heading, justify="right", no_wrap=True)
    for name, species in report.species.items():
        apcer = species.apcer
        table.add_row(
            escape(name), f"{species.presentations}", f"{species.nonresponses}", _percent(apcer.value),
            _interval(apcer.exact), _interval(apcer.subjects),
        )  # fmt: skip
    results.print(table)
    table = _table("at the threshold", "%", "n", "95 % exact", "95 % subjects")
    for name, figure in report.at_threshold.items():
        table.add_row(name, _percent(figure.value), _count(figure), _interval(figure.exact), _interval(figure.subjects))
    results.print(table)
    table = _table("curve of split test", "%", "n", "reached %", "95 % subjects")
    for name, figure in report.curve.items():
        reached = "" if figure.achieved is None else _percent(figure.achieved)
        table.add_row(name, _percent(figure.value), _count(figure), reached, _interval(figure.subjects))
    results.print(table)
    results.print(*_lines(report), sep="\n", highlight=False, markup=False, soft_wrap=True)
    for note in report.notes:
        errors.print(f"note: {note}", style="yellow", highlight=False, markup=False, soft_wrap=True)


def _lines(report: Report) -> list[str]:
    """What the tables have no room for."""
    chosen = report.threshold
    source = "as given" if chosen.split is None else f"chosen by {chosen.rule} on split {chosen.split}"
    lines = [
        f"threshold {chosen.value:.6g}, {source}; accepted is score >= threshold",
        f"APCER is that of {report.at_threshold['APCER'].pai}, the worst species; APCER_pooled hides it",
        f"no face: {report.nonresponse}; n: bona fide + attacks; exact: if presentations were independent",
    ]
    if report.dev is not None:
        lines.append(f"on dev at this threshold: APCER {report.dev.max_apcer:.2%}, BPCER {report.dev.bpcer:.2%}")
    return lines + [f"{name} is n/a: {figure.reason}" for name, figure in report.curve.items() if figure.reason]


def _print_means(means: dict[str, Mean]) -> None:
    table = _table("over the runs", "runs", "mean %", "std %", "95 % of the mean (t)")
    for name, mean in means.items():
        reach = None if mean.low is None or mean.high is None else (mean.low, mean.high)
        table.add_row(name, f"{mean.runs}", _percent(mean.mean), _percent(mean.std), _interval(reach))
    results.print(table)


def _table(title: str, *headings: str) -> Table:
    from rich.table import Table

    table = Table()
    table.add_column(title, no_wrap=True)
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    return table


def _count(figure: Figure) -> str:
    return " + ".join(str(count) for count in (figure.bona_fide, figure.attacks) if count)


def _percent(share: float | None) -> str:
    return "n/a" if share is None else f"{100 * share:.2f}"


def _interval(interval: tuple[float, float] | None) -> str:
    return "" if interval is None else f"{100 * interval[0]:.2f} to {100 * interval[1]:.2f}"
