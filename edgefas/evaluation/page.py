"""One self-contained HTML page of an evaluation: tables, curves, conditions, and what was judged most wrongly."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape

import cv2
import numpy as np
import numpy.typing as npt

from edgefas.evaluation import plots
from edgefas.evaluation.conditions import Condition
from edgefas.evaluation.evaluate import Figure, Report

_STYLE = """
body{font:15px/1.45 system-ui,sans-serif;margin:2em auto;max-width:72em;padding:0 1em;color:#222;background:#fff}
table{border-collapse:collapse;margin:.8em 0}
td,th{padding:.15em .8em;border-bottom:1px solid #ddd;text-align:right}
td:first-child,th:first-child{text-align:left}
.curves,.cases{display:flex;flex-wrap:wrap;gap:1em}
.curves svg{height:auto;width:32em;max-width:100%}
.case{font-size:13px;width:min-content}.case div{white-space:nowrap}.case img{height:110px;margin-right:2px}
.note{color:#a50}
"""


@dataclass(frozen=True, eq=False)
class Case:
    """A presentation that was judged wrongly, with its pictures."""

    id: str
    pai: str
    score: float
    pictures: Mapping[str, npt.NDArray[np.uint8]]
    """(H, W) grey or (H, W, 3) R, G, B, by what they show."""


@dataclass(frozen=True, eq=False)
class Page:
    """What a page shows beside the report."""

    title: str
    facts: Mapping[str, str]
    """Model, data, threshold and so on, in words."""
    report: Report
    conditions: Sequence[Condition] = ()
    rejected: Sequence[Case] = ()
    accepted: Sequence[Case] = ()
    figures: Sequence[str] = field(default=())
    """More `<svg>` elements."""


def render(page: Page) -> str:
    """The page as HTML.

    Raises:
        MissingExtra: matplotlib is not installed.
    """
    report = page.report
    curves = [plots.roc(report.test), plots.det(report.test)]
    curves += [plots.rates(report.test, report.threshold.value), plots.histograms(report.test, report.threshold.value)]
    parts = [
        html_table(("", ""), page.facts.items()),
        *(f"<p class='note'>{escape(note)}</p>" for note in report.notes),
        "<h2>At the threshold</h2>",
        _figures(report.at_threshold),
        "<h2>By PAI species</h2>",
        _species(report),
        "<h2>Curve of split test</h2>",
        _figures(report.curve),
        f"<div class='curves'>{''.join([*curves, *page.figures])}</div>",
    ]
    if page.conditions:
        parts += ["<h2>By condition</h2>", _conditions(page.conditions)]
    for title, cases in (("Bona fide rejected", page.rejected), ("Attacks accepted", page.accepted)):
        if cases:
            parts += [f"<h2>{title}, worst first</h2><div class='cases'>", *map(_case, cases), "</div>"]
    parts.append(
        "<p>Definitions follow ISO/IEC 30107-3: APCER is that of the worst species; non-responses count as the facts "
        "above say. This page is a measurement, no certificate.</p>"
    )
    return html_page(page.title, parts)


def html_page(title: str, parts: Iterable[str]) -> str:
    """A page that needs nothing else; `parts` are HTML, the title is text."""
    head = [
        f"<!doctype html><html lang='en'><meta charset='utf-8'><title>{escape(title)}</title>",
        f"<meta name='viewport' content='width=device-width'><style>{_STYLE}</style><h1>{escape(title)}</h1>",
    ]
    return "".join([*head, *parts, "</html>\n"])


def html_table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Cells are text."""
    top = "".join(f"<th>{escape(word)}</th>" for word in head)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><tr>{top}</tr>{body}</table>"


def _figures(figures: Mapping[str, Figure]) -> str:
    rows = []
    for name, figure in figures.items():
        shown = name if figure.pai is None else f"{name} ({figure.pai})"
        count = " + ".join(str(n) for n in (figure.bona_fide, figure.attacks) if n)
        value = percent(figure.value) if figure.reason is None else f"n/a: {figure.reason}"
        rows.append((shown, value, count, interval(figure.exact), interval(figure.subjects)))
    return html_table(("", "%", "n", "95 % exact", "95 % subjects"), rows)


def _species(report: Report) -> str:
    rows = [
        (
            name, str(found.presentations), str(found.nonresponses), percent(found.apcer.value),
            interval(found.apcer.exact), interval(found.apcer.subjects),
        )
        for name, found in report.species.items()
    ]  # fmt: skip
    return html_table(("species", "n", "no face", "APCER %", "95 % exact", "95 % subjects"), rows)


def _conditions(conditions: Sequence[Condition]) -> str:
    rows = [
        (f"{c.kind} {c.name}", str(c.bona_fide), percent(c.bpcer), str(c.attacks), percent(c.accepted))
        for c in conditions
    ]
    return html_table(("condition", "bona fide", "BPCER %", "attacks", "accepted %"), rows)


def _case(case: Case) -> str:
    images = "".join(
        f"<img alt='{escape(name, quote=True)}' src='data:image/jpeg;base64,{_jpeg(picture)}'>"
        for name, picture in case.pictures.items()
    )
    words = f"{escape(case.pai)}, score {case.score:.3g}<br>{escape(case.id)}"
    return f"<div class='case'><div>{images}</div>{words}</div>"


def _jpeg(picture: npt.NDArray[np.uint8]) -> str:
    stored = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR) if picture.ndim == 3 else picture
    scale = 160 / max(stored.shape[:2])
    if scale < 1:
        stored = cv2.resize(stored, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    _, data = cv2.imencode(".jpg", stored, [cv2.IMWRITE_JPEG_QUALITY, 85])
    return base64.b64encode(data.tobytes()).decode()


def percent(share: float | None) -> str:
    """A share as tables show it."""
    return "" if share is None else f"{100 * share:.2f}"


def interval(bounds: tuple[float, float] | None) -> str:
    """An interval of shares as tables show it."""
    return "" if bounds is None else f"{100 * bounds[0]:.2f} to {100 * bounds[1]:.2f}"
