"""Mangled lists of every data set: always samples that hold together, or one clear error; never a traceback or a hang.

    python -m tests.campaigns.mangled_lists --count 100000 -o tests/campaigns/results/mangled_lists.json

A case is a number: it draws a data set, one of its lists, and how that is mangled: bytes, or words, labels and lines
that stay text. What is accepted is held against an oracle that knows the layouts by itself: a label that contradicts
its own path, a path outside the data set's folder, or a sample twice in the counts is a failure.
"""

from __future__ import annotations

import signal
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.progress import track

from edgefas.contracts import Label
from edgefas.data import SampleTable, check_lists, open_dataset
from edgefas.errors import EdgefasError
from tests.campaigns.mutations import damage_bytes
from tests.campaigns.report import finish
from tests.data.faults import PLANT

LIMIT_S = 10
SEED = 191
WORDS = (
    "", "0", "1", "-1", "+1", "2", "nan", "1e9", "٣", "１", "..", "../..", "/", "/etc/hostname", "\u2028", "\ufeff",
    "\\", "real_part", "fake_part", "color", "depth", "ir", "train", "eval", "bona_fide", "attack", "a" * 300,
    '"', "9" * 30,
)  # fmt: skip
LISTS = ("*.txt", "*.csv", "*.json")
Rng = np.random.Generator


@dataclass(frozen=True)
class Outcome:
    """What one case did; `problem` is None when it was as it should be."""

    case: int
    kind: str
    result: str
    """accepted, or the name of the error."""
    problem: str | None = None


@dataclass(frozen=True)
class Original:
    """A data set on the disk, and its lists as they were."""

    name: str
    protocol: str
    root: Path
    lists: dict[Path, bytes]


def plant(scratch: Path) -> list[Original]:
    """Every layout once, but that of the set that has no lists."""
    found = []
    for (name, protocol), fill in PLANT.items():
        if name != "casia-fasd":
            root = scratch / f"{name} {protocol}"
            fill(root)
            paths = sorted(path for kind in LISTS for path in root.rglob(kind) if not path.name.endswith("_BB.txt"))
            found.append(Original(name, protocol, root, {path: path.read_bytes() for path in paths}))
    return found


def run_case(case: int, originals: list[Original]) -> Outcome:
    """Mangle, read, judge, mend."""
    rng = np.random.default_rng([SEED, case])
    original = originals[case % len(originals)]
    path = list(original.lists)[int(rng.integers(len(original.lists)))]
    how, data = mangle(original.lists[path], rng)
    kind = f"{original.name} {original.protocol}: {how}"
    path.write_bytes(data)
    try:
        with _limited():
            table = open_dataset(original.name, original.root, original.protocol)
            problem = judge(table)
        return Outcome(case, kind, "accepted", problem)
    except EdgefasError as error:
        text = str(error)
        clear = 20 < len(text) < 3000 and "Traceback" not in text and "Errno" not in text
        return Outcome(case, kind, type(error).__name__, None if clear else f"{len(text)} characters: {text[:300]}")
    except Exception as error:  # what a user would meet as "internal error"
        return Outcome(case, kind, "defect", f"{type(error).__name__}: {str(error)[:300]}")
    finally:
        path.write_bytes(original.lists[path])


@contextmanager
def _limited() -> Iterator[None]:
    def too_long(*_: object) -> None:
        raise TimeoutError(f"still reading after {LIMIT_S} s")

    before = signal.signal(signal.SIGALRM, too_long)
    signal.alarm(LIMIT_S)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def mangle(data: bytes, rng: Rng) -> tuple[str, bytes]:
    """(how, the mangled list)."""
    if rng.random() < 0.3:
        how, damaged = damage_bytes(data, rng)
        return f"bytes {how}", damaged
    lines = data.decode().splitlines()
    hows = []
    for _ in range(int(rng.geometric(0.6))):
        how = str(rng.choice(["word", "label", "part", "swap", "line", "ends"]))
        lines = _mangled(lines, how, rng) or [""]
        hows.append(how)
    end = str(rng.choice(["\n", "\n", "\r\n", "\n\n", "\t\n"]))
    return "+".join(sorted(set(hows))), end.join(lines).encode()


def _mangled(lines: list[str], how: str, rng: Rng) -> list[str]:
    at = int(rng.integers(len(lines)))
    line, separator = lines[at], "," if "," in lines[at] else " "
    words = line.split(separator)
    one, other = (int(place) for place in rng.integers(len(words), size=2))
    if how == "word":
        words[one] = str(rng.choice(WORDS))
    elif how == "label":
        words[-1] = {"0": "1", "1": "0"}.get(words[-1], str(rng.choice(WORDS)))
    elif how == "part":
        parts = words[one].split("/")
        parts[int(rng.integers(len(parts)))] = str(rng.choice(WORDS))
        words[one] = "/".join(parts)
    elif how == "swap":
        words[one], words[other] = words[other], words[one]
    elif how == "ends":
        return [
            separator.join(words)[: int(rng.integers(len(line) + 1))] if n == at else text
            for n, text in enumerate(lines)
        ]
    else:
        copies = int(rng.integers(3))
        return lines[:at] + [line] * copies + lines[at + 1 :]
    return [*lines[:at], separator.join(words), *lines[at + 1 :]]


def judge(table: SampleTable) -> str | None:
    """What is wrong with an accepted data set, or None."""
    report = check_lists(table)
    samples = list(table)
    if sum(sum(by_pai.values()) for by_pai in report.counts.values()) != len(samples):
        return f"the counts {report.counts} are not of {len(samples)} samples"
    for sample in samples:
        if (sample.pai == "bona_fide") != (sample.label is Label.BONA_FIDE):
            return f"{sample.id}: {sample.label.value} with pai {sample.pai}"
        outside = [path for path in sample.paths.values() if not path.resolve().is_relative_to(table.root.resolve())]
        if outside or not sample.paths:
            return f"{sample.id}: paths {outside} outside the folder"
        truth = truth_of(table.dataset, sample.id)
        if truth is not None and truth is not sample.label:
            return f"{sample.id}: {sample.label.value}, and its path says {truth.value}"
    return None


def truth_of(dataset: str, path: str) -> Label | None:
    """The label as the path alone tells it; None where it does not."""
    name = path.rpartition("/")[2].partition(".")[0]
    parts = path.split("/")
    live: bool | None = None
    if dataset == "casia-surf" and {"real_part", "fake_part"} & set(parts):
        live = next(part for part in parts if part in ("real_part", "fake_part")) == "real_part"
    elif dataset == "cefa" and len(parts) > 2:
        fields = parts[-3 if parts[-1].endswith(".jpg") else -2].split("_")
        live = fields[-1] == "1" if len(fields) == 5 else False if len(fields) == 7 else None
    elif dataset == "wmca":
        live = name.split("_")[3] == "0"
    elif dataset == "hq-wmca":
        live = int(name.split("_")[4]) == 0
    elif dataset == "celeba-spoof":
        live = parts[-2] == "live"
    elif dataset == "msu-mfsd":
        live = name.startswith("real_")
    elif dataset == "oulu-npu":
        live = name.endswith("_1")
    return None if live is None else Label.BONA_FIDE if live else Label.ATTACK


def run_campaign(first: int, count: int) -> list[Outcome]:
    """Cases `first` to `first + count - 1`."""
    with tempfile.TemporaryDirectory() as folder:
        originals = plant(Path(folder))
        return [run_case(case, originals) for case in track(range(first, first + count), "lists")]


def main(
    count: Annotated[int, typer.Option(min=1)] = 100_000,
    first: Annotated[int, typer.Option(min=0)] = 0,
    out: Annotated[Path | None, typer.Option("-o", "--out")] = None,
) -> None:
    """Run the campaign; exits 1 if a case failed."""
    outcomes = run_campaign(first, count)
    failed = [vars(outcome) for outcome in outcomes if outcome.problem]
    results = Counter(f"{outcome.kind.partition(':')[0]}: {outcome.result}" for outcome in outcomes)
    finish("mangled_lists", out, failed, cases=count, by_set_and_result=dict(sorted(results.items())))


if __name__ == "__main__":
    typer.run(main)
