"""An ablation's results as the paper prints them, with the paper's figures beside ours; and how the runs went."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from edgefas.evaluation.intervals import mean_over_runs
from edgefas.evaluation.plots import figure
from edgefas.training.ablation import Ablation, Result, Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Results = Sequence[Sequence[Result]]
"""Per row the runs that are complete."""
LAST_SHARE = 0.2
"""Of a run's epochs: one whose lowest validation loss is among them may not have ended."""


def document(ablation: Ablation, results: Results, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Everything that was measured, for machines."""
    return {
        "schema": "edgefas.ablation/1",
        "title": ablation.title,
        "source": ablation.source,
        **facts,
        "figures": dict(ablation.figures),
        "notes": list(ablation.notes),
        "rows": [
            {
                "cells": dict(zip(ablation.columns, row.cells, strict=True)),
                "paper": dict(zip(ablation.figures, row.paper, strict=True)) if row.paper else None,
                "runs": [run.model_dump(mode="json") for run in runs],
            }
            for row, runs in zip(ablation.rows, results, strict=True)
        ],
    }


def markdown(ablation: Ablation, results: Results, facts: Mapping[str, Any]) -> str:
    """The table: mean and deviation over the seeds, the paper's figure in brackets."""
    headings = [*ablation.columns, *ablation.figures.values(), "best epoch", "still falling", "minutes a run"]
    lines = [f"# {ablation.title}", "", f"In brackets: {ablation.source}.", ""]
    lines += [f"- {name}: {value}" for name, value in {**facts, **_commits(results)}.items() if value is not None]
    lines += ["", f"| {' | '.join(headings)} |", f"|{'---|' * len(headings)}"]
    for row, runs in zip(ablation.rows, results, strict=True):
        lines.append(f"| {' | '.join([*row.cells, *_measured(ablation, row, runs), *_how_it_went(runs)])} |")
    lines += [
        "",
        f"Still falling: runs whose lowest validation loss is in the last {LAST_SHARE:.0%} of their epochs.",
    ]
    lines += ablation.notes
    return "\n".join(lines) + "\n"


def _commits(results: Results) -> dict[str, str]:
    """A long table may be trained by more than one version."""
    counts = Counter(run.commit for runs in results for run in runs if run.commit is not None)
    told = [f"{name} ({count} {'run' if count == 1 else 'runs'})" for name, count in counts.items()]
    return {"commit": ", ".join(told)} if told else {}


def _measured(ablation: Ablation, row: Row, runs: Sequence[Result]) -> list[str]:
    cells = []
    for place, name in enumerate(ablation.figures):
        values = [run.figures[name] for run in runs]
        known = [value for value in values if value is not None]
        text = "n/a" if values else "not run"
        if known and len(known) == len(values):
            mean = mean_over_runs(known)
            text = f"{mean.mean:.2f}" if mean.std is None else f"{mean.mean:.2f} ± {mean.std:.2f}"
        paper = row.paper[place] if row.paper else None
        cells.append(text if paper is None else f"{text} ({paper:g})")
    return cells


def _how_it_went(runs: Sequence[Result]) -> list[str]:
    if not runs:
        return ["", "", ""]
    best = ", ".join(str(run.best_epoch) for run in runs)
    falling = sum(run.best_epoch > (1 - LAST_SHARE) * run.epochs for run in runs)
    minutes = [run.minutes for run in runs if run.minutes is not None]
    taken = f"{np.mean(minutes):.1f}" if minutes else "not known"
    return [f"{best} of {runs[0].epochs}", f"{falling} of {len(runs)}", taken]


def curves(ablation: Ablation, results: Results) -> str:
    """Validation loss over epochs, the mean over the seeds of each row, as SVG.

    Raises:
        MissingExtra: matplotlib is not installed.
    """

    def draw(axes: Axes) -> None:
        for number, (row, runs) in enumerate(zip(ablation.rows, results, strict=True), 1):
            if runs:
                loss = np.mean([run.validation_loss for run in runs], axis=0)
                words = " ".join(cell for cell in row.cells if cell) or "none"
                axes.plot(np.arange(len(loss)) + 1, loss, marker=".", label=f"{number}: {words}")
        axes.set(xlabel="epoch", ylabel="validation loss (cross entropy), nats")
        if axes.get_lines():
            axes.legend(fontsize="xx-small")

    return figure("Validation", draw)
