"""What is known of a fitted policy: error rates, how sure they are, and what would make them surer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from edgefas.calibration.episodes import ScoredEpisode
from edgefas.calibration.folds import by_subject, units
from edgefas.calibration.held_out import HeldOut, held_out
from edgefas.calibration.needed import Needed, needed, shown
from edgefas.calibration.rates import Rates, errors_of, rates_at
from edgefas.calibration.threshold import Targets, threshold_interval
from edgefas.contracts import Label, Policy


@dataclass(frozen=True)
class Goal:
    """An error rate that is asked for, and what it takes to show it."""

    label: Label
    pai: str | None
    """The worst species, if the rate is that of single frames."""
    target: float
    observed: float
    """Share of errors where held out."""
    recordings: int
    """Independent ones: people, where those are known."""
    shown: bool
    """Whether they show the target with a certainty of 95 %."""
    needed_without_errors: Needed | None
    needed_as_observed: Needed | None


@dataclass(frozen=True)
class Findings:
    """Of one calibration."""

    targets: Targets
    drawn: str
    """What counts as independent: subjects or recordings."""
    threshold_interval: tuple[float, float]
    """95 %, of other such recordings."""
    rates: Rates
    """Of single frames, at the threshold fitted to the same recordings."""
    held_out: HeldOut
    goals: tuple[Goal, Goal]


def findings(episodes: Sequence[ScoredEpisode], policy: Policy, targets: Targets) -> Findings:
    """Judge a policy by the recordings it was fitted to.

    Raises:
        ScoreCalibrationError: see `held_out`.
    """
    judged = held_out(episodes, policy, targets)
    return Findings(
        targets,
        "subjects" if by_subject(episodes) else "recordings",
        threshold_interval(episodes, targets),
        rates_at(episodes, policy.threshold),
        judged,
        _goals(episodes, judged, targets),
    )


def document(found: Findings) -> dict[str, Any]:
    """For a machine to read."""
    said = asdict(found)
    for goal in said["goals"]:
        goal["label"] = goal["label"].value
    return said


def _goals(episodes: Sequence[ScoredEpisode], judged: HeldOut, targets: Targets) -> tuple[Goal, Goal]:
    """Of the temporal decision, or of single frames where those are asked for or nothing else can be played."""
    reached, frames = judged.reached, judged.rates
    who = units(episodes)
    alive = np.array([e.label is Label.BONA_FIDE for e in episodes])
    if targets.frame_bpcer is None and reached is not None:
        bona_fide = _goal(Label.BONA_FIDE, None, targets.max_bpcer, reached.bona_fide_rejected.share, who[alive])
    else:
        limit = targets.max_bpcer if targets.frame_bpcer is None else targets.frame_bpcer
        bona_fide = _goal(Label.BONA_FIDE, None, limit, frames.bpcer.share, who[alive])
    if targets.frame_apcer is None and reached is not None:
        return bona_fide, _goal(Label.ATTACK, None, targets.max_apcer, reached.attacks_accepted.share, who[~alive])
    limit = targets.max_apcer if targets.frame_apcer is None else targets.frame_apcer
    worst = ~alive & np.array([e.pai == frames.worst for e in episodes])
    return bona_fide, _goal(Label.ATTACK, frames.worst, limit, frames.apcer[frames.worst].share, who[worst])


def _goal(label: Label, pai: str | None, target: float, observed: float, who: np.ndarray) -> Goal:
    count = int(np.unique(who).size)
    return Goal(
        label, pai, target, observed, count, shown(target, errors_of(observed, count), count), needed(target),
        needed(target, observed),
    )  # fmt: skip
