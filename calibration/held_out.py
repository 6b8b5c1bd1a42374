"""What a policy does with recordings it was not fitted to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgefas.calibration.episodes import F64, ScoredEpisode
from edgefas.calibration.folds import folds
from edgefas.calibration.policy import fit_policy
from edgefas.calibration.quality import Quality, quality
from edgefas.calibration.rates import Rates, rates, wrong_share
from edgefas.calibration.threshold import Targets
from edgefas.contracts import Decision, Label, Policy, Reason, Verdict
from edgefas.evaluation.intervals import Share, wilson
from edgefas.live.temporal import Memory, advance


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
    """Error rates of the temporal decision, over recordings."""

    attacks_accepted: Share
    bona_fide_rejected: Share
    """Called an attack before they were accepted."""
    bona_fide_undecided: Share
    """Neither accepted nor called an attack by the end of their recording."""
    accept_ms: float | None
    """Median time to acceptance of the bona fide accepted."""


@dataclass(frozen=True)
class HeldOut:
    """Cross-validation: every recording is judged by a policy fitted to the recordings of the other folds."""

    rates: Rates
    """Of single frames at the threshold."""
    reached: Reached | None
    """None where frames have no times."""
    uncalibrated: Quality
    """Of the scores as the network gives them, read as log-likelihood ratios."""
    calibrated: Quality


def held_out(episodes: Sequence[ScoredEpisode], fitted: Policy, targets: Targets) -> HeldOut:
    """Fit again without each fold (see `folds`), and judge that fold.

    Raises:
        ScoreCalibrationError: without one fold the others cannot be calibrated on.
    """
    number = folds(episodes)
    made_for = fitted.calibration
    assert made_for is not None
    timed = all(episode.timed for episode in episodes)
    wrong = np.zeros(len(episodes))
    ratios: list[F64] = [e.scores[e.scored] for e in episodes]
    played: list[tuple[Label, Played]] = []
    for fold in range(int(number.max()) + 1):
        rest = [e for e, n in zip(episodes, number.tolist(), strict=True) if n != fold]
        policy = fit_policy(rest, fitted, made_for.model, made_for.model_sha256, targets)
        assert policy.calibration is not None
        for place in np.flatnonzero(number == fold).tolist():
            episode = episodes[place]
            wrong[place] = wrong_share(episode, policy.threshold)
            ratios[place] = policy.calibration.slope * ratios[place] + policy.calibration.offset
            if timed:
                played.append((episode.label, play(episode, policy)))
    return HeldOut(
        rates(episodes, wrong),
        _reached(played) if timed else None,
        quality(episodes, [e.scores[e.scored] for e in episodes]),
        quality(episodes, ratios),
    )


def play(episode: ScoredEpisode, policy: Policy) -> Played:
    """Run the temporal rule over a recording whose frames have times."""
    memory, begin_ns = Memory(), int(episode.times_ns[0])
    first: dict[Verdict, float] = {}
    for time_ns, score in zip(episode.times_ns.tolist(), episode.scores.tolist(), strict=True):
        undecided = not np.isfinite(score)
        decision = Decision.none(Reason.NO_FACE) if undecided else Decision.from_score(score, policy.threshold)
        memory = advance(memory, policy, decision, None, time_ns)
        first.setdefault(memory.state, (time_ns - begin_ns) / 1e6)
    return Played(first.get(Verdict.BONA_FIDE), first.get(Verdict.ATTACK))


def _reached(played: Sequence[tuple[Label, Played]]) -> Reached:
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
