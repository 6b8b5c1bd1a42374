"""A network judged by a data set: its scores, what made them, and what its page shows beyond the figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from edgefas.contracts import Modality
from edgefas.data import Sample, SampleTable, Split, load
from edgefas.data.inputs import Encoder, encoder
from edgefas.data.pictures import Picture
from edgefas.engines.runtime import Engine, load_engine
from edgefas.errors import MissingExtra, UsageError
from edgefas.evaluation import plots
from edgefas.evaluation.conditions import Condition, by_condition
from edgefas.evaluation.evaluate import Report
from edgefas.evaluation.page import Case, Page
from edgefas.evaluation.run import BATCH, RUN_FILE, SCORES_FILE, Run, Shard, network_sha256, rows_of, score_samples
from edgefas.evaluation.score_files import write_scores
from edgefas.evaluation.scores import Scores
from edgefas.files import write_atomically

JUDGED_SPLITS = (Split.DEV, Split.TEST)
MOST_CASES = 12
MOST_FEATURES = 600
"""Presentations whose features are spread out on a plane: t-SNE grows with their square."""


@dataclass(frozen=True, eq=False)
class Looked:
    """What a page may look at again: the pictures behind the scores, and the checkpoint."""

    model: Path
    table: SampleTable
    encode: Encoder
    places: list[tuple[int, int]]
    """(N,) row of the table and moment of each score."""


@dataclass(frozen=True, eq=False)
class Judged:
    """Scores of a network, and what made them."""

    run: Run
    scores: Scores
    looked: Looked | None = None
    """None where the scores come from files."""

    def write(self, out: Path) -> None:
        """scores.csv and run.json; the latter last, so that a folder with it is complete."""
        out.mkdir(parents=True, exist_ok=True)
        write_scores(out / SCORES_FILE, self.scores)
        write_atomically(out / RUN_FILE, self.run.to_json(indent=1).encode() + b"\n")


def judge(
    model: Path,
    table: SampleTable,
    shard: Shard,
    moments: int,
    dropped: frozenset[Modality],
    *,
    workers: int,
    threads: int,
    progress: Callable[[int, int], None],
) -> Judged:
    """Score the dev and test splits of a table, or a part of them.

    Raises:
        EngineError, BundleError: the network cannot be loaded.
        UsageError: it needs a modality that the data set lacks, or the shard is empty.
        DataError: a sample cannot be read.
    """
    everything = rows_of(table, JUDGED_SPLITS)
    rows = shard.of_rows(everything)
    if not len(rows):
        most = max(1, len(everything) // BATCH)
        raise UsageError(
            f"shard {shard.number} of {shard.of} of {len(everything)} samples is empty; at most {most} are of use"
        )
    with open_engine(model, threads) as engine:
        encode = encoder(table, engine.spec, moments, dropped)
        scored = score_samples(engine, table, rows, encode, workers, lambda done: progress(done, len(rows)))
        run = Run(
            model=model.name,
            model_sha256=network_sha256(model),
            backend=engine.backend,
            dataset=table.dataset,
            protocol=table.protocol,
            splits=JUDGED_SPLITS,
            moments=moments,
            dropped=tuple(sorted(m.value for m in dropped)),
            samples=len(everything),
            shard=shard.number,
            shards=shard.of,
        )
    return Judged(run, scored.scores, Looked(model, table, encode, scored.places))


def open_engine(path: Path, threads: int) -> Engine:
    """Any form of a network as an engine; whoever judges a bundle need not trust it."""
    if path.suffix == ".efas":
        from edgefas.live.model import open_model

        return open_model(path, allow_unsigned=True, threads=threads).engine
    return load_engine(path, threads=threads)


def page_of(name: str, report: Report, scores: Scores, judged: Judged | None) -> Page:
    """The page of one report; with pictures where the data set is at hand."""
    facts = {"scores": name, "threshold": f"{report.threshold.value:.6g} by {report.threshold.rule}"}
    facts |= {"non-responses": report.nonresponse, "level": report.level}
    if judged is None:
        return Page(name, facts, report)
    run = judged.run
    dropped = f", shown nothing of {', '.join(run.dropped)}" if run.dropped else ""
    facts = {
        "network": f"{run.model} ({run.backend}), sha256 {run.model_sha256[:16]}…{dropped}",
        "data": f"{run.dataset} {run.protocol}, {run.samples} samples of dev and test",
        **facts,
    }
    title = f"{run.model} on {run.dataset} {run.protocol}"
    if judged.looked is None:
        return Page(title, facts, report)
    looking = _Looking(judged.looked, scores, report.threshold.value)
    return Page(
        title, facts, report, looking.conditions(), looking.cases(True), looking.cases(False), looking.features()
    )


class _Looking:
    """The samples behind the rows of a table of scores."""

    def __init__(self, looked: Looked, scores: Scores, threshold: float) -> None:
        self._looked, self._threshold = looked, threshold
        test = scores.split.are(Split.TEST.value)
        self._test = scores.take(test)
        self._places = [looked.places[row] for row in np.flatnonzero(test).tolist()]
        self._explainer = _explainer(looked.model)

    def _sample(self, row: int) -> tuple[Sample, int]:
        """The sample of a row of split test, and which of its moments."""
        place, moment = self._places[row]
        return self._looked.table[place], moment

    def conditions(self) -> list[Condition]:
        samples = [self._sample(row)[0] for row in range(len(self._test))]
        told = {"session": [s.session for s in samples], "device": [s.device for s in samples]}
        return by_condition(self._test, told, self._threshold)

    def cases(self, bona_fide: bool) -> list[Case]:
        """The worst errors of a class, one per clip; a face that was not found is an error without a score."""
        scores = self._test.score
        wrong = (scores < self._threshold) if bona_fide else (scores >= self._threshold)
        rows = np.flatnonzero(wrong & (self._test.bona_fide == bona_fide))
        order = rows[np.argsort(scores[rows] if bona_fide else -scores[rows], kind="stable")]
        found: dict[str, Case] = {}
        for row in order.tolist():
            sample, moment = self._sample(row)
            if sample.id not in found:
                pictures = {**_shown(load(sample)), **self._heat(sample, moment)}
                found[sample.id] = Case(str(self._test.id[row]), sample.pai, float(scores[row]), pictures)
            if len(found) == MOST_CASES:
                break
        return list(found.values())

    def _heat(self, sample: Sample, moment: int) -> dict[str, npt.NDArray[np.uint8]]:
        inputs = self._looked.encode(sample)[moment]
        if self._explainer is None or inputs is None:
            return {}
        maps = self._explainer.heat(inputs)
        return {f"{name}: Grad-CAM": _overlaid(inputs[name], heat) for name, heat in maps.items()}

    def features(self) -> list[str]:
        """Of a checkpoint: features of split test on a plane."""
        if self._explainer is None or len(self._test) < 8:
            return []
        from edgefas.models.explain import tsne

        found: list[npt.NDArray[np.float32]] = []
        species = []
        for row in np.unique(np.linspace(0, len(self._test) - 1, MOST_FEATURES).astype(int)).tolist():
            sample, moment = self._sample(row)
            inputs = self._looked.encode(sample)[moment]
            if inputs is not None:
                found.append(self._explainer.features(inputs))
                species.append(sample.pai)
        return [plots.scatter(tsne(np.concatenate(found)), species, "Features of split test (t-SNE)")]


def _explainer(model: Path):  # type: ignore[no-untyped-def]
    """Of a checkpoint; other forms have no gradients, and a desk without PyTorch none of either."""
    if model.suffix != ".safetensors":
        return None
    try:
        from edgefas.models.explain import Explainer
    except ImportError:
        raise MissingExtra("looking into a checkpoint needs PyTorch: pip install 'edgefas[train]'") from None
    return Explainer(model)


def _shown(pictures: Mapping[str, Picture]) -> dict[str, npt.NDArray[np.uint8]]:
    """What can be looked at: depth from near to far over the grey levels."""
    shown = {}
    for name, picture in pictures.items():
        if picture.dtype == np.uint8:
            shown[name] = picture
        else:
            seen = picture[picture > 0]
            low, high = (np.percentile(seen, share) for share in (2, 98)) if seen.size else (0, 1)
            scaled = np.clip((picture - low) / max(high - low, 1), 0, 1)
            shown[name] = np.asarray(np.where(picture > 0, 255 - 200 * scaled, 0), np.uint8)
    return shown


def _overlaid(pixels: npt.NDArray[np.float32], heat: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    """A normalised input (1, C, H, W) in grey with its heat in red."""
    grey = pixels[0].mean(0)
    grey = (grey - grey.min()) / max(float(np.ptp(grey)), 1e-6)
    picture = np.repeat((grey * 200).astype(np.float32)[..., None], 3, 2)
    picture[..., 0] += 255 * heat
    return np.asarray(cv2.convertScaleAbs(np.clip(picture, 0, 255)), np.uint8)
