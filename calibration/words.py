"""What a calibration found, in words that a terminal and a page share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edgefas.calibration.findings import Findings, Goal
from edgefas.calibration.needed import MOST
from edgefas.calibration.rates import Rate
from edgefas.contracts import Label, Policy, ScoreCalibration
from edgefas.evaluation.intervals import Share

CORRELATION_FROM = {
    "recordings": "measured",
    "start_policy": "kept from the model's policy, as a table of scores tells no times",
    "assumed": "assumed, as a table of scores tells no times; recordings measure it: edgefas calibrate RECORDING...",
}
MOST_NAMED = 5
RATE_HEADINGS = ("", "target", "wrong", "of", "95 % interval")


def rate_rows(found: Findings) -> list[tuple[str, str, str, str, str]]:
    """Under `RATE_HEADINGS`: what was held out first, then the frames that the threshold was fitted to."""
    targets, reached = found.targets, found.held_out.reached
    rows = []
    if reached is not None:
        rows = [
            _row("door: attacks accepted", targets.max_apcer, reached.attacks_accepted),
            _row("door: bona fide refused", targets.max_bpcer, reached.bona_fide_rejected),
            _row("door: bona fide undecided", None, reached.bona_fide_undecided),
        ]
    for where, rates in (("held out", found.held_out.rates), ("fitted", found.rates)):
        rows.append(_row(f"frames, {where}: BPCER", targets.frame_bpcer, rates.bpcer))
        rows += [
            _row(f"frames, {where}: APCER of {name}", targets.frame_apcer, rate) for name, rate in rates.apcer.items()
        ]
    return rows


def _row(name: str, target: float | None, rate: Share | Rate) -> tuple[str, str, str, str, str]:
    total = rate.total if isinstance(rate, Share) else rate.recordings
    asked = "" if target is None else f"{target:.2%}"
    return name, asked, f"{rate.share:.2%}", str(total), f"{rate.low:.2%} to {rate.high:.2%}"


def summary(found: Findings, policy: Policy) -> list[str]:
    """What the rows do not say."""
    calibration, test = _calibration(policy), policy.temporal.sprt
    low, high = found.threshold_interval
    lines = [
        "held out, and at the door: each recording judged by a policy fitted without its fold; frames: the mean over "
        "recordings of the share of wrong frames",
        f"threshold {policy.threshold:.4g}, {found.targets.rule}; other {found.drawn} might have given {low:.4g} to "
        f"{high:.4g} (95 %)",
        f"log-likelihood ratio = {calibration.slope:.3f} * score {calibration.offset:+.3f}; held out it loses "
        f"{found.held_out.calibrated.nll:.3f} nats (scores as they are {found.held_out.uncalibrated.nll:.3f}, knowing "
        f"nothing 0.693), calibration error {found.held_out.calibrated.ece:.3f} "
        f"({found.held_out.uncalibrated.ece:.3f})",
        f"frames correlated over {calibration.correlation_ms:.0f} ms: {CORRELATION_FROM[calibration.correlation_from]}",
    ]
    median = ""
    if found.held_out.reached is not None:
        after = found.held_out.reached.accept_ms
        median = "; accepted after none" if after is None else f"; accepted after {after:.0f} ms (median)"
    lines.append(f"opens at evidence {test.accept_evidence:.2f}, attack at {test.reject_evidence:.2f}{median}")
    return [*lines, *(goal_words(goal, found.drawn) for goal in found.goals)]


def goal_words(goal: Goal, drawn: str) -> str:
    """What an error rate takes to be shown."""
    if goal.label is Label.BONA_FIDE:
        what, of = "bona fide refused", "people"
    else:
        what = "attacks accepted" if goal.pai in (None, "attack") else f"attacks accepted ({goal.pai}, the worst)"
        of = "attack recordings" if drawn == "recordings" else "people imitated"
    can = "show" if goal.shown else "cannot show"
    clear = goal.needed_without_errors
    takes = "takes more than anybody records" if clear is None else f"takes {clear.recordings} without an error"
    words = (
        f"{what}: {goal.recordings} {of}, {goal.observed:.2%} wrong, {can} {goal.target:.2%} with 95 % certainty; it "
        f"{takes} (rule of three: 3 / target)"
    )
    if goal.observed == 0:
        return words
    if goal.needed_as_observed is not None:
        return f"{words}, or {goal.needed_as_observed.recordings} at this share of errors"
    if goal.observed >= goal.target:
        return f"{words}; at this share of errors no number does: the network, the site or the target has to change"
    return f"{words}; at this share of errors more than {MOST:,}"


def warnings(found: Findings, policy: Policy) -> list[str]:
    """What a user should act on."""
    said = []
    targets, fitted, reached = found.targets, found.rates, found.held_out.reached
    worst = fitted.apcer[fitted.worst].share
    if targets.frame_bpcer is not None and targets.frame_apcer is not None and worst > targets.frame_apcer:
        said.append(
            f"no threshold meets both targets: at a BPCER of {fitted.bpcer.share:.2%} {worst:.2%} of the frames of "
            f"{fitted.worst} pass, {targets.frame_apcer:.2%} were asked for; leave one target out, or ask for less"
        )
    if reached is not None and reached.bona_fide_undecided.share > 0.5:
        said.append(
            f"most bona fide are never decided: {_calibration(policy).bona_fide_episodes} recordings of them do not "
            f"give the evidence that --max-apcer {targets.max_apcer:g} asks for within their length; record more, "
            "longer, or ask for less"
        )
    return said


def named(items: Sequence[object]) -> str:
    """The first few of them."""
    more = len(items) - MOST_NAMED
    return "; ".join(map(str, items[:MOST_NAMED])) + (f" and {more} more" if more > 0 else "")


def facts(policy: Policy, sources: Sequence[Path | str]) -> dict[str, str]:
    """Where a policy comes from."""
    made = _calibration(policy)
    return {
        "network": f"{made.model}, sha256 {made.model_sha256}",
        "data": f"{named(sources)}; sha256 {made.data_sha256}",
        "recordings": f"{made.bona_fide_episodes} bona fide, {made.attack_episodes} attacks, {made.frames} frames",
    }


def _calibration(policy: Policy) -> ScoreCalibration:
    assert policy.calibration is not None
    return policy.calibration
