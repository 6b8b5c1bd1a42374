"""A fixed slice of each campaign; the full counts were run once, see results/."""

from __future__ import annotations

from collections import Counter

import pytest

from edgefas.deploy.trust import Trust
from edgefas.errors import EdgefasError
from tests.campaigns import killed_installs, mangled_lists, mangled_scores, mutated_models, tampered_bundles
from tests.campaigns.mangled_recordings import run_campaign

CRASHES_LIBREALSENSE = 16
NEVER_OPENS = 121


def test_damaged_recordings() -> None:
    outcomes = [*run_campaign(0, 4), *run_campaign(CRASHES_LIBREALSENSE, 1), *run_campaign(NEVER_OPENS, 1)]
    assert [outcome for outcome in outcomes if outcome.problem] == []


def test_damaged_networks_and_scale_tables() -> None:
    outcomes = list(mutated_models.run_campaign(0, 3000))
    assert [outcome for outcome in outcomes if outcome.problem] == []
    assert [outcome.case for outcome in outcomes] == list(range(3000))
    # a slice where everything is refused at the door, or nothing is, would look at nothing behind it
    results = Counter(outcome.result for outcome in outcomes)
    assert {"EngineError", "LoweringError", "ContractError", "accepted"} <= set(results)
    assert results["accepted"] > 400


def test_mangled_scores() -> None:
    outcomes = list(mangled_scores.run_campaign(0, 400))
    assert [outcome for outcome in outcomes if outcome.problem] == []
    results = Counter(outcome.result for outcome in outcomes)
    assert {"ScoresError", "MetricError", "accepted"} <= set(results)
    assert results["accepted"] > 100


def test_tampered_bundles() -> None:
    outcomes = list(tampered_bundles.run_campaign(0, 1000))
    assert [outcome for outcome in outcomes if outcome.problem] == []
    assert set(Counter(outcome.kind for outcome in outcomes).values()) == {1000 // len(tampered_bundles.KINDS)}


def test_killed_installs() -> None:
    """One step of each board, somewhere in the middle."""
    outcomes = list(killed_installs.run_campaign(18 * killed_installs.BOARDS, killed_installs.BOARDS))
    assert [outcome for outcome in outcomes if outcome.problem] == []
    assert all(outcome.killed for outcome in outcomes)


def test_a_signature_that_is_not_checked_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Trust, "verify", lambda *_: "anybody")
    outcomes = list(tampered_bundles.run_campaign(0, 100))
    noticed = Counter(outcome.kind for outcome in outcomes if outcome.problem)
    assert noticed["foreign"] == noticed["revoked"] == noticed["rebuilt"] == 10
    assert noticed["stripped"] == 0


def test_mangled_lists() -> None:
    outcomes = mangled_lists.run_campaign(0, 700)
    assert [outcome for outcome in outcomes if outcome.problem] == []
    # of every set something is accepted and something refused: else the slice looks at one side of the door only
    for name in {outcome.kind.partition(":")[0] for outcome in outcomes}:
        assert {o.result for o in outcomes if o.kind.startswith(f"{name}:")} == {"accepted", "DataError"}


def test_labels_that_nobody_checks_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgefas.data.lists._check_row", lambda *_: None)
    noticed = {o.kind.partition(":")[0] for o in mangled_lists.run_campaign(0, 400) if o.problem}
    assert noticed == {"casia-surf paper", "casia-surf challenge", "cefa 4.1", "cefa 4@1"}


@pytest.mark.parametrize(
    ("error", "result"), [(KeyError("x"), "defect"), (RuntimeError("x"), "defect"), (EdgefasError("x"), "EdgefasError")]
)
def test_a_defect_is_told_from_a_refusal(
    error: Exception, result: str, monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    def fail(*args: object) -> None:
        raise error

    monkeypatch.setattr(mutated_models, "_use_scales", fail)
    originals = mutated_models._Originals(b"", {}, b"", b"", '{"absmax": {"x": 1}}')
    outcome = mutated_models.run_case(4, originals, tmp_path)  # type: ignore[arg-type]
    assert (outcome.result, outcome.problem is None) == (result, result != "defect")


def test_crashes_and_hangs_of_a_worker_are_failures(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that dies at its second case, and one that says nothing."""
    import subprocess
    import sys

    real = subprocess.Popen
    line = '{"case": %d, "kind": "source: flip", "result": "accepted", "problem": null}'
    scripts = iter(
        [
            f"import os; print('{line % 0}', flush=True); os.kill(os.getpid(), 11)",
            f"import time; print('{line % 2}', flush=True); time.sleep(60)",
        ]
    )

    def start(command: list[str], **options: object) -> object:
        return real([sys.executable, "-c", next(scripts)], **options)  # type: ignore[call-overload]

    monkeypatch.setattr(mutated_models.subprocess, "Popen", start)
    monkeypatch.setattr(mutated_models, "LIMIT_S", 1.0)
    outcomes = list(mutated_models.run_campaign(0, 4))
    assert [(o.case, o.problem) for o in outcomes] == [
        (0, None),
        (1, "the process ended with -11"),
        (2, None),
        (3, "still running after 1 s"),
    ]
