"""Scale tables against numpy on a network small enough to follow."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgefas.calibration.ranges import collect_ranges
from edgefas.calibration.scale_table import ScaleTable, ScaleTableError
from edgefas.contracts import ContractError
from edgefas.engines.lowering.graph import source_sha256
from edgefas.errors import UsageError
from tests.engines.graphs import noise, saved, small_net

TENSORS = ("stem_relu", "deep_clip", "mix", "sum", "last")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(small_net(), tmp_path_factory.mktemp("source") / "m.onnx")


def largest(inputs: dict[str, np.ndarray]) -> dict[str, float]:
    """Largest magnitude of every tensor, from ONNX Runtime run with them as outputs."""
    model = small_net()
    for name in TENSORS:
        model.graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None))
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    values = session.run(list(TENSORS), inputs)
    return {name: float(np.abs(value).max()) for name, value in zip(TENSORS, values, strict=True)}


def test_minmax_is_the_largest_magnitude_of_all_batches(source: Path) -> None:
    table = collect_ranges(source, [noise(3, 0), noise(5, 1)])
    expected = largest({"ir": np.concatenate([noise(3, 0)["ir"], noise(5, 1)["ir"]])})
    assert {name: table.absmax[name] for name in TENSORS} == pytest.approx(expected, rel=1e-5)
    assert (table.frames, table.method) == (8, "minmax")
    assert table.source_sha256 == source_sha256(small_net())


def test_percentile_and_entropy_keep_no_more_than_everything(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    frames = [noise(4, seed) for seed in range(4)]
    full = collect_ranges(source, frames).absmax
    percentile, entropy = (collect_ranges(source, frames, method).absmax for method in ("percentile", "entropy"))
    assert all(0 < table[name] <= 1.001 * full[name] for name in TENSORS for table in (percentile, entropy))
    assert any(entropy[name] < 0.999 * full[name] for name in TENSORS)
    assert capsys.readouterr().out == "", "stdout is for results"


def test_no_frames_is_an_error(source: Path) -> None:
    with pytest.raises(UsageError, match="empty"):
        collect_ranges(source, [])


@given(st.dictionaries(st.text(min_size=1), st.floats(0, 1e30), max_size=5), st.integers(1, 10**6))
def test_table_survives_json(absmax: dict[str, float], frames: int) -> None:
    table = ScaleTable(source_sha256="0" * 64, method="minmax", frames=frames, absmax=absmax)
    assert ScaleTable.from_json(table.to_json()) == table
    assert all(table.scale(name) > 0 for name in absmax)


def test_scale_is_a_127th_of_the_reach() -> None:
    table = ScaleTable(source_sha256="0" * 64, method="minmax", frames=1, absmax={"x": 6.35, "dead": 0.0})
    assert table.scale("x") == pytest.approx(0.05)
    assert table.scale("dead") == 1.0
    with pytest.raises(ScaleTableError, match="'y'"):
        table.scale("y")


@pytest.mark.parametrize("change", [{"absmax": {"x": -1.0}}, {"frames": 0}, {"source_sha256": "no"}, {"zero_point": 3}])
def test_impossible_tables_are_refused(change: dict[str, object]) -> None:
    good = {"source_sha256": "0" * 64, "method": "minmax", "frames": 1, "absmax": {}}
    with pytest.raises(ContractError, match=next(iter(change))):
        ScaleTable.from_dict({**good, **change})
