"""What a policy is fitted to: recordings played through the live pipeline, or tables of scores made before."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from edgefas.calibration.episodes import Presented, Progress, ScoredEpisode, enough, score_source
from edgefas.calibration.fingerprint import data_sha256, source_sha256
from edgefas.calibration.scores import MIN_FRAMES
from edgefas.calibration.words import named
from edgefas.contracts import Label
from edgefas.errors import UsageError
from edgefas.evaluation.run import RUN_FILE, read_run
from edgefas.evaluation.score_files import read_scores
from edgefas.evaluation.scores import Scores, ScoresError, Words, by_video
from edgefas.live.model import LiveModel

SPLIT = "dev"


@dataclass(frozen=True, eq=False)
class Material:
    """Recordings with scores."""

    episodes: list[ScoredEpisode]
    left_out: list[str]
    """Recordings of too few scored frames, with their counts."""
    data_sha256: str
    notes: tuple[str, ...]
    """What a reader of the result must know."""


def of_recordings(asked: Sequence[tuple[str, Presented]], model: LiveModel, progress: Progress) -> Material:
    """Play recordings through the live pipeline.

    Raises:
        UsageError: a live camera, or two recordings of the same content.
        ScoreCalibrationError: the network gave a score that is not finite.
        CameraError: one cannot be read.
    """
    found, seen = [], _Seen()
    for source, shown in asked:
        episode = score_source(source, shown.label, model, progress)
        seen.add(source)
        found.append(replace(episode, pai=shown.pai, subject=shown.subject))
    episodes, left_out = enough(found, MIN_FRAMES)
    return Material(episodes, left_out, seen.digest(), tuple(_told(left_out, MIN_FRAMES)))


def of_tables(paths: Sequence[Path], model: LiveModel) -> Material:
    """The dev split of tables of `edgefas evaluate`: the rows of a `video`, or of an `id`, are one recording.

    Raises:
        ScoresError: a table cannot be read, has no dev split, or is of another network than `model`.
        UsageError: two tables of the same content.
    """
    found: list[ScoredEpisode] = []
    seen, notes = _Seen(), []
    for path in paths:
        notes += _checked(path, model)
        dev = _dev_of(path)
        silent = int(dev.silent.sum())
        if silent:
            notes.append(f"{path}: {silent} of {len(dev)} rows of split {SPLIT} have no score and are left out")
        seen.add(str(path))
        found += _episodes(path, dev)
    episodes, left_out = enough(found, 1)
    return Material(episodes, left_out, seen.digest(), (*notes, *_told(left_out, 1)))


def _told(left_out: Sequence[str], frames: int) -> list[str]:
    return [f"left out, fewer than {frames} frames with a score: {named(left_out)}"] if left_out else []


class _Seen:
    """Hashes of what was read: a copy would count twice."""

    def __init__(self) -> None:
        self._sources: dict[str, str] = {}

    def add(self, source: str) -> None:
        first = self._sources.setdefault(source_sha256(source), source)
        if first != source:
            raise UsageError(f"{first} and {source} are the same, byte for byte; one counts once: leave one out")

    def digest(self) -> str:
        return data_sha256(self._sources)


def _checked(path: Path, model: LiveModel) -> list[str]:
    """The run beside a table must be one of this network, shown everything; without one nobody can tell."""
    if not (path.parent / RUN_FILE).is_file():
        return [
            f"no {RUN_FILE} beside {path}: nobody can check that its scores are of {model.name} "
            f"({model.network_sha256[:12]}…)"
        ]
    run = read_run(path.parent)
    if run.model_sha256 != model.network_sha256:
        raise ScoresError(
            f"{path} holds scores of {run.model} ({run.model_sha256[:12]}…), --model is {model.name} "
            f"({model.network_sha256[:12]}…): they mean something else; score this network: edgefas evaluate MODEL "
            "--data FOLDER --dataset NAME --out FOLDER"
        )
    if run.dropped:
        raise ScoresError(
            f"{path}: the network was shown nothing of {', '.join(run.dropped)}; before a door it sees all its "
            "modalities: score it again without --drop-modality"
        )
    return []


def _dev_of(path: Path) -> Scores:
    table = read_scores(path)
    dev = table.take(table.split.are(SPLIT))
    if not len(dev):
        counts = {split: int(table.split.are(split).sum()) for split in ("train", "test")}
        held = ", ".join(f"{count} of {split}" for split, count in counts.items())
        raise ScoresError(
            f"{path} has no rows of split {SPLIT} ({held}); a threshold is never chosen on test, and on train it "
            "flatters: edgefas evaluate MODEL --data FOLDER --dataset NAME --out FOLDER scores split dev, too"
        )
    return dev


def _episodes(path: Path, dev: Scores) -> Iterable[ScoredEpisode]:
    if dev.video is None:
        dev = replace(dev, video=Words.of(dev.id.tolist()))
    rows = by_video(dev)  # refuses videos whose frames disagree
    assert dev.video is not None
    order = np.argsort(dev.video.codes, kind="stable")
    _, starts = np.unique(dev.video.codes[order], return_index=True)
    for row, scores in enumerate(np.split(dev.score[order], starts[1:])):
        yield ScoredEpisode(
            source=f"{path}: {rows.id[row]}",
            label=Label.BONA_FIDE if rows.bona_fide[row] else Label.ATTACK,
            times_ns=np.empty(0, np.int64),
            scores=scores,
            pai=rows.pai[row],
            subject=rows.subject[row],
        )
