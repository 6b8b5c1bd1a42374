"""The tables of `edgefas evaluate`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from edgefas.cli.console import errors, results

if TYPE_CHECKING:
    from rich.table import Table

    from edgefas.evaluation.evaluate import Figure, Report
    from edgefas.evaluation.flips import Flips
    from edgefas.evaluation.intervals import Mean


def print_report(source: str, report: Report) -> None:
    """What there is to read of a report."""
    from rich.markup import escape
    from rich.table import Table

    table = Table("PAI species", title=f"{escape(source)}: split test by {report.level}")
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


def print_means(means: dict[str, Mean]) -> None:
    """Means over runs."""
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


def print_flips(flips: Sequence[Flips], old: str) -> None:
    """Whose decision is another one than that of `old`."""
    table = _table("species", "n", "now accepted", "now rejected")
    table.title = f"decisions against {Path(old).name}"
    for flip in flips:
        counts = (flip.presentations, flip.now_accepted, flip.now_rejected)
        table.add_row(flip.pai, *(str(count) for count in counts))
    results.print(table)
