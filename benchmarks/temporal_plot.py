"""Error against time as an SVG, without a plotting library."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH_PX, HEIGHT_PX, GAP_PX, MARGIN_PX = 300, 200, 70, 50
COLOURS = ("#d62728", "#7f7f7f", "#1f77b4")


@dataclass(frozen=True)
class Curve:
    """One rule: (time in ms, share, low, high) per setting, in the order of the settings."""

    name: str
    points: Sequence[tuple[float, float, float, float]]


@dataclass(frozen=True)
class Panel:
    """One pair of axes."""

    title: str
    curves: Sequence[Curve]


def plot(panels: Sequence[Panel], columns: int, x_label: str) -> str:
    """All panels over one scale of time; shares from 0 up, with their intervals as whiskers."""
    rows = math.ceil(len(panels) / columns)
    width, height = columns * (WIDTH_PX + GAP_PX), rows * (HEIGHT_PX + GAP_PX) + 20
    right = max(x for panel in panels for curve in panel.curves for x, *_ in curve.points) * 1.05 or 1.0
    parts = [
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {width} {height}' font-family='sans-serif' "
        f"font-size='11'><rect width='{width}' height='{height}' fill='white'/>"
    ]
    for number, panel in enumerate(panels):
        row, column = divmod(number, columns)
        parts.append(
            f"<g transform='translate({MARGIN_PX + column * (WIDTH_PX + GAP_PX)},{40 + row * (HEIGHT_PX + GAP_PX)})'>"
        )
        parts += [*_panel(panel, right, x_label), "</g>"]
    return "".join([*parts, "</svg>\n"])


def _panel(panel: Panel, right: float, x_label: str) -> list[str]:
    top = max([high for curve in panel.curves for *_, high in curve.points] or [0.0]) * 1.05 or 1.0
    x_step, y_step = _step(right), _step(top)

    def at(x: float, y: float) -> tuple[float, float]:
        return round(x / right * WIDTH_PX, 1), round(HEIGHT_PX - y / top * HEIGHT_PX, 1)

    parts = [f"<text x='0' y='-12' font-weight='bold'>{escape(panel.title)}</text>"]
    for k in range(int(right / x_step) + 1):
        x, _ = at(k * x_step, 0)
        parts.append(f"<text x='{x}' y='{HEIGHT_PX + 14}' text-anchor='middle'>{k * x_step:g}</text>")
    for k in range(int(top / y_step) + 1):
        _, y = at(0, k * y_step)
        parts.append(f"<line x1='0' x2='{WIDTH_PX}' y1='{y}' y2='{y}' stroke='#ddd'/>")
        parts.append(f"<text x='-6' y='{y + 4}' text-anchor='end'>{k * y_step * 100:g} %</text>")
    parts.append(f"<text x='{WIDTH_PX / 2}' y='{HEIGHT_PX + 30}' text-anchor='middle'>{escape(x_label)}</text>")
    for place, (curve, colour) in enumerate(zip(panel.curves, COLOURS, strict=False)):
        dots = [(*at(x, share), at(x, low)[1], at(x, high)[1]) for x, share, low, high in curve.points]
        path = " ".join(f"{x},{y}" for x, y, _, _ in dots)
        parts.append(f"<polyline points='{path}' fill='none' stroke='{colour}' stroke-width='1.5'/>")
        parts += [f"<circle cx='{x}' cy='{y}' r='3' fill='{colour}'/>" for x, y, _, _ in dots]
        parts += [
            f"<line x1='{x}' x2='{x}' y1='{low}' y2='{high}' stroke='{colour}' stroke-opacity='.35'/>"
            for x, _, low, high in dots
        ]
        y = 12 + 15 * place
        parts.append(f"<text x='{WIDTH_PX - 4}' y='{y}' text-anchor='end' fill='{colour}'>{escape(curve.name)}</text>")
    return parts


def _step(top: float) -> float:
    """A round distance that cuts 0 to `top` into four to ten parts."""
    power = 10.0 ** math.floor(math.log10(top / 4))
    return next(power * m for m in (1, 2, 2.5, 5, 10) if top / (power * m) <= 10)
