"""Comparing two networks: planted differences are found at their layer, limits end with exit code 3."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from edgefas.cli.main import run
from edgefas.engines.compare import Point, bisect, first_difference, matched_points, relative_difference
from edgefas.engines.lowering.files import save_ort_files
from tests.engines.graphs import noise, saved, small_net


def changed(tensor: str, factor: float) -> onnx.ModelProto:
    """The small network with one weight scaled."""
    model = small_net()
    old = next(t for t in model.graph.initializer if t.name == tensor)
    old.CopyFrom(numpy_helper.from_array((numpy_helper.to_array(old) * factor).astype(np.float32), tensor))
    return model


def named(model: onnx.ModelProto) -> onnx.ModelProto:
    for node in model.graph.node:
        node.name = f"node_{node.output[0]}"
    return model


@pytest.mark.parametrize(
    ("weight", "layer"),
    [("stem.weight", "stem"), ("mix.weight", "mix"), ("last.weight", "last"), ("head.bias", "logit")],
)
def test_a_planted_change_is_found_at_its_layer(tmp_path: Path, weight: str, layer: str) -> None:
    a, b = saved(named(small_net()), tmp_path / "a.onnx"), saved(named(changed(weight, 1.5)), tmp_path / "b.onnx")
    found = first_difference(a, b, noise(4, 0), 1e-3)
    assert found is not None
    assert found.at.layer == layer
    assert found.at.difference > 1e-3
    assert found.before is None or found.before.difference <= 1e-3
    assert (found.before is None) == (layer == "stem")
    assert found.runs <= 1 + np.ceil(np.log2(found.matched + 1))


@pytest.mark.parametrize("weight", ["stem.weight", "mix.weight", "head.weight"])
def test_files_without_names_are_matched_by_layer(tmp_path: Path, weight: str) -> None:
    a = saved(named(small_net()), tmp_path / "a.onnx")
    save_ort_files(changed(weight, 1.5), tmp_path)
    found = first_difference(a, tmp_path / "model.onnx", noise(4, 0), 1e-3)
    assert found is not None
    assert found.at.layer.endswith(weight)
    assert found.matched == 6


def test_names_that_mean_something_else_are_not_matched(tmp_path: Path) -> None:
    """Short names of two files of `edgefas quantize` are equal by chance only."""
    save_ort_files(small_net(), tmp_path)
    short = onnx.load(tmp_path / "model.onnx", load_external_data=False)
    other = onnx.ModelProto()
    other.CopyFrom(short)
    del other.graph.node[0]
    assert [p.layer for p in matched_points(short, other)] == ["score"]


def test_equal_networks_have_no_first_difference(tmp_path: Path) -> None:
    a = saved(named(small_net()), tmp_path / "a.onnx")
    assert first_difference(a, a, noise(4, 0), 0.0) is None


@pytest.mark.parametrize("size", [1, 2, 7, 64])
def test_bisection_finds_every_place(size: int) -> None:
    points = [Point(str(i), "", "") for i in range(size)]
    for place in range(size):
        found = bisect(points, lambda i, place=place: 0.9 if i >= place else 0.4, 0.5, lambda: 0)
        assert found is not None
        assert found.at.layer == str(place)
        assert (found.before.layer if found.before else None) == (str(place - 1) if place else None)
    assert bisect(points, lambda i: 0.5, 0.5, lambda: 0) is None


def test_relative_difference_by_hand() -> None:
    a = np.array([3, 4], np.float32)
    assert relative_difference(a, a + np.array([0, 1], np.float32)) == pytest.approx(0.2)
    assert relative_difference(0 * a, 0 * a) == 0
    assert relative_difference(0 * a, a) == relative_difference(a, a * np.nan) == np.inf
    assert relative_difference(a, a[:1]) == np.inf


def test_command_reports_and_checks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, b = saved(small_net(), tmp_path / "a.onnx"), saved(changed("head.bias", 1.5), tmp_path / "b.onnx")
    bias = float(numpy_helper.to_array(next(t for t in small_net().graph.initializer if t.name == "head.bias"))[0])
    assert run(["compare", str(a), str(b), "--seed", "7", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["inputs"] == "random, seed 7"
    assert report["max_abs"] == pytest.approx(abs(bias) / 2, rel=1e-4)
    assert report["p99_abs"] == pytest.approx(abs(bias) / 2, rel=1e-4)
    assert report["first_difference"]["at"]["layer"] == "Gemm head.weight"
    assert run(["compare", str(a), str(b), "--atol", "1e-3"]) == 3
    captured = capsys.readouterr()
    assert "Gemm head.weight" in captured.out
    assert "allowed are --atol 0.001" in captured.err
    assert run(["compare", str(a), str(b), "--threshold", "1e9", "--flips", "0"]) == 0
    assert run(["compare", str(a), str(a), "--atol", "0", "--flips", "0"]) == 0


def test_inputs_of_a_file_decide(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a = saved(small_net(), tmp_path / "a.onnx")
    np.savez(tmp_path / "f.npz", **noise(5, 3))
    assert run(["compare", str(a), str(a), "--inputs", str(tmp_path / "f.npz"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["frames"] == 5
    np.savez(tmp_path / "f.npz", ir=np.full((2, 1, 16, 16), np.nan, np.float32))
    assert run(["compare", str(a), str(a), "--inputs", str(tmp_path / "f.npz")]) == 1
    assert "NaN" in capsys.readouterr().err


def test_networks_that_cannot_be_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from tests.bundles import write_small_bundle

    a, bundle = saved(small_net(), tmp_path / "a.onnx"), write_small_bundle(tmp_path / "b.efas")
    assert run(["compare", str(a), str(bundle)]) == 2
    assert "take other inputs" in capsys.readouterr().err
    assert run(["compare", str(bundle), str(bundle)]) == 0
    broken = saved(changed("head.bias", np.inf), tmp_path / "n.onnx")
    assert run(["compare", str(a), str(broken)]) == 1
    assert "second network gives NaN or infinity on input 0" in capsys.readouterr().err
