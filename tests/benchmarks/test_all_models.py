"""`edgefas benchmark --all`: forms that are made and opened, failures that stay in their row, and the files written."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from edgefas.benchmarks import all_models
from edgefas.benchmarks.forms import Form, make_forms, open_form
from edgefas.benchmarks.memory import high_water_mb, peak_mb
from edgefas.benchmarks.report import fastest, to_csv, to_html, to_markdown
from edgefas.cli.main import run
from edgefas.errors import EdgefasError, UsageError
from tests.bundles import write_small_bundle
from tests.engines.graphs import saved, small_net


@pytest.fixture(autouse=True)
def recipe_of_the_small_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is no registered network, so no recipe of its name is shipped."""
    from edgefas.calibration.recipe import Recipe

    for place in ("edgefas.engines.quantize", "edgefas.calibration.recipe"):
        monkeypatch.setattr(f"{place}.load_recipe", lambda name: Recipe(quantize=("Conv", "Gemm", "Add")))


def test_forms_of_a_float_file(tmp_path: Path) -> None:
    source = saved(small_net(), tmp_path / "small.onnx")
    forms = [f for f in make_forms(str(source), tmp_path, None, lambda text: None) if f.backend != "openvino"]
    assert [(f.backend, f.precision) for f in forms] == [
        ("onnxruntime", "fp32"),
        ("onnxruntime", "int8"),
        ("onnxruntime", "int8 asymmetric"),
    ]
    assert forms[0].bytes == source.stat().st_size
    scores = [float(open_form(form, 1).run()[0]) for form in forms]  # type: ignore[index]
    assert len(set(scores)) == 3, "three forms that round differently"
    assert scores[1:] == pytest.approx([scores[0]] * 2, abs=0.5)


def test_other_files_are_taken_as_they_are(tmp_path: Path) -> None:
    bundle = write_small_bundle(tmp_path / "b.efas")
    assert make_forms(str(bundle), tmp_path, None, print) == [
        Form("b", "auto", "as it is", str(bundle), bundle.stat().st_size)
    ]
    with pytest.raises(UsageError, match=r"no such file: absent\.onnx"):
        make_forms("absent.onnx", tmp_path, None, print)


def test_memory_is_that_of_a_process_of_its_own(tmp_path: Path) -> None:
    form = Form("small", "onnxruntime", "fp32", str(saved(small_net(), tmp_path / "m.onnx")))
    assert 20 < peak_mb(form, 1) < 1000
    with pytest.raises(EdgefasError, match=r"failed in a process of its own: .*no such model"):
        peak_mb(Form("gone", "onnxruntime", "fp32", str(tmp_path / "gone.onnx")), 1)
    assert high_water_mb("Name:\tx\nVmPeak:\t9 kB\nVmHWM:\t  2000 kB\n") == 2.048


def test_what_fails_has_its_error_in_the_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good = Form("small", "onnxruntime", "fp32", str(saved(small_net(), tmp_path / "m.onnx")))
    bad = Form("small", "onnxruntime", "int8", str(tmp_path / "gone"))
    monkeypatch.setattr(all_models, "make_forms", lambda *arguments: [bad, good])
    monkeypatch.setattr(all_models, "peak_mb", lambda form, threads: 100.0 + threads)
    rows = all_models.benchmark_all(["small"], [1, 2], 0.01, tmp_path)
    assert [(row["threads"], row["error"] is None) for row in rows] == [(1, False), (1, True), (2, False), (2, True)]
    assert "no such model" in rows[0]["error"]
    assert [row["peak_rss_mb"] for row in rows] == [None, 101, None, 102]
    assert rows[1]["flops"] == 2 * rows[1]["macs"] > 0
    assert rows[1]["median_ms"] > 0


def test_a_network_that_cannot_be_made_does_not_stop_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = Form("b", "onnxruntime", "fp32", str(saved(small_net(), tmp_path / "m.onnx")))

    def make(name: str, *arguments: object) -> list[Form]:
        if name == "a":
            raise EdgefasError("cannot be exported")
        return [good]

    monkeypatch.setattr(all_models, "make_forms", make)
    monkeypatch.setattr(all_models, "peak_mb", lambda form, threads: 1.0)
    rows = all_models.benchmark_all(["a", "b"], [1], 0.01, tmp_path)
    assert [row["error"] for row in rows] == ["cannot be exported", None]
    assert set(rows[0]) == set(rows[1])
    assert "cannot be exported" in to_markdown({**DOCUMENT, "results": rows})


def row(model: str, precision: str, threads: int, median: float | None) -> dict[str, object]:
    times = dict.fromkeys(("min_ms", "p90_ms", "p95_ms", "p99_ms", "fps"), median)
    return {"model": model, "backend": "onnxruntime", "precision": precision, "threads": threads, "median_ms": median,
            "samples": 50, "params": 5, "macs": 7, "flops": 14, "bytes": 1000, "peak_rss_mb": 50.0, "energy_mj": None,
            "camera_to_decision_fps": None, "score_difference": None, "note": None,
            "error": None if median else "no <kernel>", **times}  # fmt: skip


DOCUMENT = {
    "what": "test", "command": "edgefas", "cpu": "A&B", "cores": 2, "date": "now",
    "results": [row("a", "fp32", 1, 2.0), row("a", "int8", 1, 1.0), row("a", "int8", 2, None),
                row("b", "fp32", 1, 3.0)],
}  # fmt: skip


def test_fastest_is_per_network_and_threads() -> None:
    assert [(r["model"], r["precision"]) for r in fastest(DOCUMENT["results"])] == [("a", "int8"), ("b", "fp32")]


def test_written_forms_hold_every_row() -> None:
    lines = list(csv.DictReader(to_csv(DOCUMENT["results"]).splitlines()))
    assert [(line["model"], line["median_ms"], line["error"]) for line in lines] == [
        ("a", "2.0", ""), ("a", "1.0", ""), ("a", "", "no <kernel>"), ("b", "3.0", ""),
    ]  # fmt: skip
    text = to_markdown(DOCUMENT)
    assert "| a | onnxruntime | int8 | 1 | **1.00** " in text
    assert "| a | onnxruntime | fp32 | 1 | 2.00 " in text
    assert "| failed |" in text
    page = to_html(DOCUMENT)
    assert "A&amp;B" in page
    pieces = [part[part.index("<svg") :] + "</svg>" for part in page.split("</svg>")[:-1]]
    bars = [ElementTree.fromstring(piece) for piece in pieces]
    widths = [[float(r.get("width", "0")) for r in bar.findall("rect")] for bar in bars]
    assert widths[0][0] == pytest.approx(2 * widths[0][1])
    assert len(widths) == 2


def test_command_writes_what_was_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bundle = write_small_bundle(tmp_path / "b.efas")
    files = ["-o", str(tmp_path / "r.json"), "--csv", str(tmp_path / "r.csv"), "--plot", str(tmp_path / "r.html")]
    assert run(["benchmark", "--all", str(bundle), "--seconds", "0.1", "--json", *files]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document == json.loads((tmp_path / "r.json").read_text())
    assert document["results"][0]["peak_rss_mb"] > 20
    assert all((tmp_path / f"r.{kind}").stat().st_size > 100 for kind in ("md", "csv", "html"))
    assert run(["benchmark", str(bundle), "--csv", str(tmp_path / "r.csv")]) == 2
    assert "need --all" in capsys.readouterr().err
