"""From a table of scores to every figure of the test split, each with what it was counted from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from edgefas.evaluation.bootstrap import Interval, Rows, SubjectIntervals, subject_intervals
from edgefas.evaluation.intervals import Mean, Share, clopper_pearson, mean_over_runs
from edgefas.evaluation.metrics import (
    ErrorCounts,
    ErrorRates,
    Point,
    accuracy_at_bpcer,
    apcer_at_bpcer,
    auc,
    bpcer_at_apcer,
    count_errors,
    tpr_at_fpr,
)
from edgefas.evaluation.presentations import MetricError, Presentations
from edgefas.evaluation.scores import (
    SPLITS,
    NonResponse,
    Scores,
    ScoresError,
    by_video,
    sorted_presentations,
    with_rule,
)
from edgefas.evaluation.thresholds import Rule, Threshold, choose, eer_threshold, most_errors

Level = Literal["frame", "video"]


@dataclass(frozen=True)
class Figure:
    """One figure of the test split."""

    value: float | None
    bona_fide: int
    """Presentations it was counted from."""
    attacks: int
    exact: Interval | None = None
    """95 %, Clopper-Pearson: if presentations were independent."""
    subjects: Interval | None = None
    """95 %, by drawing subjects."""
    reason: str | None = None
    """Why there is no value."""
    pai: str | None = None
    """The species that it is the rate of."""
    threshold: float | None = None
    """Of a figure read off the curve."""
    achieved: float | None = None
    """The rate that was limited."""


@dataclass(frozen=True)
class Species:
    """Attacks of one PAI species."""

    presentations: int
    nonresponses: int
    apcer: Figure


@dataclass(frozen=True)
class Report:
    """What a table of scores says."""

    level: Level
    nonresponse: NonResponse
    rows: dict[str, int]
    """Presentations per split."""
    subjects: int | None
    """Counted in the test split; None where they are not known."""
    threshold: Threshold
    dev: ErrorRates | None
    """On the split the threshold was chosen on."""
    species: dict[str, Species]
    at_threshold: dict[str, Figure]
    curve: dict[str, Figure]
    """Of all thresholds on the test split: they describe it, no operating threshold comes from them."""
    notes: tuple[str, ...]
    test: Presentations


def evaluate(scores: Scores, rule: Rule, nonresponse: NonResponse = "reject", level: Level = "frame") -> Report:
    """Choose a threshold on dev, count errors on test.

    Args:
        scores: a table with rows of split test, and of split dev unless the rule gives the threshold.
        rule: of the operating threshold.
        nonresponse: what a presentation without a score counts as; see `with_rule`.
        level: whether rows are presentations, or the videos they are frames of.

    Raises:
        UsageError: the rule needs a dev split.
        ScoresError: no test split, non-responses under the rule `error`, or no videos.
        MetricError: a class is missing in a split.
    """
    table = by_video(scores) if level == "video" else scores
    parts = {split: table.take(table.split.are(split)) for split in SPLITS}
    if not len(parts["test"]):
        raise ScoresError("no rows of split test; error rates are those of split test")
    dev = None if rule.kind == "fixed" or not len(parts["dev"]) else _sorted(parts["dev"], nonresponse)
    test = _sorted(parts["test"], nonresponse)
    threshold = choose(rule, dev)
    errors = count_errors(test, threshold.value)
    counted = with_rule(parts["test"], nonresponse)
    subjects, notes = _subjects(counted)
    drawn = SubjectIntervals()
    if subjects is not None and subjects > 1:
        drawn = subject_intervals(_rows(counted, test), test, threshold.value)
    return Report(
        level,
        nonresponse,
        {split: len(part) for split, part in parts.items()},
        subjects,
        threshold,
        None if dev is None else count_errors(dev, threshold.value).rates,
        _species(parts["test"], errors, drawn),
        _at_threshold(parts["test"], errors, drawn),
        curve_figures(test, drawn),
        (*notes, *_dev_notes(rule, parts, dev)),
        test,
    )


def means_over_runs(reports: Sequence[Report]) -> dict[str, Mean]:
    """Mean, deviation and t interval of every figure that all runs (seeds, sub-protocols) have."""
    every = [{**report.at_threshold, **report.curve} for report in reports]
    columns = {name: [figures[name].value for figures in every] for name in every[0]}
    return {
        name: mean_over_runs([value for value in values if value is not None])
        for name, values in columns.items()
        if None not in values
    }


def _sorted(part: Scores, nonresponse: NonResponse) -> Presentations:
    try:
        return sorted_presentations(with_rule(part, nonresponse))
    except MetricError as error:
        raise MetricError(f"split {part.split[0]}: {error}") from error


def _rows(part: Scores, scores: Presentations) -> Rows:
    codes, words = part.species()
    names = tuple(scores.attacks)
    places = np.array([names.index(word) if word in names else -1 for word in words])
    return Rows(part.score, places[codes], names, part.subject.codes)


def _subjects(test: Scores) -> tuple[int | None, list[str]]:
    """How many there are, and what is to be said of it."""
    unknown = int(test.subject.are("").sum())
    if unknown:
        return None, [f"{unknown} of {len(test)} test rows have no subject: there are no intervals over subjects"]
    count = len(np.unique(test.subject.codes))
    return count, [] if count > 1 else ["all test rows are of one subject: they say nothing of other people"]


def _dev_notes(rule: Rule, parts: dict[str, Scores], dev: Presentations | None) -> list[str]:
    if dev is None:
        return []
    notes = []
    first, second = (
        {*np.unique(parts[split].subject.codes[~parts[split].subject.are("")])} for split in ("dev", "test")
    )
    both = len(first & second)
    if both:
        notes.append(f"subjects in dev and in test: {both}; the threshold has seen them")
    fewest = dev.bona_fide.size if rule.kind == "bpcer" else min(attacks.size for attacks in dev.attacks.values())
    if rule.value is not None and not most_errors(rule.value, fewest):
        notes.append(f"{rule} means no error at all on dev: it has {fewest} presentations to count from")
    return notes


def _share(count: int, bona_fide: int, attacks: int, subjects: Interval | None) -> Figure:
    share: Share = clopper_pearson(count, bona_fide + attacks)
    return Figure(share.share, bona_fide, attacks, (share.low, share.high), subjects)


def _species(test: Scores, errors: ErrorCounts, drawn: SubjectIntervals) -> dict[str, Species]:
    found = {}
    for name, total in errors.attacks.items():
        rows = test.pai.are(name)
        figure = _share(errors.accepted[name], 0, total, drawn.apcer.get(name))
        found[name] = Species(int(rows.sum()), int(test.silent[rows].sum()), replace(figure, pai=name))
    return found


def _at_threshold(test: Scores, errors: ErrorCounts, drawn: SubjectIntervals) -> dict[str, Figure]:
    rates, alive, spoof = errors.rates, errors.bona_fide, sum(errors.attacks.values())
    worst = max(rates.apcer, key=lambda name: rates.apcer[name])
    silent = test.silent
    attacks_silent = {
        name: (int(silent[rows].sum()), int(rows.sum()))
        for name in test.pai.words
        if name and (rows := test.pai.are(name)).any()
    }
    mute = max(attacks_silent, key=lambda name: attacks_silent[name][0] / attacks_silent[name][1])
    return {
        "APCER": Figure(rates.max_apcer, 0, errors.attacks[worst], None, drawn.figures.get("APCER"), pai=worst),
        "APCER_mean": Figure(rates.mean_apcer, 0, spoof, None, drawn.figures.get("APCER_mean")),
        "APCER_pooled": _share(sum(errors.accepted.values()), 0, spoof, drawn.figures.get("APCER_pooled")),
        "BPCER": _share(errors.rejected, alive, 0, drawn.figures.get("BPCER")),
        "ACER": Figure(rates.acer, alive, spoof, None, drawn.figures.get("ACER")),
        "HTER": Figure(errors.hter, alive, spoof, None, drawn.figures.get("HTER")),
        "accuracy": _share(errors.correct, alive, spoof, drawn.figures.get("accuracy")),
        "APNRR": replace(_share(attacks_silent[mute][0], 0, attacks_silent[mute][1], None), pai=mute),
        "BPNRR": _share(int(silent[test.bona_fide].sum()), int(test.bona_fide.sum()), 0, None),
    }


def curve_figures(test: Presentations, drawn: SubjectIntervals) -> dict[str, Figure]:
    """Figures of the whole curve, with the intervals that were drawn."""
    alive, spoof = test.bona_fide.size, test.pooled.size
    threshold, eer = eer_threshold(test)

    def read(point: Point) -> Figure:
        return Figure(
            point.value, alive, spoof, reason=point.reason, threshold=point.threshold, achieved=point.achieved
        )

    return {
        "EER": Figure(eer, alive, spoof, None, drawn.figures.get("EER"), threshold=threshold),
        "AUC": Figure(auc(test), alive, spoof, None, drawn.figures.get("AUC")),
        **{f"TPR@FPR={limit:g}": read(tpr_at_fpr(test, limit)) for limit in (1e-2, 1e-3, 1e-4)},
        **{f"BPCER{round(1 / limit)}": read(bpcer_at_apcer(test, limit)) for limit in (0.1, 0.05, 0.01)},
        **{f"APCER@BPCER={limit:g}": read(apcer_at_bpcer(test, limit)) for limit in (0.1, 0.05, 0.01)},
        "accuracy@BPCER=0.01": read(accuracy_at_bpcer(test, 0.01)),
    }
