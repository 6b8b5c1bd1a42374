"""From labelled recordings, or a table of their scores, to a policy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from edgefas.calibration.episodes import ScoredEpisode
from edgefas.calibration.scores import (
    MAX_CORRELATION_MS,
    MIN_EPISODES,
    fit_correlation_ms,
    fit_platt,
    require_classes,
)
from edgefas.calibration.threshold import Targets, fit_threshold
from edgefas.contracts import Label, Policy, ScoreCalibration, SprtRule

ASSUMED_CORRELATION_MS = 10_000.0
"""Where nothing tells it: frames of several seconds are little more than one look. Recordings of five seconds cannot
show a slower one, so it is rather too long, and doors then open late instead of wrongly."""


def fit_policy(
    episodes: Sequence[ScoredEpisode],
    start: Policy,
    model: str,
    sha256: str,
    targets: Targets,
    data_sha256: str | None = None,
) -> Policy:
    """`start` with the threshold, calibration and error targets of these recordings.

    Raises:
        ScoreCalibrationError: they cannot be calibrated on.
        ContractError: the targets are out of range.
    """
    counts = {label: sum(episode.label is label for episode in episodes) for label in Label}
    platt = fit_platt(episodes)
    correlation_ms, correlation_from = _correlation(episodes, start.calibration)
    opening = np.log((1 - targets.max_bpcer) / targets.max_apcer).item()
    test = SprtRule(
        **start.temporal.sprt.model_dump()
        | {
            "max_apcer": targets.max_apcer,
            "max_bpcer": targets.max_bpcer,
            "max_frame_evidence": min(start.temporal.sprt.max_frame_evidence, opening / 2),
        }
    )
    calibration = ScoreCalibration(
        model=model,
        model_sha256=sha256,
        slope=platt.slope,
        offset=platt.offset,
        correlation_ms=correlation_ms,
        correlation_from=correlation_from,
        bona_fide_episodes=counts[Label.BONA_FIDE],
        attack_episodes=counts[Label.ATTACK],
        frames=sum(int(e.scored.sum()) for e in episodes),
        data_sha256=data_sha256,
    )
    return Policy.from_dict(
        start.model_dump()
        | {
            "threshold": fit_threshold(episodes, targets),
            "temporal": start.temporal.model_dump() | {"sprt": test.model_dump()},
            "calibration": calibration.model_dump(),
        }
    )


def _correlation(
    episodes: Sequence[ScoredEpisode], before: ScoreCalibration | None
) -> tuple[float, Literal["recordings", "start_policy", "assumed"]]:
    """Measured where frames have times, else kept, else assumed; and which."""
    if all(episode.timed for episode in episodes):
        return min(fit_correlation_ms(episodes), MAX_CORRELATION_MS), "recordings"
    if before is None:
        return ASSUMED_CORRELATION_MS, "assumed"
    kept: Literal["start_policy", "assumed"] = "assumed" if before.correlation_from == "assumed" else "start_policy"
    return before.correlation_ms, kept


def require_enough(episodes: Sequence[ScoredEpisode]) -> None:
    """See `require_classes`; `MIN_EPISODES` of each class."""
    require_classes({label: sum(e.label is label for e in episodes) for label in Label}, MIN_EPISODES)
