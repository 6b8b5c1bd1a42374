"""Intervals over subjects against resamples formed row by row."""

from __future__ import annotations

import numpy as np
import pytest

from edgefas.evaluation import bootstrap
from edgefas.evaluation.bootstrap import Rows, SubjectIntervals, subject_intervals
from edgefas.evaluation.metrics import auc, count_errors
from edgefas.evaluation.presentations import Presentations
from edgefas.evaluation.thresholds import eer_threshold

NAMES = ("mask", "print")
RESAMPLES, SEED, THRESHOLD = 40, 7, 0.25


def drawn(subjects: int, each: int, steps: float | None = None) -> Rows:
    rng = np.random.default_rng(5)
    subject = np.repeat(np.arange(subjects), each)
    species = rng.integers(-1, 2, len(subject))
    scores = rng.normal(size=len(subject)) + np.where(species < 0, 1.5, -1.0) + rng.normal(size=subjects)[subject]
    if steps is not None:
        scores = np.round(scores * steps) / steps
    scores[rng.random(len(scores)) < 0.03] = -np.inf
    return Rows(scores, species, NAMES, subject * 10 + 3)


def sorted_up(rows: Rows) -> Presentations:
    attacks = {name: np.sort(rows.scores[rows.species == code]) for code, name in enumerate(NAMES)}
    return Presentations(np.sort(rows.scores[rows.species < 0]), {n: a for n, a in attacks.items() if a.size})


def intervals_row_by_row(rows: Rows) -> SubjectIntervals:
    """Every resample as a set of scores of its own."""
    rng, subjects = np.random.default_rng(SEED), np.unique(rows.subjects)
    found: dict[str, list[float]] = {}
    for _ in range(RESAMPLES):
        picked = rng.integers(len(subjects), size=(1, len(subjects)))[0]
        again = np.concatenate([np.flatnonzero(rows.subjects == subjects[place]) for place in picked])
        scores = sorted_up(Rows(rows.scores[again], rows.species[again], NAMES, rows.subjects[again]))
        counts = count_errors(scores, THRESHOLD)
        figures = {
            **{f"APCER of {name}": share for name, share in counts.rates.apcer.items()},
            "APCER": counts.rates.max_apcer,
            "APCER_mean": counts.rates.mean_apcer,
            "APCER_pooled": counts.pooled_apcer,
            "BPCER": counts.rates.bpcer,
            "ACER": counts.rates.acer,
            "HTER": counts.hter,
            "accuracy": counts.correct / len(again),
            "EER": eer_threshold(scores)[1],
            "AUC": auc(scores),
        }
        for name, value in figures.items():
            found.setdefault(name, []).append(value)
    limits = {name: tuple(np.percentile(values, [2.5, 97.5]).tolist()) for name, values in found.items()}
    return SubjectIntervals(
        {name: limits.pop(f"APCER of {name}") for name in NAMES if f"APCER of {name}" in limits}, limits
    )


def assert_same(one: SubjectIntervals, other: SubjectIntervals, tolerance: float) -> None:
    assert one.apcer.keys() == other.apcer.keys()
    assert one.figures.keys() == other.figures.keys()
    for name in one.apcer:
        assert one.apcer[name] == pytest.approx(other.apcer[name], abs=tolerance), name
    for name in one.figures:
        assert one.figures[name] == pytest.approx(other.figures[name], abs=tolerance), name


def test_with_few_distinct_scores_it_is_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of one draw, so that both draw the same."""
    monkeypatch.setattr(bootstrap, "_DRAWN_AT_ONCE", 1)
    for rows in (drawn(12, 20, steps=4), drawn(30, 3, steps=2)):
        assert_same(
            subject_intervals(rows, sorted_up(rows), THRESHOLD, RESAMPLES, SEED), intervals_row_by_row(rows), 1e-12
        )


def test_with_many_the_curve_is_read_off_few_cuts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "_DRAWN_AT_ONCE", 1)
    rows = drawn(60, 100)
    assert sorted_up(rows).cuts.size > bootstrap.MAX_CUTS
    assert_same(subject_intervals(rows, sorted_up(rows), THRESHOLD, RESAMPLES, SEED), intervals_row_by_row(rows), 1e-3)


def test_equal_seeds_give_equal_intervals() -> None:
    rows = drawn(12, 20, steps=4)
    scores = sorted_up(rows)
    once = subject_intervals(rows, scores, THRESHOLD, seed=1)
    assert once == subject_intervals(rows, scores, THRESHOLD, seed=1)
    assert once != subject_intervals(rows, scores, THRESHOLD, seed=2)


def test_subjects_widen_what_frames_alone_would_narrow() -> None:
    """All frames of a subject alike: the interval is that of 20 subjects, not of 2,000 frames."""
    subject = np.repeat(np.arange(20), 100)
    species = np.where(subject % 2 == 0, -1, 0)
    scores = np.where(subject < 4, -1.0, 1.0) * np.where(species < 0, 1, -1)
    by_subject = Rows(scores, species, ("mask",), subject)
    by_frame = Rows(scores, species, ("mask",), np.arange(2000))
    presented = Presentations(np.sort(scores[species < 0]), {"mask": np.sort(scores[species == 0])})
    wide = subject_intervals(by_subject, presented, 0.0).figures["BPCER"]
    narrow = subject_intervals(by_frame, presented, 0.0).figures["BPCER"]
    assert narrow[0] > 0.17
    assert narrow[1] < 0.23
    assert wide[0] == 0
    assert wide[1] > 0.4


def test_a_species_of_one_subject_is_left_out_where_it_was_not_drawn() -> None:
    subject = np.array([0, 0, 1, 1, 2, 2])
    species = np.array([-1, 0, -1, 0, -1, 1])
    scores = np.array([1.0, -1.0, 1.0, 1.0, 1.0, 2.0])
    presented = Presentations(np.ones(3), {"mask": np.array([-1.0, 1.0]), "print": np.array([2.0])})
    found = subject_intervals(Rows(scores, species, NAMES, subject), presented, 0.0)
    assert found.apcer["print"] == (1, 1)
    assert found.apcer["mask"] == (0, 1)
    assert all(np.isfinite(found.figures[name]).all() for name in found.figures)
