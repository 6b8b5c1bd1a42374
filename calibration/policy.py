"""From labelled recordings to a policy, and what it does with recordings it was not fitted to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgefas.calibration.episodes import ScoredEpisode
from edgefas.calibration.scores import (
    MAX_CORRELATION_MS,
    MIN_EPISODES,
    fit_correlation_ms,
    fit_platt,
    fit_threshold,
    require_classes,
)
from edgefas.contracts import Decision, Label, Policy, Reason, ScoreCalibration, SprtRule, Verdict
from edgefas.evaluation.intervals import Share, wilson
from edgefas.live.temporal import Memory, advance

FOLDS = 10


@dataclass(frozen=True)
class Played:
    """What the temporal rule made of one recording."""

    accepted_after_ms: float | None
    """From its first frame; None: a door would have stayed shut."""
    rejected_after_ms: float | None

    @property
    def rejected(self) -> bool:
        """Called an attack, and not accepted before."""
        return self.rejected_after_ms is not None and (
            self.accepted_after_ms is None or self.rejected_after_ms < self.accepted_after_ms
        )


@dataclass(frozen=True)
class Reached:
    """Error rates over recordings, each decided by a policy fitted without it."""

    attacks_accepted: Share
    bona_fide_rejected: Share
    """Called an attack before they were accepted."""
    bona_fide_undecided: Share
    """Neither accepted nor called an attack by the end of their recording."""
    accept_ms: float | None
    """Median time to acceptance of the bona fide accepted."""


@dataclass(frozen=True)
class FrameErrors:
    """Single frames at the threshold, on the recordings it was fitted to."""

    attacks_accepted: Share
    bona_fide_rejected: Share


def fit_policy(
    episodes: Sequence[ScoredEpisode], start: Policy, model: str, sha256: str, max_apcer: float, max_bpcer: float
) -> Policy:
    """`start` with the threshold, calibration and error targets of these recordings.

    Raises:
        ScoreCalibrationError: they cannot be calibrated on.
        ContractError: the targets are out of range.
    """
    counts = {label: sum(episode.label is label for episode in episodes) for label in Label}
    platt = fit_platt(episodes)
    test = SprtRule(
        **start.temporal.sprt.model_dump()
        | {
            "max_apcer": max_apcer,
            "max_bpcer": max_bpcer,
            "max_frame_evidence": min(
                start.temporal.sprt.max_frame_evidence, np.log((1 - max_bpcer) / max_apcer).item() / 2
            ),
        }
    )
    calibration = ScoreCalibration(
        model=model,
        model_sha256=sha256,
        slope=platt.slope,
        offset=platt.offset,
        correlation_ms=min(fit_correlation_ms(episodes), MAX_CORRELATION_MS),
        bona_fide_episodes=counts[Label.BONA_FIDE],
        attack_episodes=counts[Label.ATTACK],
        frames=sum(int(e.scored.sum()) for e in episodes),
    )
    return Policy.model_validate(
        start.model_dump()
        | {
            "threshold": fit_threshold(episodes, max_apcer, max_bpcer),
            "temporal": start.temporal.model_dump() | {"sprt": test.model_dump()},
            "calibration": calibration.model_dump(),
        }
    )


def play(episode: ScoredEpisode, policy: Policy) -> Played:
    """Run the temporal rule over a recording."""
    memory, begin_ns = Memory(), int(episode.times_ns[0])
    first: dict[Verdict, float] = {}
    for time_ns, score in zip(episode.times_ns.tolist(), episode.scores.tolist(), strict=True):
        undecided = not np.isfinite(score)
        decision = Decision.none(Reason.NO_FACE) if undecided else Decision.from_score(score, policy.threshold)
        memory = advance(memory, policy, decision, None, time_ns)
        first.setdefault(memory.state, (time_ns - begin_ns) / 1e6)
    return Played(first.get(Verdict.BONA_FIDE), first.get(Verdict.ATTACK))


def reached(episodes: Sequence[ScoredEpisode], fitted: Policy) -> Reached:
    """Cross-validation: every recording is decided by a policy fitted to the recordings of the other folds."""
    by_label = [[e for e in episodes if e.label is label] for label in Label]
    folds = min(FOLDS, *(len(part) for part in by_label))
    assert fitted.calibration is not None
    played: list[tuple[Label, Played]] = []
    for fold in range(folds):
        held_out = [e for part in by_label for e in part[fold::folds]]
        rest = [e for e in episodes if all(e is not other for other in held_out)]
        made_for, test = fitted.calibration, fitted.temporal.sprt
        policy = fit_policy(rest, fitted, made_for.model, made_for.model_sha256, test.max_apcer, test.max_bpcer)
        played += [(e.label, play(e, policy)) for e in held_out]
    alive = [result for label, result in played if label is Label.BONA_FIDE]
    spoof = [result for label, result in played if label is Label.ATTACK]
    accepted_ms = [result.accepted_after_ms for result in alive if result.accepted_after_ms is not None]
    undecided = sum(result.accepted_after_ms is None and not result.rejected for result in alive)
    return Reached(
        attacks_accepted=wilson(sum(result.accepted_after_ms is not None for result in spoof), len(spoof)),
        bona_fide_rejected=wilson(sum(result.rejected for result in alive), len(alive)),
        bona_fide_undecided=wilson(undecided, len(alive)),
        accept_ms=float(np.median(accepted_ms)) if accepted_ms else None,
    )


def frame_errors(episodes: Sequence[ScoredEpisode], threshold: float) -> FrameErrors:
    """Scored frames on the wrong side of the threshold. Frames of one recording resemble each other: the intervals
    are narrower than the truth."""
    alive, spoof = (
        np.concatenate([e.scores[e.scored] for e in episodes if e.label is label])
        for label in (Label.BONA_FIDE, Label.ATTACK)
    )
    return FrameErrors(
        attacks_accepted=wilson(int((spoof >= threshold).sum()), len(spoof)),
        bona_fide_rejected=wilson(int((alive < threshold).sum()), len(alive)),
    )


def require_enough(episodes: Sequence[ScoredEpisode]) -> None:
    """See `require_classes`; `MIN_EPISODES` of each class."""
    require_classes({label: sum(e.label is label for e in episodes) for label in Label}, MIN_EPISODES)
