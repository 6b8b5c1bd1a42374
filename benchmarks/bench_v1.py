"""How networks do on bench-v1: every species with its interval over subjects, those of the training and those that only
the test has.

    edgefas data synth runs/bench-v1 --layout bench-v1
    edgefas train --ablation modalities data.root=runs/bench-v1
    python -m edgefas.benchmarks.bench_v1 runs/modalities -o benchmarks/results/bench_v1.json

bench-v1 is simulated: no person was photographed, and no figure here says anything about real faces or attacks.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from edgefas.benchmarks.output import finish
from edgefas.cli.guard import run_script
from edgefas.data.sample import Split
from edgefas.data.synth.bench import bench
from edgefas.environment import environment
from edgefas.errors import UsageError
from edgefas.evaluation.evaluate import Figure, evaluate
from edgefas.evaluation.score_files import read_scores
from edgefas.evaluation.thresholds import parse_rule
from edgefas.files import write_atomically

AT_THRESHOLD = ("APCER", "APCER_pooled", "BPCER", "ACER", "HTER")
ON_CURVE = ("EER", "AUC", "TPR@FPR=0.01")


def unseen() -> list[str]:
    """Species that no split but the test has."""
    splits = bench().splits
    return sorted(set(splits[Split.TEST].samples) - set(splits[Split.TRAIN].samples))


def judged(scores: Path) -> dict[str, Any]:
    """Shares of one network with their intervals over subjects."""
    report = evaluate(read_scores(scores), parse_rule("dev-eer"))
    every = {**report.at_threshold, **report.curve}
    return {
        "threshold": report.threshold.value,
        "figures": {name: _said(every[name]) for name in (*AT_THRESHOLD, *ON_CURVE)},
        "apcer": {name: _said(species.apcer) for name, species in report.species.items()},
        "subjects": report.subjects,
    }


def _name(cells: dict[str, str]) -> str:
    """Of a row; of one that says by + what it has, the columns."""
    return ", ".join(column if cell == "+" else cell for column, cell in cells.items() if cell) or "none of these"


def _said(figure: Figure) -> dict[str, Any]:
    return {"value": figure.value, "subjects_95": figure.subjects, "pai": figure.pai, "reason": figure.reason}


def markdown(document: dict[str, Any]) -> str:
    """Networks as columns, figures and species as rows; shares in percent."""
    rows, new = document["networks"], document["unseen"]
    lines = [
        "bench-v1, split test, simulated: no person was photographed. Percent, with 95 % intervals over "
        f"{rows[0]['subjects']} subjects; the threshold is dev's of equal errors.",
        "",
        f"`{document['command']}` on {document['cpu']}, {document['cores']} cores.",
        "",
        f"| | {' | '.join(row['network'] for row in rows)} |",
        f"|---|{'---|' * len(rows)}",
    ]
    for name in (*AT_THRESHOLD, *ON_CURVE):
        lines.append(f"| {name} | {' | '.join(_cell(row['figures'][name]) for row in rows)} |")
    for name in sorted(rows[0]["apcer"], key=lambda name: (name in new, name)):
        mark = " (never seen in training)" if name in new else ""
        lines.append(f"| APCER of {name}{mark} | {' | '.join(_cell(row['apcer'][name]) for row in rows)} |")
    return "\n".join(lines) + "\n"


def _cell(figure: dict[str, Any]) -> str:
    if figure["value"] is None:
        return f"n/a: {figure['reason']}"
    low_high = figure["subjects_95"]
    reach = "" if low_high is None else f" ({100 * low_high[0]:.1f} to {100 * low_high[1]:.1f})"
    return f"{100 * figure['value']:.1f}{reach}"


def main(
    folder: Annotated[Path, typer.Argument(help="Of `edgefas train --ablation`.")],
    out: Annotated[Path | None, typer.Option("-o", "--out", help="Write the JSON here, a .md beside it.")] = None,
    seed: Annotated[int, typer.Option(min=1, help="Which run of each row; rows without it are left out.")] = 1,
) -> None:
    """Judge again what an ablation trained; prints JSON."""
    if not (folder / "table.json").is_file():
        raise UsageError(
            f"no table.json in {folder}; first: edgefas train --ablation modalities data.root=ROOT --out {folder}"
        )
    table = json.loads((folder / "table.json").read_text())
    networks, commits = [], set()
    for number, row in enumerate(table["rows"], 1):
        for run in row["runs"]:
            if run["seed"] == seed:
                scores = folder / f"row-{number}" / f"seed-{seed}" / "judged" / "scores.csv"
                networks.append({"network": _name(row["cells"]), **judged(scores)})
                commits.add(run.get("commit") or "not known")
    if not networks:
        raise UsageError(f"no row of {folder} has a run of seed {seed}; train with --seeds {seed}: {table['command']}")
    document = {
        "command": "python -m edgefas.benchmarks.bench_v1 " + " ".join(sys.argv[1:]),
        **environment(),
        "data": table["data"],
        "trained_by": table["command"],
        "seed": seed,
        "trained_at_commits": sorted(commits),
        "unseen": unseen(),
        "networks": networks,
    }
    if out is not None:
        write_atomically(out.with_suffix(".md"), markdown(document).encode())
    finish(document, out)


if __name__ == "__main__":
    run_script(main)
