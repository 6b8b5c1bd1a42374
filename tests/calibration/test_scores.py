"""Platt scaling against its definition and against known densities; correlation and threshold against brute force."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgefas.calibration.episodes import ScoreCalibrationError, ScoredEpisode
from edgefas.calibration.held_out import held_out, play
from edgefas.calibration.policy import fit_policy, require_enough
from edgefas.calibration.scores import fit_correlation_ms, fit_platt
from edgefas.calibration.threshold import Targets, fit_threshold
from edgefas.contracts import Label, Policy

FRAME_NS = 33_333_333
ALIVE, SPOOF = Label.BONA_FIDE, Label.ATTACK


def recording(label: Label, scores: list[float] | np.ndarray, name: str = "r") -> ScoredEpisode:
    times = np.arange(len(scores), dtype=np.int64) * FRAME_NS
    return ScoredEpisode(name, label, times, np.array(scores, np.float64))


def gaussian(
    count: dict[Label, int], frames: int, mean: float = 1.0, rho: float = 0.0, shared: float = 0.0
) -> list[ScoredEpisode]:
    """Recordings of unit Gaussians at +mean and -mean; `shared` is the part of the variance a recording shares."""
    found = []
    for label, sign in ((ALIVE, 1), (SPOOF, -1)):
        rng = np.random.default_rng([3, sign + 1, frames])
        for number in range(count[label]):
            state, noise = rng.normal(), []
            for fresh in rng.normal(size=frames).tolist():
                noise.append(state)
                state = rho * state + math.sqrt(1 - rho * rho) * fresh
            scores = sign * mean + math.sqrt(shared) * rng.normal() + math.sqrt(1 - shared) * np.array(noise)
            found.append(recording(label, scores, f"{label.value}{number}"))
    return found


def test_known_gaussians_give_their_log_likelihood_ratio() -> None:
    """Of N(+1, 1) against N(-1, 1) it is 2 * score."""
    fitted = fit_platt(gaussian({ALIVE: 300, SPOOF: 300}, 10))
    assert fitted.slope == pytest.approx(2, rel=0.07)
    assert fitted.offset == pytest.approx(0, abs=0.1)


def test_the_prior_of_the_recordings_is_taken_out() -> None:
    """Ten times as many attacks are no reason to doubt a face."""
    fitted = fit_platt(gaussian({ALIVE: 60, SPOOF: 600}, 10))
    assert fitted.offset == pytest.approx(0, abs=0.25)
    assert fitted.slope == pytest.approx(2, rel=0.15)


def test_the_fit_is_the_minimum_of_its_definition() -> None:
    """The loss from Platt's paper, written out per frame, in every direction from the fit."""
    episodes = [
        recording(ALIVE, [2.0, 1.0, -0.5]), recording(ALIVE, [0.3]), recording(SPOOF, [-1.0, 0.4]),
        recording(SPOOF, [-2.0] * 5), recording(SPOOF, [1.1, -1.0]),
    ]  # fmt: skip
    high, low = 3 / 4, 1 / 5
    prior = math.log((high + low) / (2 - high - low))

    def loss(slope: float, offset: float) -> float:
        total = 0.0
        for episode in episodes:
            t, classes = (high, 2) if episode.label is ALIVE else (low, 3)
            for score in episode.scores:
                p = 1 / (1 + math.exp(-(slope * score + offset + prior)))
                total -= (t * math.log(p) + (1 - t) * math.log(1 - p)) / len(episode.scores) / classes
        return total

    fitted = fit_platt(episodes)
    least = loss(fitted.slope, fitted.offset)
    for a, b in product((-1e-3, 0, 1e-3), repeat=2):
        assert loss(fitted.slope + a, fitted.offset + b) >= least


def test_classes_that_do_not_overlap_give_a_finite_slope() -> None:
    """And no more evidence than the number of recordings allows: about log(n + 1)."""
    few, many = (
        [recording(label, [sign * 5.0] * 9) for label, sign in ((ALIVE, 1), (SPOOF, -1)) for _ in range(n)]
        for n in (4, 40)
    )
    assert fit_platt(few).slope * 5 + fit_platt(few).offset == pytest.approx(math.log(5), rel=1e-6)
    assert fit_platt(many).slope * 5 + fit_platt(many).offset == pytest.approx(math.log(41), rel=1e-6)


def test_a_long_recording_counts_as_one() -> None:
    short = gaussian({ALIVE: 20, SPOOF: 20}, 5)
    long = [recording(e.label, np.tile(e.scores, 50)) if n == 0 else e for n, e in enumerate(short)]
    assert fit_platt(long).slope == pytest.approx(fit_platt(short).slope)


@given(st.floats(0.01, 100), st.floats(-50, 50))
def test_the_scale_of_scores_does_not_matter(scale: float, shift: float) -> None:
    episodes = gaussian({ALIVE: 6, SPOOF: 6}, 4)
    moved = [recording(e.label, scale * e.scores + shift) for e in episodes]
    first, second = fit_platt(episodes), fit_platt(moved)
    for score in (-2.0, 0.0, 1.5):
        expected = first.slope * score + first.offset
        assert second.slope * (scale * score + shift) + second.offset == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize(
    ("episodes", "words"),
    [
        ([recording(ALIVE, [1, 2])] * 9, "9 bona_fide, 0 attack recordings"),
        ([recording(ALIVE, [1, 2])] * 3 + [recording(SPOOF, [-1])] * 3, "at least 4 of each class"),
        ([recording(label, [1.5] * 3) for label in Label for _ in range(4)], "all 24 scores are 1.5"),
        ([recording(ALIVE, [-1, -2])] * 4 + [recording(SPOOF, [1, 2])] * 4, "labels are mixed up"),
        ([recording(ALIVE, [1e-9])] * 4 + [recording(SPOOF, [-1e-9])] * 4, "spread over 1e-09 only"),
    ],
)
def test_what_cannot_be_calibrated_is_refused(episodes: list[ScoredEpisode], words: str) -> None:
    with pytest.raises(ScoreCalibrationError, match=words):
        _calibrate(episodes)


def _calibrate(episodes: list[ScoredEpisode]) -> None:
    require_enough(episodes)
    fit_platt(episodes)


@pytest.mark.parametrize("rho", [0.5, 0.8, 0.95])
def test_the_correlation_of_an_autoregression_is_found(rho: float) -> None:
    expected = -FRAME_NS / 1e6 / math.log(rho)
    found = fit_correlation_ms(gaussian({ALIVE: 150, SPOOF: 150}, 60, rho=rho))
    assert expected * 0.9 <= found <= expected * 1.6, "the slowest lag wins: rather too long than too short"


def test_independent_scores_show_next_to_no_correlation() -> None:
    assert fit_correlation_ms(gaussian({ALIVE: 150, SPOOF: 150}, 40)) < 250


def test_what_a_recording_shares_is_correlation() -> None:
    """Frames independent about a mean of their own: within the recording nothing is seen of it."""
    found = fit_correlation_ms(gaussian({ALIVE: 150, SPOOF: 150}, 40, shared=0.7))
    assert found > 20 * FRAME_NS / 1e6 / -math.log(0.7) * 0.9, "as slow as its half length can show"


def test_scores_that_never_vary_within_a_class_are_fully_correlated_or_not_at_all() -> None:
    constant = [recording(label, [value] * 9) for label, value in ((ALIVE, 1.0), (SPOOF, -1.0)) for _ in range(4)]
    assert fit_correlation_ms(constant) == 0, "no variance, nothing shared"
    varied = [recording(ALIVE, [float(n)] * 9) for n in range(1, 6)] + constant[4:]
    assert fit_correlation_ms(varied) >= 3_600_000


@given(
    st.lists(st.tuples(st.sampled_from(Label), st.integers(-5, 5)), min_size=2, max_size=25),
    st.floats(0, 0.5),
    st.floats(0, 0.5),
)
def test_no_threshold_is_better(rows: list[tuple[Label, int]], max_apcer: float, max_bpcer: float) -> None:
    """Every other cut, one recording a frame."""
    alive, spoof = ([score for label, score in rows if label is wanted] for wanted in (ALIVE, SPOOF))
    if not alive or not spoof:
        return

    def rates(cut: float) -> tuple[float, float]:
        return float(np.mean([s >= cut for s in spoof])), float(np.mean([s < cut for s in alive]))

    apcer, bpcer = rates(
        fit_threshold([recording(label, [score]) for label, score in rows], Targets(max_apcer, max_bpcer))
    )
    others = [rates(cut) for cut in np.arange(-6, 7) - 0.5]
    close = 1e-9
    allowed = [(b, a) for a, b in others if a <= max_apcer - close and b <= max_bpcer - close]
    if allowed:
        assert apcer <= max_apcer + close
        assert (bpcer, apcer) <= tuple(value + close for value in min(allowed))
    elif not any(a <= max_apcer + close and b <= max_bpcer + close for a, b in others):
        assert max(apcer, bpcer) <= min(max(pair) for pair in others) + close


def test_a_gap_between_the_classes_is_halved() -> None:
    assert fit_threshold([recording(ALIVE, [3, 4]), recording(SPOOF, [-1, 0])], Targets(0.01, 0.05)) == 1.5


def test_undecided_frames_are_left_out_of_every_fit() -> None:
    episodes = gaussian({ALIVE: 8, SPOOF: 8}, 12, rho=0.8)
    gaps = [recording(e.label, np.insert(e.scores, [3, 7], np.nan)) for e in episodes]
    assert fit_platt(gaps) == fit_platt(episodes)
    assert fit_threshold(gaps, Targets(0.1, 0.1)) == fit_threshold(episodes, Targets(0.1, 0.1))
    assert np.isfinite(fit_correlation_ms(gaps))


def test_a_fitted_policy_keeps_what_it_began_with_and_decides_recordings_it_has_not_seen() -> None:
    start = Policy.from_dict({"gates": {"max_distance_mm": 900}, "temporal": {"hold_ms": 123}})
    episodes = gaussian({ALIVE: 30, SPOOF: 40}, 30, mean=2.0, rho=0.5)
    policy = fit_policy(episodes, start, "m", "1" * 64, Targets(0.02, 0.1))
    assert (policy.gates, policy.temporal.hold_ms) == (start.gates, 123)
    assert policy.calibration is not None
    assert (policy.calibration.bona_fide_episodes, policy.calibration.attack_episodes) == (30, 40)
    assert (policy.temporal.sprt.max_apcer, policy.temporal.sprt.max_bpcer) == (0.02, 0.1)
    assert Policy.from_json(policy.to_json()) == policy
    found = held_out(episodes, policy, Targets(0.02, 0.1)).reached
    assert found is not None
    assert (found.attacks_accepted.total, found.bona_fide_rejected.total) == (40, 30)
    assert found.attacks_accepted.low <= 0.02
    assert found.bona_fide_undecided.share < 0.2


def test_no_recording_is_judged_by_a_policy_that_saw_it(monkeypatch: pytest.MonkeyPatch) -> None:
    from edgefas.calibration import held_out as module

    episodes = gaussian({ALIVE: 12, SPOOF: 13}, 8, mean=2.0)
    fitted = fit_policy(episodes, Policy(), "m", "1" * 64, Targets(0.05, 0.1))
    seen: list[ScoredEpisode] = []
    judged: list[ScoredEpisode] = []

    def fit(rest: list[ScoredEpisode], *rest_of: object) -> Policy:
        seen[:] = rest
        return fitted

    def judge(episode: ScoredEpisode, wanted: Policy) -> object:
        assert all(episode is not other for other in seen)
        judged.append(episode)
        return play(episode, wanted)

    monkeypatch.setattr(module, "fit_policy", fit)
    monkeypatch.setattr(module, "play", judge)
    held_out(episodes, fitted, Targets(0.05, 0.1))
    assert sorted(map(id, judged)) == sorted(map(id, episodes))
