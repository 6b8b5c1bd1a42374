"""Damaged files of scores through `edgefas evaluate`: a short error that names the file, or figures that are shares.

    python -m tests.campaigns.mangled_scores --count 5000 -o tests/campaigns/results/mangled_scores.json

A case is a number: it draws how a good file is damaged, in its bytes or in its fields, and with which options it is
read. An exception that is no `EdgefasError`, more than `LIMIT_S`, a figure outside 0 to 1 or an error that does not say
what it means is a failure.
"""

from __future__ import annotations

import contextlib
import io
import json
import signal
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.progress import track

from edgefas.cli import evaluate
from edgefas.cli.console import errors
from edgefas.errors import EdgefasError
from tests.campaigns.mutations import damage_bytes
from tests.campaigns.report import finish

LIMIT_S = 10
HEADER = ("id", "subject", "label", "pai", "split", "score", "video")
VALUES = (
    "", " ", "nan", "inf", "-inf", "1e999", "-1e38", "1e-320", "0x1p3", "1_0", "١", "1,5", '"', '""', '"\n"', "\r",
    "\0", "bona_fide", "attack", "dev", "test", "live", "[red]", "\x1b[31m", "=1+1", "é", "x" * 200_000, "-", ".",
)  # fmt: skip
OPTIONS: tuple[dict[str, Any], ...] = (
    {}, {"threshold": "fixed=0.5"}, {"threshold": "bpcer=0.1"}, {"threshold": "apcer=0.05"},
    {"level": "video"}, {"nonresponse": "exclude"}, {"nonresponse": "error"},
)  # fmt: skip
ACCEPTED = "accepted"


class Hang(BaseException):
    """Not an Exception: nothing may catch it on the way."""


@dataclass(frozen=True)
class Outcome:
    """What one case did; `problem` is None when it was as it should be."""

    case: int
    kind: str
    result: str
    """`accepted`, or the error's class."""
    problem: str | None


def good_rows(rng: np.random.Generator) -> list[list[str]]:
    """A small file as it should be."""
    rows = [list(HEADER)]
    for number in range(int(rng.integers(24, 90))):
        pai = ("", "print", "mask")[number % 3]
        score = rng.normal() + (1 if not pai else -1)
        label, split = "attack" if pai else "bona_fide", ("dev", "test")[number // 3 % 2]
        rows.append([f"f{number}", f"s{number % 7}", label, pai, split, f"{score:.3f}", f"v{number}"])
    return rows


def mangle(rows: list[list[str]], rng: np.random.Generator) -> tuple[str, bytes]:
    """(how, the damaged bytes)."""
    kind = str(rng.choice(["bytes", "value", "value", "column", "lines", "scores"]))
    if kind == "bytes":
        how, data = damage_bytes(_text(rows), rng)
        return f"bytes: {how}", data
    if kind == "column":
        place, other = rng.integers(len(HEADER), size=2)
        for row in rows:
            row[place], row[other] = row[other], row[place]
        if rng.random() < 0.7:  # else the header went with it, and nothing is wrong
            rows[0] = list(HEADER)
    elif kind == "lines":
        start, end = sorted(rng.integers(0, len(rows), size=2).tolist())
        rows = rows[:start] + (rows[start:end] * 2 if rng.random() < 0.5 else []) + rows[end:]
    elif kind == "scores":  # whole columns of odd but allowed numbers
        word = str(rng.choice(["", "0", "3e38", "-3e38", "1e-45", "0.1"]))
        for row in rows[1:]:
            if rng.random() < 0.9:
                row[HEADER.index("score")] = word
    else:
        for _ in range(int(rng.geometric(0.5))):
            row = rows[int(rng.integers(len(rows)))]
            row[int(rng.integers(len(row)))] = VALUES[int(rng.integers(len(VALUES)))]
    return kind, _text(rows)


def _text(rows: list[list[str]]) -> bytes:
    """Without any quoting: commas and quotes in fields are part of the damage."""
    return "".join(",".join(row) + "\n" for row in rows).encode()


def run_case(case: int, folder: Path) -> Outcome:
    """Damage, evaluate, judge."""
    rng = np.random.default_rng([30107, case])
    kind, data = mangle(good_rows(rng), rng)
    path = folder / f"{case}.csv"
    path.write_bytes(data)
    options = OPTIONS[int(rng.integers(len(OPTIONS)))]
    out = io.StringIO()
    try:
        with contextlib.redirect_stdout(out), _limited():
            evaluate.command(scores=[path], json=True, **options)
    except Hang:
        return Outcome(case, kind, "hang", f"still running after {LIMIT_S} s")
    except EdgefasError as error:
        return Outcome(case, kind, type(error).__name__, _problem_of_error(str(error), path))
    except Exception as error:
        return Outcome(case, kind, "defect", f"{type(error).__name__}: {str(error)[:300]}")
    finally:
        path.unlink()
    return Outcome(case, kind, ACCEPTED, _problem_of_figures(out.getvalue()))


@contextlib.contextmanager
def _limited() -> Iterator[None]:
    def hang(*_: object) -> None:
        raise Hang

    before = signal.signal(signal.SIGALRM, hang)
    signal.alarm(LIMIT_S)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def _problem_of_error(text: str, path: Path) -> str | None:
    """It must be short, and name the file, or what of it is missing, or the option."""
    helps = any(
        word in text for word in (f"{path}, line ", f"{path} is ", f"{path} has ", "split", "--", "presentation")
    )
    return None if helps and len(text) < 1000 else f"an error that helps nobody: {text[:300]!r}"


def _problem_of_figures(text: str) -> str | None:
    figures = list(_figures(json.loads(text)))
    wrong = [value for value in figures if not 0 <= value <= 1]
    return f"{len(figures)} figures, outside 0 to 1: {wrong[:5]}" if wrong or len(figures) < 10 else None


def _figures(document: Any) -> Iterator[float]:
    """Every share of the document, and every end of its interval."""
    if isinstance(document, dict):
        for key, value in document.items():
            if key in ("value", "achieved") and value is not None:
                yield value
            elif key in ("exact", "subjects") and isinstance(value, list):
                yield from value
            elif key != "threshold":
                yield from _figures(value)
    elif isinstance(document, list):
        for value in document:
            yield from _figures(value)


def run_campaign(first: int, count: int) -> Iterator[Outcome]:
    """Cases `first` to `first + count - 1`."""
    with tempfile.TemporaryDirectory() as folder:
        for case in range(first, first + count):
            yield run_case(case, Path(folder))


def main(
    count: Annotated[int, typer.Option(min=1)] = 5000,
    first: Annotated[int, typer.Option(min=0)] = 0,
    out: Annotated[Path | None, typer.Option("-o", "--out")] = None,
) -> None:
    """Run the campaign; exits 1 if a case failed."""
    outcomes = list(track(run_campaign(first, count), "files of scores", total=count, console=errors))
    failed = [vars(outcome) for outcome in outcomes if outcome.problem]
    kinds = dict(sorted(Counter(f"{o.kind}: {o.result}" for o in outcomes).items()))
    finish("mangled_scores", out, failed, cases=count, by_kind_and_result=kinds)


if __name__ == "__main__":
    typer.run(main)
