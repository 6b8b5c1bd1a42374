"""The sequential test against a majority vote and an exponential average of scores, at equal latency.

    python -m edgefas.benchmarks.temporal_rules [-o benchmarks/results/temporal_rules.json]

Episodes of the simulated camera, scored by the shipped network through the live pipeline. Each rule is run at a row of
settings that trade errors for time: the vote and the average with so many frames and every threshold of a list, the
test as calibrated with every error target. Of the settings that accept at most 1 % of the attacks, the table has the
one that loses fewest bona fide within a time. They are chosen with the answers at hand, so the vote and the average are
shown at their best. The network hardly errs on simulated data, so a second condition adds noise to its scores (a
first-order autoregression, drawn from fixed seeds): what rules do with a network that does err.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from edgefas.benchmarks.temporal_episodes import calibration_episodes, test_episodes
from edgefas.benchmarks.temporal_plot import Curve, Panel, plot
from edgefas.calibration.episodes import ScoredEpisode
from edgefas.calibration.held_out import play
from edgefas.calibration.policy import fit_policy
from edgefas.calibration.threshold import Targets
from edgefas.cli.console import errors
from edgefas.cli.guard import run_script
from edgefas.cli.train import report_to, training_progress
from edgefas.contracts import Label, Policy, SprtRule, TemporalRule
from edgefas.environment import environment
from edgefas.evaluation.intervals import Share, wilson
from edgefas.files import write_atomically

NOISE, NOISE_MS, DRAWS = 3.0, 200.0, 10
"""Spread of the added noise in log-odds, the time in which its correlation falls to 1/e, and draws per episode."""
MAX_BPCER = 0.05
VOTES = tuple(range(1, 11))
AVERAGES = tuple(range(1, 11))
THRESHOLDS = (-2.0, -1.0, 0.0, 1.0, 2.0, 3.0, 4.0)
MOST_ATTACKS = 0.01
TARGETS = (0.3, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001)
MIN_FRAMES = 2
"""Of the sequential test: the others may decide on one frame, so it should not be held back."""
FRAME_MS = 100.0

Decider = Callable[[ScoredEpisode], float | None]
"""Time from the first frame to acceptance in ms, or None."""


@dataclass(frozen=True)
class Point:
    """One rule at one setting."""

    condition: str
    rule: str
    setting: float
    threshold: float
    attacks_accepted: Share
    bona_fide_not_accepted: Share
    """By the end of their episode, 1.1 s."""
    median_ms: float | None
    """From the first frame to acceptance, of the bona fide accepted."""


def vote(policy: Policy, frames: int) -> Decider:
    """The live rule without a calibration: `frames` bona fide ones in a second, and not one attack."""
    rule = TemporalRule(window_ms=1000, accept_frames=frames, reject_frames=2)
    voting = policy.model_copy(update={"calibration": None, "temporal": rule})
    return lambda episode: play(episode, voting).accepted_after_ms


def average(policy: Policy, frames: int) -> Decider:
    """Accepts as soon as so many frames have come and their exponential average is at the threshold.

    The average forgets over as many frames; it starts at the first score.
    """

    def decide(episode: ScoredEpisode) -> float | None:
        mean, seen, last_ns = 0.0, 0, 0
        for time_ns, score in zip(episode.times_ns.tolist(), episode.scores.tolist(), strict=True):
            if not np.isfinite(score):
                continue
            share = 1 - np.exp(-(time_ns - last_ns) / 1e6 / (frames * FRAME_MS)) if seen else 1.0
            mean, seen, last_ns = mean + share * (score - mean), seen + 1, time_ns
            if seen >= frames and mean >= policy.threshold:
                return (time_ns - int(episode.times_ns[0])) / 1e6
        return None

    return decide


def sequential(policy: Policy, max_apcer: float) -> Decider:
    """The live rule with a calibration."""
    opening = np.log((1 - MAX_BPCER) / max_apcer).item()
    test = SprtRule(
        max_apcer=max_apcer, max_bpcer=MAX_BPCER, max_frame_evidence=min(2.0, opening / 2), min_frames=MIN_FRAMES
    )
    rule = policy.temporal.model_copy(update={"sprt": test})
    return lambda episode: play(episode, policy.model_copy(update={"temporal": rule})).accepted_after_ms


def with_noise(episodes: Sequence[ScoredEpisode], seed: int, draws: int) -> list[ScoredEpisode]:
    """Every episode `draws` times with noise of its own on its scores."""
    noisy = []
    for number, episode in enumerate(episodes):
        for draw in range(draws):
            rng = np.random.default_rng([seed, number, draw])
            kept = np.exp(-np.diff(episode.times_ns, prepend=-(10**15)) / 1e6 / NOISE_MS)
            noise, value = [], 0.0
            for rho, fresh in zip(kept.tolist(), rng.normal(size=len(kept)).tolist(), strict=True):
                value = rho * value + np.sqrt(1 - rho * rho) * fresh
                noise.append(value)
            noisy.append(replace(episode, scores=episode.scores + NOISE * np.array(noise)))
    return noisy


def points_of(
    condition: str, fitted: Sequence[ScoredEpisode], shown: Sequence[ScoredEpisode]
) -> tuple[Policy, list[Point]]:
    """Calibrate on some episodes, run every rule at every setting over others."""
    policy = fit_policy(fitted, Policy(), "shipped", "0" * 64, Targets(0.01, MAX_BPCER))
    at = {threshold: policy.model_copy(update={"threshold": threshold}) for threshold in THRESHOLDS}
    rules: list[tuple[str, float, float, Decider]] = [
        *(("vote", n, threshold, vote(other, n)) for n in VOTES for threshold, other in at.items()),
        *(("average", n, threshold, average(other, n)) for n in AVERAGES for threshold, other in at.items()),
        *(("sequential test", a, policy.threshold, sequential(policy, a)) for a in TARGETS),
    ]
    return policy, [_point(condition, *rule, shown) for rule in rules]


def _point(
    condition: str, name: str, setting: float, threshold: float, decide: Decider, shown: Sequence[ScoredEpisode]
) -> Point:
    alive = [decide(episode) for episode in shown if episode.label is Label.BONA_FIDE]
    spoof = [decide(episode) for episode in shown if episode.label is Label.ATTACK]
    accepted = [after for after in alive if after is not None]
    return Point(
        condition,
        name,
        setting,
        threshold,
        wilson(sum(after is not None for after in spoof), len(spoof)),
        wilson(len(alive) - len(accepted), len(alive)),
        float(np.median(accepted)) if accepted else None,
    )


def best(points: Sequence[Point], condition: str, rule: str) -> list[Point]:
    """The fewest bona fide lost at each time, of the settings that accept few enough attacks; only what is better than
    anything quicker."""
    kept: list[Point] = []
    fit = (p for p in points if (p.condition, p.rule) == (condition, rule) and p.median_ms is not None)
    for point in sorted(fit, key=lambda p: (round(p.median_ms or 0), p.bona_fide_not_accepted.share)):
        lost = kept[-1].bona_fide_not_accepted.share if kept else 1.0
        if point.attacks_accepted.share <= MOST_ATTACKS and point.bona_fide_not_accepted.share < lost:
            kept.append(point)
    return kept


def picture(points: Sequence[Point]) -> str:
    """Bona fide lost over the median time to acceptance, per condition."""
    panels = []
    for condition in dict.fromkeys(point.condition for point in points):
        curves = [Curve(rule, _curve(best(points, condition, rule))) for rule in dict.fromkeys(p.rule for p in points)]
        panels.append(Panel(f"bona fide not accepted in 1.1 s: {condition}", curves))
    return plot(panels, 2, "median time to acceptance, ms")


def _curve(points: Sequence[Point]) -> list[tuple[float, float, float, float]]:
    lost = [(point.median_ms or 0.0, point.bona_fide_not_accepted) for point in points]
    return [(time_ms, share.share, share.low, share.high) for time_ms, share in lost]


def main(
    cache: Annotated[Path, typer.Option(help="Rendered samples and scores.")] = Path(".cache"),
    processes: Annotated[int | None, typer.Option(min=1, help="That render; default: one per core.")] = None,
    out: Annotated[Path, typer.Option("-o", "--out", help="A .md with the table is written beside it.")] = Path(
        "benchmarks/results/temporal_rules.json"
    ),
    image: Annotated[Path, typer.Option(help="The plot.")] = Path("docs/images/temporal-rules.svg"),
) -> None:
    """Compare the rules."""
    with training_progress() as progress:
        fitted = calibration_episodes(cache, partial(report_to(progress), "rendering the calibration episodes"))
        shown = test_episodes(cache, partial(report_to(progress), "rendering the test episodes"), processes)
    conditions = {
        "as scored": (fitted, shown),
        "noise added": (with_noise(fitted, 1, 1), with_noise(shown, 2, DRAWS)),
    }
    points: list[Point] = []
    policies: dict[str, Any] = {}
    for condition, (first, second) in conditions.items():
        policy, found = points_of(condition, first, second)
        policies[condition] = policy.model_dump(mode="json", include={"threshold", "calibration"})
        points += found
        errors.print(f"{condition} done", highlight=False)
    document = {
        "command": " ".join(["python -m edgefas.benchmarks.temporal_rules", *sys.argv[1:]]),
        **environment(),
        "what": f"{len(shown)} simulated episodes of {len(shown[0].scores)} frames, {FRAME_MS:.0f} ms apart, of people "
        f"in no split, at the site held out of training; calibrated on {len(fitted)} others",
        "noise": {"spread": NOISE, "correlation_ms": NOISE_MS, "draws": DRAWS},
        "policies": policies,
        "points": [asdict(point) for point in points],
    }
    text = markdown(document, points)
    write_atomically(out, json.dumps(document, indent=1).encode() + b"\n")
    write_atomically(out.with_suffix(".md"), text.encode())
    write_atomically(image, picture(points).encode())
    sys.stdout.write(text)


def markdown(document: dict[str, Any], points: Sequence[Point]) -> str:
    """One table per condition; every setting is in the JSON."""
    lines = [
        f"Temporal rules on {document['what']}.",
        "",
        f"Of every rule's settings that accept at most {MOST_ATTACKS:.0%} of the attacks: the one that loses fewest "
        "bona fide, and each quicker one that loses more. Setting: frames for the vote and the average, the error "
        "target for the test, whose threshold is the calibrated one.",
        "",
        f"Noise: a first-order autoregression of spread {NOISE:g} on the log-odds, correlated over {NOISE_MS:.0f} ms, "
        f"{DRAWS} draws per episode (draws of one episode resemble each other: those intervals are too narrow). "
        "Intervals: Wilson, 95 %.",
        "",
        f"`{document['command']}` on {document['cpu']}.",
    ]
    for condition in dict.fromkeys(point.condition for point in points):
        lines += ["", f"**{condition}**", ""]
        lines += ["| rule | setting | threshold | median ms to acceptance | attacks accepted "]
        lines[-1] += "| bona fide not accepted in 1.1 s |"
        lines += ["|---|---|---|---|---|---|"]
        for rule in dict.fromkeys(point.rule for point in points):
            for point in best(points, condition, rule):
                both = (point.attacks_accepted, point.bona_fide_not_accepted)
                shares = " | ".join(f"{s.share:.1%} [{s.low:.1%}, {s.high:.1%}]" for s in both)
                name = f"| {rule} | {point.setting:g} | {point.threshold:.2f} | {point.median_ms:.0f} "
                lines.append(f"{name}| {shares} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    run_script(main)
