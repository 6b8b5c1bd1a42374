"""Doubt is never bona fide."""

from __future__ import annotations

import math
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from edgefas.contracts import Decision, Reason, Verdict

SCORED = {
    (Verdict.BONA_FIDE, Reason.SCORE_ABOVE_THRESHOLD),
    (Verdict.ATTACK, Reason.SCORE_BELOW_THRESHOLD),
}


@given(st.floats(), st.floats(-100, 100))
def test_bona_fide_needs_a_finite_score_at_the_threshold(score: float, threshold: float) -> None:
    decision = Decision.from_score(score, threshold)
    assert (decision.verdict is Verdict.BONA_FIDE) == (math.isfinite(score) and score >= threshold)
    assert (decision.reason is Reason.SCORE_NOT_FINITE) == (not math.isfinite(score))
    assert decision.score == (score if math.isfinite(score) else None)


def test_the_threshold_itself_is_accepted() -> None:
    assert Decision.from_score(0.25, 0.25).verdict is Verdict.BONA_FIDE
    assert Decision.from_score(math.nextafter(0.25, -1), 0.25).verdict is Verdict.ATTACK


@pytest.mark.parametrize("score", [np.float32("nan"), np.float32("inf"), np.float32("-inf")])
def test_an_engines_nonsense_is_no_decision(score: np.float32) -> None:
    assert Decision.from_score(score, 0.0) == Decision.none(Reason.SCORE_NOT_FINITE)


def test_an_engines_score_is_taken() -> None:
    assert Decision.from_score(np.float32(1.5), 0.0).score == 1.5


@pytest.mark.parametrize(("verdict", "reason", "score"), list(product(Verdict, Reason, (None, 1.0))))
def test_verdict_and_reason_agree(verdict: Verdict, reason: Reason, score: float | None) -> None:
    if verdict is Verdict.NO_DECISION:
        allowed = reason not in {scored for _, scored in SCORED}
    else:
        allowed = (verdict, reason) in SCORED and score is not None
    if allowed:
        assert Decision(verdict=verdict, reason=reason, score=score).reason is reason
    else:
        with pytest.raises(ValidationError, match=r"needs a score and the reason|cannot have the reason"):
            Decision(verdict=verdict, reason=reason, score=score)


def test_every_reason_is_explained_to_users(root: Path) -> None:
    page = (root / "docs" / "decisions.md").read_text()
    rows = [line.split(" | ") for line in page.splitlines() if line.startswith("| `")]
    explained = {cells[0].strip("| `"): cells[1:] for cells in rows if len(cells) == 3}
    assert [reason.value for reason in Reason if reason.value not in explained] == []
    assert [name for name, (what, _) in explained.items() if not what.strip()] == []
