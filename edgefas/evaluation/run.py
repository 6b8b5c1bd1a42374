"""A network over a data set: the same file, the same preprocessing and the same engine that a board would run.

Reading and preprocessing happen in threads beside the engine (OpenCV and file reads let go of the interpreter), a
bounded number of samples ahead, and scores come out in the order of the data set's lists.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from edgefas.contracts import Label
from edgefas.contracts.base import Contract, ContractError
from edgefas.data import Sample, SampleTable, Split
from edgefas.data.inputs import Encoder, Inputs
from edgefas.data.lists import PICTURES
from edgefas.deploy.bundle import open_bundle
from edgefas.deploy.pack import network_digest_of
from edgefas.engines.runtime import Engine
from edgefas.errors import EdgefasError, UsageError
from edgefas.evaluation.score_files import read_scores
from edgefas.evaluation.scores import Scores, ScoresError, Words

SCORES_FILE, RUN_FILE = "scores.csv", "run.json"
BATCH = 16
"""Samples; of clips their moments, MOST_INPUTS at a time."""
MOST_INPUTS = 32
AHEAD = 4
"""Batches that are read before they are needed."""


class Run(Contract):
    """What made a file of scores: kept beside it, so that shards are only put together with their like."""

    schema_version: Literal[1] = 1
    model: str
    model_sha256: str
    """Of the network alone, as policies name it: see `network_sha256`."""
    backend: str
    dataset: str
    protocol: str
    splits: tuple[Split, ...]
    moments: int
    dropped: tuple[str, ...]
    samples: int
    """Of all shards together."""
    shard: int
    shards: int


@dataclass(frozen=True)
class Shard:
    """One of several parts of a data set, in the order of its lists; 1 of 1 is all of it.

    Parts begin where a batch begins, so that a network computes the same batches, and the same last digits, in parts as
    in one go.
    """

    number: int = 1
    of: int = 1

    def of_rows(self, rows: np.ndarray) -> np.ndarray:
        """Its part of the rows."""
        batches = -(-len(rows) // BATCH)
        first, last = ((number * batches // self.of) * BATCH for number in (self.number - 1, self.number))
        return rows[first:last]


def parse_shard(text: str) -> Shard:
    """`2/5`: the second of five.

    Raises:
        UsageError: it is not that.
    """
    number, slash, of = text.partition("/")
    if slash and number.isdecimal() and of.isdecimal() and 1 <= int(number) <= int(of):
        return Shard(int(number), int(of))
    raise UsageError(f"--shard {text!r}: expected i/n with i from 1 to n, as 2/5")


def rows_of(table: SampleTable, splits: Sequence[Split]) -> np.ndarray:
    """(n,) rows of the splits that are there, in the order of the lists."""
    wanted = [table.rows(split) for split in splits if split in table.present()]
    return np.sort(np.concatenate(wanted)) if wanted else np.zeros(0, np.int64)


@dataclass(frozen=True, eq=False)
class Scored:
    """Scores, and which moment of which row of the table each is of."""

    scores: Scores
    places: list[tuple[int, int]]


def score_samples(
    engine: Engine, table: SampleTable, rows: np.ndarray, encode: Encoder, workers: int, progress: Callable[[int], None]
) -> Scored:
    """Score every moment of every sample.

    Args:
        rows: of the table.
        encode: see `edgefas.data.inputs.encoder`.
        workers: threads that read and preprocess.
        progress: called with the number of samples done.

    Raises:
        DataError: a sample cannot be read.
        EdgefasError: the network gave a score that is no number.
    """
    places: list[tuple[int, int]] = []
    scores: list[float] = []
    waiting: list[tuple[int, Inputs]] = []

    def flush() -> None:
        for start in range(0, len(waiting), MOST_INPUTS):
            part = waiting[start : start + MOST_INPUTS]
            batch = {name: np.concatenate([inputs[name] for _, inputs in part]) for name in part[0][1]}
            for (place, _), score in zip(part, engine.score(batch).tolist(), strict=True):
                if not np.isfinite(score):
                    name = table[places[place][0]].id
                    raise EdgefasError(f"the network's score of {name} is {score}; see: edgefas compare")
                scores[place] = score
        waiting.clear()

    for done, (row, moments) in enumerate(_encoded(table, rows, encode, workers), 1):
        for number, inputs in enumerate(moments):
            places.append((row, number))
            scores.append(np.nan)
            if inputs is not None:
                waiting.append((len(places) - 1, inputs))
        if done % BATCH == 0:
            flush()
        progress(done)
    flush()
    return Scored(_table(table, places, scores), places)


def _encoded(
    table: SampleTable, rows: np.ndarray, encode: Encoder, workers: int
) -> Iterator[tuple[int, list[Inputs | None]]]:
    """Rows and their inputs, in order, read ahead by a bounded number."""

    def read(row: int) -> tuple[int, list[Inputs | None]]:
        return row, encode(table[row])

    coming: deque[Future[tuple[int, list[Inputs | None]]]] = deque()
    with ThreadPoolExecutor(workers, thread_name_prefix="reader") as pool:
        try:
            for row in rows.tolist():
                coming.append(pool.submit(read, row))
                if len(coming) >= AHEAD * BATCH:
                    yield coming.popleft().result()
            while coming:
                yield coming.popleft().result()
        finally:
            for future in coming:
                future.cancel()


def _table(table: SampleTable, places: list[tuple[int, int]], scores: list[float]) -> Scores:
    samples = [table[row] for row, _ in places]
    alive = np.array([sample.label is Label.BONA_FIDE for sample in samples], bool)
    return Scores(
        np.array(_names(samples, places), dtype=object),
        Words.of(sample.subject for sample in samples),
        alive,
        Words.of("" if sample.label is Label.BONA_FIDE else sample.pai for sample in samples),
        Words.of(sample.split.value for sample in samples),
        np.array(scores, np.float64),
        Words.of(_video_of(sample) for sample in samples),
    )


def _names(samples: list[Sample], places: list[tuple[int, int]]) -> list[str]:
    """The sample's id, with the number of a further moment; where a leak was allowed, with the split it is in, too."""
    names = [
        sample.id if not moment else f"{sample.id}#{moment}"
        for sample, (_, moment) in zip(samples, places, strict=True)
    ]
    if len(set(names)) < len(names):
        names = [f"{sample.split.value}: {name}" for sample, name in zip(samples, names, strict=True)]
    return names


def _video_of(sample: Sample) -> str:
    """The clip that a sample is, or that its picture lies in the folder of."""
    path = next(iter(sample.paths.values()))
    in_clip = path.suffix.lower() in PICTURES
    return sample.id.rpartition("/")[0] or sample.id if in_clip else sample.id


def merge_runs(folders: Sequence[Path]) -> tuple[Run, Scores]:
    """The scores of all shards of one run, as one process would have written them.

    Raises:
        UsageError: shards are missing, come twice, or are of different runs.
        ScoresError: a folder holds no run, or other scores than it says.
    """
    runs = sorted(((read_run(folder), folder) for folder in folders), key=lambda pair: pair[0].shard)
    first, place = runs[0]
    for run, folder in runs[1:]:
        for name in Run.model_fields:
            if name != "shard" and getattr(run, name) != getattr(first, name):
                here, there = getattr(run, name), getattr(first, name)
                raise UsageError(f"{folder} is of another run than {place}: {name} is {here!r}, there it is {there!r}")
    found = [run.shard for run, _ in runs]
    if found != list(range(1, first.shards + 1)):
        missing = sorted(set(range(1, first.shards + 1)) - set(found))
        what = f"shards {missing} are missing" if missing else f"there are shards {found}, each must come once"
        raise UsageError(f"{what}; score one with: edgefas evaluate ... --shard i/{first.shards} --out FOLDER")
    parts = [read_scores(folder / SCORES_FILE) for _, folder in runs]
    return first.model_copy(update={"shard": 1, "shards": 1}), _joined(parts)


def read_run(folder: Path) -> Run:
    """What made the scores in a folder.

    Raises:
        ScoresError: there is nothing, or something else.
    """
    path = folder / RUN_FILE
    try:
        return Run.from_json(path.read_bytes())
    except OSError as error:
        raise ScoresError(f"cannot read {path}: {error.strerror}; edgefas evaluate MODEL --out writes it") from None
    except ContractError as error:
        raise ScoresError(f"{path}: {error}") from None


def network_sha256(path: Path) -> str:
    """What `edgefas live` and a policy name this network by; a bundle's policy and signature do not count.

    Raises:
        BundleError: a bundle that cannot be opened.
    """
    if path.suffix == ".efas":
        return open_bundle(path, allow_unsigned=True).network_sha256
    return network_digest_of(path)


def _joined(parts: Sequence[Scores]) -> Scores:
    def words(name: str) -> Words:
        columns: list[Words] = [getattr(part, name) for part in parts]
        return Words.of(column.words[code] for column in columns for code in column.codes.tolist())

    return Scores(
        np.concatenate([part.id for part in parts]),
        words("subject"),
        np.concatenate([part.bona_fide for part in parts]),
        words("pai"),
        words("split"),
        np.concatenate([part.score for part in parts]),
        words("video"),
    )
