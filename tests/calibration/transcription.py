"""The definitions once more, word by word and slowly, with nothing of edgefas: exact fractions, loops, float64.

A recording is (label, species, scores); label and species are words.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

Recording = tuple[str, str, Sequence[float]]


def cuts(recordings: Sequence[Recording]) -> list[float]:
    """Between neighbouring distinct scores, and beyond both ends."""
    levels = sorted({score for _, _, scores in recordings for score in scores})
    return [levels[0] - 1, *(a / 2 + b / 2 for a, b in zip(levels, levels[1:])), levels[-1] + 1]  # noqa: B905, RUF007


def wrong(recording: Recording, threshold: float) -> Fraction:
    """Share of its frames on the wrong side."""
    label, _, scores = recording
    count = sum((score >= threshold) != (label == "bona_fide") for score in scores)
    return Fraction(count, len(scores))


def mean_wrong(recordings: Sequence[Recording], threshold: float) -> Fraction:
    return sum((wrong(recording, threshold) for recording in recordings), Fraction(0)) / len(recordings)


def bpcer(recordings: Sequence[Recording], threshold: float) -> Fraction:
    return mean_wrong([r for r in recordings if r[0] == "bona_fide"], threshold)


def max_apcer(recordings: Sequence[Recording], threshold: float) -> Fraction:
    species = {r[1] for r in recordings if r[0] == "attack"}
    return max(mean_wrong([r for r in recordings if r[0] == "attack" and r[1] == kind], threshold) for kind in species)


def threshold_at_bpcer(recordings: Sequence[Recording], limit: str) -> float:
    """The highest cut with at most so much; the limit is decimal text."""
    return max(cut for cut in cuts(recordings) if bpcer(recordings, cut) <= Fraction(limit))


def threshold_at_apcer(recordings: Sequence[Recording], limit: str) -> float:
    """The lowest."""
    return min(cut for cut in cuts(recordings) if max_apcer(recordings, cut) <= Fraction(limit))


def at_most(count: int, total: int, share: float) -> float:
    """The binomial sum."""
    return math.fsum(math.comb(total, k) * share**k * (1 - share) ** (total - k) for k in range(count + 1))


def captures_needed(limit: float, observed: float, most: int) -> tuple[int, int] | None:
    """(recordings, errors among them): the fewest, trying one count of errors after the other."""
    for errors in range(most):
        for recordings in range(errors + 1, most):
            if at_most(errors, recordings, limit) <= 0.05:
                break
        else:
            return None
        if errors >= observed * recordings - 1e-9:
            return recordings, errors
    return None


def loss(recordings: Sequence[Recording], ratios: Sequence[Sequence[float]]) -> float:
    """Balanced negative log-likelihood of log-likelihood ratios, nats."""
    total = 0.0
    for word in ("bona_fide", "attack"):
        part = [r for recording, r in zip(recordings, ratios, strict=True) if recording[0] == word]
        for ratio in part:
            for value in ratio:
                chance = 1 / (1 + math.exp(-value))
                total -= math.log(chance if word == "bona_fide" else 1 - chance) / len(ratio) / len(part) / 2
    return total


def calibration_error(recordings: Sequence[Recording], ratios: Sequence[Sequence[float]], bins: int) -> float:
    """Frames with their weights laid end to end by probability, equal ones together; cut into equal parts."""
    counts = {word: sum(r[0] == word for r in recordings) for word in ("bona_fide", "attack")}
    frames: dict[float, list[float]] = {}
    for (word, _, _), ratio in zip(recordings, ratios, strict=True):
        for value in ratio:
            weight = 1 / len(ratio) / counts[word] / 2
            found = frames.setdefault(1 / (1 + math.exp(-value)), [0.0, 0.0])
            found[0] += weight
            found[1] += weight if word == "bona_fide" else 0.0
    parts = [[0.0, 0.0, 0.0] for _ in range(bins)]
    laid = 0.0
    for chance, (weight, alive) in sorted(frames.items()):
        part = parts[min(int((laid + weight / 2) * bins), bins - 1)]
        laid += weight
        for place, value in enumerate((weight, weight * chance, alive)):
            part[place] += value
    return sum(abs(said - alive) for _, said, alive in parts)
