"""What a score is worth: Platt scaling without a prior, and the correlation of frames.

J. Platt, "Probabilistic outputs for support vector machines" (1999); the fit is Newton's method as in H.-T. Lin,
C.-J. Lin, R. C. Weng, "A note on Platt's probabilistic outputs" (2007). A recording is one piece of evidence, however
long: each class weighs 1, each recording of it the same, and Platt's targets count recordings, not frames. So twelve
recordings never prove more than about log(12), and two classes that do not overlap give a finite slope.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgefas.calibration.episodes import F64, ScoreCalibrationError, ScoredEpisode
from edgefas.contracts import Label

MIN_EPISODES = 4
"""Of each class; fewer say nothing of how recordings differ."""
MIN_FRAMES = 3
"""Scored ones in a recording; fewer say nothing of how frames do."""
MAX_CORRELATION_MS = 3_600_000.0
MAX_SLOPE = 1000.0


@dataclass(frozen=True)
class Platt:
    """Log-likelihood ratio of bona fide against attack = slope * score + offset, in nats."""

    slope: float
    offset: float


def fit_platt(episodes: Sequence[ScoredEpisode]) -> Platt:
    """Maximum likelihood of a logistic curve through the scored frames; the targets' prior is taken out.

    Raises:
        ScoreCalibrationError: a class is missing, all scores are equal, or higher scores are not more alive.
    """
    counts = {label: sum(episode.label is label for episode in episodes) for label in Label}
    require_classes(counts, 1)
    alive, spoof = counts[Label.BONA_FIDE], counts[Label.ATTACK]
    high, low = (alive + 1) / (alive + 2), 1 / (spoof + 2)
    scores = np.concatenate([e.scores[e.scored] for e in episodes])
    lengths = [int(e.scored.sum()) for e in episodes]
    target = np.repeat([high if e.label is Label.BONA_FIDE else low for e in episodes], lengths)
    weight = np.repeat([1 / (n * counts[e.label]) for e, n in zip(episodes, lengths, strict=True)], lengths)
    centre, spread = float(scores.mean()), float(scores.std())
    if not spread > 0:
        raise ScoreCalibrationError(f"all {len(scores)} scores are {scores[0]:g}: this model tells nothing apart")
    slope, offset = _newton((scores - centre) / spread, target, weight)
    slope /= spread
    prior = math.log((high + low) / (2 - high - low))  # the log-odds that a flat score would be given
    if not slope > 0:
        raise ScoreCalibrationError(
            f"higher scores speak for attacks here (slope {slope:.3g}): the labels are mixed up, or this model does "
            "not tell these recordings apart"
        )
    if slope > MAX_SLOPE:
        raise ScoreCalibrationError(f"the scores spread over {spread:.3g} only; a slope of {slope:.3g} is no scale")
    return Platt(slope, offset - slope * centre - prior)


def _newton(x: F64, target: F64, weight: F64) -> tuple[float, float]:
    """Minimise the weighted cross-entropy of slope * x + offset; convex, so halving the step always helps."""
    place = np.zeros(2)
    design = np.stack([x, np.ones_like(x)])

    def loss(at: F64) -> float:
        odds = at @ design
        return float(weight @ (np.logaddexp(0, odds) - target * odds))

    for _ in range(100):
        chance = 1 / (1 + np.exp(-np.clip(place @ design, -500, 500)))
        gradient = design @ (weight * (chance - target))
        if np.abs(gradient).max() < 1e-10:
            break
        hessian = (design * (weight * chance * (1 - chance))) @ design.T + 1e-12 * np.eye(2)
        step, size, before = np.linalg.solve(hessian, gradient), 1.0, loss(place)
        while loss(place - size * step) > before and size > 1e-10:
            size /= 2
        place = place - size * step
    return float(place[0]), float(place[1])


def fit_correlation_ms(episodes: Sequence[ScoredEpisode]) -> float:
    """The time in which the correlation of two frames falls to 1/e, at the lag where it falls slowest.

    Scores are taken about the mean of their class, not of their recording: what all frames of a recording share is
    what a test must not count twice. Of every lag up to half of the median recording, the exponential through its
    autocorrelation is taken if that is more than chance (two standard errors), and the slowest wins: an exponential
    never below what was measured. 0 if no lag shows any.
    """
    rows = [(e.times_ns[e.scored], (e.scores[e.scored] - mean) / spread) for e, mean, spread in _standardised(episodes)]
    slowest = 0.0
    for lag in range(1, max(2, int(np.median([len(score) for _, score in rows])) // 2 + 1)):
        pairs = [(t[lag:] - t[:-lag], s[:-lag], s[lag:]) for t, s in rows if len(s) > lag]
        if not pairs:
            break
        gaps, first, second = (np.concatenate(part) for part in zip(*pairs, strict=True))
        power = math.sqrt(float(first @ first) * float(second @ second))
        correlation = float(first @ second) / power if power > 0 else 0.0
        if correlation > 2 / math.sqrt(len(gaps)):
            gap_ms = float(np.median(gaps)) / 1e6
            fall = -math.log(min(correlation, 1.0))
            slowest = max(slowest, gap_ms / fall if fall * MAX_CORRELATION_MS > gap_ms else MAX_CORRELATION_MS)
    return slowest


def _standardised(episodes: Sequence[ScoredEpisode]) -> list[tuple[ScoredEpisode, float, float]]:
    """(episode, mean, spread of its class); every recording counts the same."""
    found = []
    for label in Label:
        part = [e for e in episodes if e.label is label]
        mean = float(np.mean([e.scores[e.scored].mean() for e in part]))
        spread = math.sqrt(float(np.mean([((e.scores[e.scored] - mean) ** 2).mean() for e in part])))
        found += [(e, mean, spread or 1.0) for e in part]
    return found


def require_classes(counts: dict[Label, int], at_least: int) -> None:
    """Both classes, with enough recordings of each.

    Raises:
        ScoreCalibrationError: names what is there and what is needed.
    """
    held = ", ".join(f"{counts[label]} {label.value}" for label in Label)
    if min(counts.values()) < at_least:
        raise ScoreCalibrationError(
            f"{held} recordings with scores; a calibration needs at least {at_least} of each class, of different "
            "people and attacks: record more, or name them with --bona-fide and --attack"
        )
