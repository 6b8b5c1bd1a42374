"""A fixed slice of each campaign; the full counts were run once, see results/."""

from __future__ import annotations

from tests.campaigns.mangled_recordings import run_campaign

CRASHES_LIBREALSENSE = 16
NEVER_OPENS = 121


def test_damaged_recordings() -> None:
    outcomes = [*run_campaign(0, 4), *run_campaign(CRASHES_LIBREALSENSE, 1), *run_campaign(NEVER_OPENS, 1)]
    assert [outcome for outcome in outcomes if outcome.problem] == []
