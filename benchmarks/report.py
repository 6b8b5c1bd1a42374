"""The rows of `benchmark_all` as CSV, as Markdown and as a page with bars, without a plotting library or a script."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from html import escape
from typing import Any

COLUMNS = (
    "model", "backend", "precision", "threads", "median_ms", "min_ms", "p90_ms", "p95_ms", "p99_ms", "samples", "fps",
    "camera_to_decision_fps", "params", "macs", "flops", "bytes", "peak_rss_mb", "energy_mj", "score_difference",
    "error", "note",
)  # fmt: skip
BAR_PX, ROW_PX, LABEL_PX = 460, 22, 250
COLOURS = ("#4269d0", "#efb118", "#6cc5b0", "#ff725c", "#a463f2")

Row = dict[str, Any]


def to_csv(rows: Sequence[Row]) -> str:
    """A header and one line per row; what is not known is empty."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def fastest(rows: Sequence[Row]) -> list[Row]:
    """Per model and number of threads the row of the smallest median."""
    groups: dict[tuple[str, int], list[Row]] = {}
    for row in rows:
        if row["median_ms"] is not None:
            groups.setdefault((row["model"], row["threads"]), []).append(row)
    return [min(group, key=lambda row: row["median_ms"]) for group in groups.values()]


def to_markdown(document: dict[str, Any]) -> str:
    """A table whose fastest form per network and number of threads is bold."""
    rows, best = document["results"], fastest(document["results"])
    lines = [f"{document['what']}.", "", f"`{document['command']}` on {document['cpu']}, {document['cores']} cores."]
    lines += ["", "| network | backend | precision | threads | median ms | min ms | p95 ms | FPS | MB | peak MB |"]
    lines += ["|---|---|---|---|---|---|---|---|---|---|"]
    for row in rows:
        name = f"| {row['model']} | {row['backend']} | {row['precision']} | {row['threads']} "
        if row["error"] is not None:
            lines.append(f"{name}| failed | - | - | - | - | - |")
            continue
        mark = "**" if any(row is other for other in best) else ""
        size = "-" if row["bytes"] is None else f"{row['bytes'] / 1e6:.2f}"
        memory = "-" if row["peak_rss_mb"] is None else f"{row['peak_rss_mb']:.0f}"
        times = f"| {mark}{row['median_ms']:.2f}{mark} | {row['min_ms']:.2f} | {row['p95_ms']:.2f} | {row['fps']:.1f} "
        lines.append(f"{name}{times}| {size} | {memory} |")
    told = [(row, row["error"] or row.get("note")) for row in rows if row["error"] or row.get("note")]
    lines += ["", *(f"- {r['model']}, {r['backend']} {r['precision']}: {text}" for r, text in told)] if told else []
    return "\n".join(lines) + "\n"


def to_html(document: dict[str, Any]) -> str:
    """One self-contained page: a bar per row, median milliseconds, a mark at the 95th percentile."""
    parts = [
        "<!doctype html><html lang='en'><meta charset='utf-8'><title>edgefas benchmark</title>",
        "<style>body{font:14px sans-serif;margin:2em}svg text{font:12px sans-serif}</style>",
        f"<h1>Latency, batch 1</h1><p>{escape(document['cpu'])}, {document['cores']} cores, {document['date']}; "
        "bar: median, line: 95th percentile</p>",
    ]
    rows = [row for row in document["results"] if row["median_ms"] is not None]
    for model in dict.fromkeys(row["model"] for row in rows):
        parts += [f"<h2>{escape(model)}</h2>", _bars([row for row in rows if row["model"] == model])]
    return "\n".join(parts) + "</html>\n"


def _bars(rows: Sequence[Row]) -> str:
    scale = BAR_PX / max(row["p95_ms"] for row in rows)
    backends = list(dict.fromkeys(row["backend"] for row in rows))
    shapes = []
    for place, row in enumerate(rows):
        y, width, end = place * ROW_PX, row["median_ms"] * scale, LABEL_PX + row["p95_ms"] * scale
        colour = COLOURS[backends.index(row["backend"]) % len(COLOURS)]
        label = escape(f"{row['backend']} {row['precision']}, {row['threads']} thr")
        shapes.append(
            f"<text x='0' y='{y + 15}'>{label}</text>"
            f"<rect x='{LABEL_PX}' y='{y + 3}' width='{width:.1f}' height='{ROW_PX - 6}' fill='{colour}'/>"
            f"<line x1='{end:.1f}' x2='{end:.1f}' y1='{y + 3}' y2='{y + ROW_PX - 3}' stroke='#333'/>"
            f"<text x='{end + 6:.1f}' y='{y + 15}'>{row['median_ms']:.2f} ms</text>"
        )
    height, width_px = len(rows) * ROW_PX + 4, LABEL_PX + BAR_PX + 90
    return f"<svg width='{width_px}' height='{height}' role='img'>{''.join(shapes)}</svg>"
