"""Against what bob.measure 6.1.1 and scikit-learn said of scores with heavy ties (`record_fixtures.py`)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgefas.evaluation.metrics import auc, count_errors
from edgefas.evaluation.presentations import Presentations
from edgefas.evaluation.thresholds import apcer_threshold, bpcer_threshold, eer_threshold

CASES = json.loads(Path(__file__).with_name("fixtures.json").read_text())["cases"]


@pytest.fixture(params=CASES, ids=[f"{len(c['bona_fide'])}+{len(c['attacks'])}" for c in CASES])
def case(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture
def scores(case: Any) -> Presentations:
    return Presentations(np.sort(case["bona_fide"]), {"print": np.sort(case["attacks"])})


def test_the_fixtures_are_what_they_say() -> None:
    assert len(CASES) == 17
    assert all(len(set(c["bona_fide"] + c["attacks"])) < len(c["bona_fide"] + c["attacks"]) for c in CASES)


def test_rates_are_those_of_bob(case: Any, scores: Presentations) -> None:
    for threshold, far, frr in case["bob_far_frr"]:
        rates = count_errors(scores, threshold).rates
        assert (rates.apcer["print"], rates.bpcer) == (far, frr)


def test_eer_is_that_of_bob(case: Any, scores: Presentations) -> None:
    threshold, eer = eer_threshold(scores)
    assert eer == pytest.approx(case["bob_eer"], abs=1e-12)
    ours, bobs = (count_errors(scores, t).rates for t in (threshold, case["bob_eer_threshold"]))
    assert abs(ours.bpcer - ours.max_apcer) == pytest.approx(abs(bobs.bpcer - bobs.max_apcer), abs=1e-12)
    if len(scores.cuts) > 2:  # where all scores are one, bob accepts everything and we nothing
        assert (ours.bpcer, ours.apcer) == (bobs.bpcer, bobs.apcer)


def test_auc_is_that_of_scikit_learn(case: Any, scores: Presentations) -> None:
    assert auc(scores) == pytest.approx(case["sklearn_auc"], abs=1e-12)


def test_limited_fpr_is_that_of_both(case: Any, scores: Presentations) -> None:
    """bob's threshold is the lowest attack that may pass, ours lies below: as few attacks, and as many bona fide as
    scikit-learn's curve allows."""
    for limit, expected in case["sklearn_tpr_at_fpr"].items():
        ours = count_errors(scores, apcer_threshold(scores, [scores.pooled], float(limit)))
        bobs = count_errors(scores, case["bob_far_threshold"][limit])
        assert 1 - ours.rates.bpcer == pytest.approx(expected, abs=1e-12)
        assert ours.accepted == bobs.accepted
        assert ours.rejected <= bobs.rejected


def test_limited_fnr_is_that_of_scikit_learn(case: Any, scores: Presentations) -> None:
    """bob counts ties as if they were already rejected, so its threshold may be lower than it need be; and where the
    lowest score is tied too often for any limit, its threshold breaks the limit."""
    kept = 0
    for limit, expected in case["sklearn_fpr_at_fnr"].items():
        ours = count_errors(scores, bpcer_threshold(scores, float(limit)))
        bobs = count_errors(scores, case["bob_frr_threshold"][limit])
        assert ours.rates.apcer["print"] == pytest.approx(expected, abs=1e-12)
        assert ours.rejected <= float(limit) * ours.bona_fide + 1e-9
        if bobs.rates.bpcer <= float(limit):
            assert bobs.rejected <= ours.rejected
            kept += 1
    assert kept > 0 or len(scores.cuts) == 2
