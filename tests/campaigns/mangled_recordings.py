"""Damaged recordings through `edgefas live`: whatever is in the file, a short error or lines, and never an acceptance.

    python -m tests.campaigns.mangled_recordings --count 300 -o tests/campaigns/results/mangled_recordings.json

A case is a number: it draws which recording (.db3 or .bag) is damaged and how. Each runs in a process of its own, as a
user's would; a crash, a hang, a traceback or a decision other than `no_decision` is a failure.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.progress import track

from tests.bundles import write_small_bundle
from tests.campaigns.report import finish
from tests.sensors.soft_camera import record_moments

BAG = Path(__file__).parent.parent / "sensors" / "fixtures" / "color_depth.bag"
LIMIT_S = 60.0
"""A silent recording is given up after 10 s; more than this is a hang."""


@dataclass(frozen=True)
class Outcome:
    """What one case did; `problem` is None when it was as it should be."""

    case: int
    kind: str
    code: int
    lines: int
    problem: str | None


def mangle(data: bytes, rng: np.random.Generator) -> tuple[str, bytes]:
    """(how, the damaged bytes)."""
    content = np.frombuffer(data, np.uint8).copy()
    kind = str(rng.choice(["cut", "flip", "zeros", "noise", "doubled", "head"]))
    start = int(rng.integers(len(content)))
    length = int(rng.integers(1, 1 + len(content) // 4))
    if kind == "cut":
        return kind, data[:start]
    if kind == "doubled":
        return kind, data[:start] + data[max(0, start - length) :]
    if kind == "flip":
        places = rng.integers(0, len(content), int(rng.integers(1, 200)))
        content[places] ^= rng.integers(1, 256, len(places)).astype(np.uint8)
    elif kind == "head":
        places = rng.integers(16, 8192, int(rng.integers(1, 40)))
        content[places % len(content)] = rng.integers(0, 256, len(places)).astype(np.uint8)
    else:
        part = content[start : start + length]
        part[:] = 0 if kind == "zeros" else rng.integers(0, 256, len(part)).astype(np.uint8)
    return kind, content.tobytes()


def run_case(case: int, recording: Path, bundle: Path, scratch: Path) -> Outcome:
    """Damage, play, judge."""
    rng = np.random.default_rng([141, case])
    original = BAG if case % 3 == 2 else recording
    kind, data = mangle(original.read_bytes(), rng)
    path = scratch / f"{case}{original.suffix}"
    path.write_bytes(data)
    command = [sys.executable, "-m", "edgefas", "live", "--camera", path, "--model", bundle, "--allow-unsigned"]
    try:
        done = subprocess.run(
            [*map(str, command), "--json"], capture_output=True, text=True, timeout=LIMIT_S, check=False
        )
    except subprocess.TimeoutExpired:
        return Outcome(case, kind, -1, 0, f"still running after {LIMIT_S:g} s")
    finally:
        path.unlink()
    return Outcome(case, f"{kind} {original.suffix}", done.returncode, len(done.stdout.splitlines()), _problem(done))


def _problem(done: subprocess.CompletedProcess[str]) -> str | None:
    if done.returncode not in (0, 1):
        return f"ended with {done.returncode}: {done.stderr[-300:]}"
    if "Traceback" in done.stderr or "internal error" in done.stderr:
        return done.stderr[-300:]
    if done.returncode == 1 and "error: " not in done.stderr:
        return f"no error text: {done.stderr[-300:]}"
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    decided = [row for row in rows if row["decision"] != "no_decision" or row["state"]["decision"] != "no_decision"]
    return f"{len(decided)} frames of noise were decided" if decided else None


def run_campaign(first: int, count: int) -> list[Outcome]:
    """Cases `first` to `first + count - 1`."""
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        record_moments(scratch / "whole.db3", 6)
        bundle = write_small_bundle(scratch / "small.efas")
        cases = track(range(first, first + count), "recordings")
        return [run_case(case, scratch / "whole.db3", bundle, scratch) for case in cases]


def main(
    count: Annotated[int, typer.Option(min=1)] = 300,
    first: Annotated[int, typer.Option(min=0)] = 0,
    out: Annotated[Path | None, typer.Option("-o", "--out")] = None,
) -> None:
    """Run the campaign; exits 1 if a case failed."""
    outcomes = run_campaign(first, count)
    failed = [vars(outcome) for outcome in outcomes if outcome.problem]
    kinds = dict(sorted(Counter(f"{o.kind}: {o.code}" for o in outcomes).items()))
    finish("mangled_recordings", out, failed, cases=count, by_kind_and_exit_code=kinds)


if __name__ == "__main__":
    typer.run(main)
