"""The benchmark of metrics runs and measures what it says; no test here depends on how fast this machine is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgefas.benchmarks import metrics
from edgefas.evaluation.evaluate import evaluate
from edgefas.evaluation.thresholds import Rule


def test_one_document_is_printed_and_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    metrics.main(scores=2000, subjects=20, rows=1000, out=tmp_path / "m.json")
    document = json.loads(capsys.readouterr().out)
    assert document == json.loads((tmp_path / "m.json").read_text())
    assert (document["scores"], document["subjects"], document["resamples"]) == (2000, 20, 1000)
    for name in ("figures", "resamples_of_a_tenth", "resamples_of_all", "write", "read"):
        assert set(document[name]) == {"wall_s", "cpu_s"}


def test_what_is_drawn_is_hard_enough() -> None:
    """Separated classes would be sorted, and searched, faster than real ones."""
    report = evaluate(metrics.table(20_000, 50), Rule("dev-eer"))
    assert report.curve["EER"].value == pytest.approx(0.0668, abs=0.01)
    assert len(report.species) == 8
    assert report.subjects == 50
    curve, counts = metrics.figures(metrics.drawn(20_000, 50))
    assert set(curve) == set(report.curve)
    assert counts.hter == pytest.approx(curve["EER"].value)
