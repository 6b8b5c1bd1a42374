"""The benchmark's arithmetic and its command; no test here depends on how fast this machine is."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from edgefas.benchmarks import latency
from edgefas.benchmarks.latency import BLOCK, MIN_SAMPLES, WARM_UP, Subject, measure
from edgefas.benchmarks.onnx_size import count_onnx
from edgefas.cli.main import run
from tests.engines.graphs import deform_net, saved, small_net


def test_subjects_take_turns_in_blocks_and_warm_ups_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(latency, "PAUSE_S", 0)
    calls: list[str] = []
    subjects = [Subject(name, "none", lambda name=name: calls.append(name), None, None) for name in "ab"]
    found = measure(subjects, seconds=1e-9)
    block = WARM_UP + BLOCK
    assert calls[: 3 * block] == ["a"] * block + ["b"] * block + ["a"] * block
    assert [f.samples for f in found] == [MIN_SAMPLES, MIN_SAMPLES]


def test_percentiles_are_numpys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(latency, "PAUSE_S", 0)
    ticks_ns = iter(range(10**9))
    durations_ms = np.random.default_rng(0).integers(1, 50, MIN_SAMPLES)
    clock = {"now": 0}

    def tick() -> int:
        i = next(ticks_ns)
        if i % 2:
            clock["now"] += int(durations_ms[i // 2]) * 10**6
        return clock["now"]

    monkeypatch.setattr(latency.time, "perf_counter_ns", tick)
    (found,) = measure([Subject("a", "none", lambda: None, None, None)], seconds=1e-9)
    expected = [durations_ms.min(), *np.percentile(durations_ms, [50, 90, 95, 99])]
    assert [found.min_ms, found.median_ms, found.p90_ms, found.p95_ms, found.p99_ms] == pytest.approx(expected)
    assert found.fps == pytest.approx(1000 / np.median(durations_ms))


def test_onnx_size_by_hand(tmp_path: Path) -> None:
    params, macs = count_onnx(saved(small_net(), tmp_path / "m.onnx"))
    assert params == (72 + 8) + (72 + 8) + 64 + 32 + (4 + 1)
    assert macs == 256 * (8 * 9 + 8 * 9 + 8 * 8) + 64 * 4 * 8 + 4


def test_both_forms_of_dcnv2_count_the_same(tmp_path: Path) -> None:
    from edgefas.engines.lowering.grid_sample import deform_conv_to_grid_sample

    model = deform_net(1, 8, 1, bias=True, mask=True, size=(7, 9))
    sizes = [count_onnx(saved(m, tmp_path / "m.onnx")) for m in (model, deform_conv_to_grid_sample(model))]
    assert sizes[0] == sizes[1] == (8 * 9 + 8, 63 * 8 * 9 * (1 + 5))


def test_command_writes_one_document(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = saved(small_net(), tmp_path / "m.onnx")
    out = tmp_path / "results.json"
    assert run(["benchmark", str(path), str(path), "--seconds", "0.1", "--json", "-o", str(out)]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed == json.loads(out.read_text())
    first, second = printed["results"]
    assert first["times_the_first"] == 1
    assert second["flops"] == 2 * second["macs"]
    assert 0 < first["min_ms"] <= first["median_ms"] <= first["p90_ms"] <= first["p99_ms"]
    assert {"cpu", "commit", "date", "versions", "seed", "threads"} <= set(printed)


def test_command_prints_tables(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["benchmark", str(saved(small_net(), tmp_path / "m.onnx")), "--seconds", "0.1"]) == 0
    printed = capsys.readouterr().out
    assert all(word in printed for word in ("GMACs", "GFLOPs", "params", "median", "p99", "FPS"))
    assert max(len(line) for line in printed.splitlines()) <= 80


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["resnet19"], 2, "did you mean 'resnet18'"),
        (["absent.onnx"], 2, "no such file: absent.onnx"),
        (["absent.efas"], 2, "no such file: absent.efas"),
        (["resnet18", "--seconds", "0"], 2, "0.1"),
        ([], 2, "Missing argument"),
    ],
)
def test_wrong_arguments(arguments: list[str], code: int, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["benchmark", *arguments]) == code
    assert words in capsys.readouterr().err
