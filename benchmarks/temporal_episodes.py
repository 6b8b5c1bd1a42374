"""Scores of the shipped network over simulated episodes, for the comparison of temporal rules; rendered once.

The rules are calibrated on the test split of the network's recipe (subjects 300 to 335, three frames of each episode)
and compared on other subjects, who are in no split. All of it is at the site held out of training.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from edgefas.calibration.episodes import RenderedEpisode, ScoredEpisode, score_frames
from edgefas.contracts import Label
from edgefas.live.model import LiveModel, open_model
from edgefas.sensors.simulator import SIMULATOR_VERSION
from edgefas.sensors.simulator.episode import Presentation, sample_episode
from edgefas.sensors.simulator.motion import FRAME_NS

RECIPE = "dah-fas-lite-sim"
SITE = 1
FIRST_SUBJECT, FIRST_SEED = 700, 70_000
COUNTS = {"bona_fide": 40, "flat_print": 20, "phone_replay": 20, "rigid_mask": 20}
MOMENTS = range(0, 36, 3)
"""12 frames, every third of 30 a second: 1.1 s of each episode for a third of the rendering."""
Job = tuple[str, int, int]
"""(presentation, subject, seed)."""


def jobs() -> list[Job]:
    """The episodes the rules are compared on; those of a subject follow each other, so its head is modelled once."""
    found, seed = [], FIRST_SEED
    for species, count in COUNTS.items():
        for number in range(count):
            found.append((species, FIRST_SUBJECT + number, seed))
            seed += 1
    return sorted(found, key=lambda job: job[1])


def test_episodes(
    cache_folder: Path, progress: Callable[[int, int], None], processes: int | None
) -> list[ScoredEpisode]:
    """Render and score the episodes of `jobs`, or read what was done before with the same simulator, plan and network.

    Every episode is kept as soon as it is done: a run that was cut off goes on where it was.
    """
    with _model().engine:
        key = f"{SIMULATOR_VERSION} {SITE} {list(MOMENTS)} {jobs()} {_model().network_sha256}"
    file = cache_folder / f"temporal-test-{hashlib.sha256(key.encode()).hexdigest()[:16]}.jsonl"
    cache_folder.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, Any]] = [json.loads(line) for line in file.read_text().splitlines()] if file.is_file() else []
    todo = jobs()[len(rows) :]
    if todo:
        spawn = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(processes, spawn) as pool, file.open("a") as cached:
            for job, episode in zip(todo, pool.map(_score, todo, chunksize=1), strict=True):
                scores = [None if np.isnan(score) else score for score in episode.scores.tolist()]
                rows.append({"job": job, "times_ns": episode.times_ns.tolist(), "scores": scores})
                cached.write(json.dumps(rows[-1]) + "\n")
                cached.flush()
                progress(len(rows), len(jobs()))
    return [_episode(row["job"], row["times_ns"], row["scores"]) for row in rows]


def calibration_episodes(cache_folder: Path, progress: Callable[[int, int], None]) -> list[ScoredEpisode]:
    """The recipe's test split as episodes of three frames, a third of a second apart."""
    # here, not above: what renders episodes imports this file, and has no use for torch
    from edgefas.training.calibration_set import score_with
    from edgefas.training.recipe import load_recipe
    from edgefas.training.simulated import EPISODE_FRAMES, samples_for

    data = load_recipe(RECIPE).simulated
    assert data.test is not None
    with open_model(None, threads=1).engine as engine:
        samples = samples_for(data, data.test, engine.spec, cache_folder / "data", progress)
        scores = score_with(engine, samples).astype(np.float64)
    each = data.test.frames_per_episode
    times_ns = np.arange(each, dtype=np.int64) * (EPISODE_FRAMES // each) * FRAME_NS
    return [
        ScoredEpisode(f"species={samples.species[row]},row={row}", _label(samples.species[row]), times_ns, part)
        for row, part in zip(range(0, len(scores), each), np.split(scores, len(scores) // each), strict=True)
    ]


def species_of(episode: ScoredEpisode) -> str:
    """What was presented."""
    return episode.source.partition("species=")[2].partition(",")[0]


@cache
def _model() -> LiveModel:
    return open_model(None, threads=1)


def _score(job: Job) -> ScoredEpisode:
    species, subject, seed = job
    episode = sample_episode(Presentation(species), subject, SITE, seed)
    return score_frames(RenderedEpisode(episode, MOMENTS), _name(*job), _label(species), _model())


def _episode(job: Job, times_ns: list[int], scores: list[float | None]) -> ScoredEpisode:
    species, subject, seed = job
    values = np.array([np.nan if score is None else score for score in scores], np.float64)
    return ScoredEpisode(_name(species, subject, seed), _label(species), np.array(times_ns, np.int64), values)


def _name(species: str, subject: int, seed: int) -> str:
    return f"simulated:species={species},subject={subject},site={SITE},seed={seed}"


def _label(species: str) -> Label:
    return Label.BONA_FIDE if species == Label.BONA_FIDE.value else Label.ATTACK
