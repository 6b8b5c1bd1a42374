"""A fixed slice of each campaign; the full counts were run once, see results/."""

from __future__ import annotations

from tests.campaigns.mangled_recordings import run_campaign


def test_damaged_recordings() -> None:
    assert [outcome for outcome in run_campaign(0, 6) if outcome.problem] == []
