"""Scale tables against numpy on a network small enough to follow."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgefas.calibration.ranges import RANGED_OPS, collect_ranges
from edgefas.calibration.scale_table import Method, ScaleTable, ScaleTableError
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


def test_minmax_is_that_of_onnxruntimes_calibrator(source: Path, tmp_path: Path) -> None:
    from onnxruntime.quantization.calibrate import CalibrationDataReader, create_calibrator

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self._batches = iter([noise(4, 0), noise(4, 1)])

        def get_next(self) -> dict[str, np.ndarray] | None:
            return next(self._batches, None)

    calibrator = create_calibrator(
        source, op_types_to_calibrate=list(RANGED_OPS), augmented_model_path=str(tmp_path / "a.onnx")
    )
    calibrator.collect_data(Reader())
    expected = {name: entry.range_value for name, entry in calibrator.compute_data().items()}
    table = collect_ranges(source, [noise(4, 0), noise(4, 1)])
    assert set(expected) <= set(table.absmax)
    for name, (low, high) in expected.items():
        assert (table.minimum[name], table.maximum[name]) == pytest.approx((low.item(), high.item()), rel=1e-5), name


@pytest.mark.parametrize("method", ["percentile", "entropy", "mse"])
def test_other_methods_keep_no_more_than_everything(source: Path, method: Method) -> None:
    frames = [noise(4, seed) for seed in range(4)]
    full, clipped = collect_ranges(source, frames), collect_ranges(source, frames, method)
    assert all(0 < clipped.absmax[name] <= full.absmax[name] for name in TENSORS)
    assert (clipped.method, clipped.minimum, clipped.maximum) == (method, full.minimum, full.maximum)
    if method != "percentile":  # 99.999 % of a few thousand values are all of them
        assert any(clipped.absmax[name] < 0.999 * full.absmax[name] for name in TENSORS)


def test_every_tensor_of_a_ranged_node_is_in_the_table(source: Path) -> None:
    table = collect_ranges(source, [noise(2, 0)])
    constant = {tensor.name for tensor in small_net().graph.initializer}
    wanted = {n for node in small_net().graph.node if node.op_type in RANGED_OPS for n in [*node.input, *node.output]}
    assert set(table.absmax) == wanted - constant


def test_a_network_that_overflows_is_named_by_tensor(tmp_path: Path) -> None:
    model = small_net()
    next(t for t in model.graph.initializer if t.name == "mix.weight").CopyFrom(
        onnx.numpy_helper.from_array(np.full((8, 8, 1, 1), 3e38, np.float32), "mix.weight")
    )
    with pytest.raises(UsageError, match=r"tensor 'mix' is NaN or infinite on calibration frames 0 to 1"):
        collect_ranges(saved(model, tmp_path / "m.onnx"), [noise(2, 0)])


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


def test_both_ends_are_what_was_seen_within_what_is_kept() -> None:
    table = ScaleTable(
        source_sha256="0" * 64,
        method="mse",
        frames=1,
        absmax={"relu": 4.0, "clipped": 2.0, "below": 3.0, "old": 1.5},
        minimum={"relu": 0.0, "clipped": -3.0, "below": -3.0},
        maximum={"relu": 4.0, "clipped": 1.0, "below": -1.0},
    )
    found = {name: table.range(name) for name in table.absmax}
    assert found == {"relu": (0, 4), "clipped": (-2, 1), "below": (-3, 0), "old": (-1.5, 1.5)}
    with pytest.raises(ScaleTableError, match="'y'"):
        table.range("y")


def test_a_table_of_the_first_version_can_be_read() -> None:
    text = (
        f'{{"schema_version": 1, "source_sha256": "{"0" * 64}", "method": "minmax", "frames": 9, "absmax": {{"x": 2}}}}'
    )
    table = ScaleTable.from_json(text)
    assert (table.scale("x"), table.range("x")) == (2 / 127, (-2, 2))


@pytest.mark.parametrize(
    "change",
    [
        {"absmax": {"x": -1.0}},
        {"frames": 0},
        {"source_sha256": "no"},
        {"zero_point": 3},
        {"minimum": {"x": 0.0}, "absmax": {"x": 1.0}},
        {"minimum": {"x": 0.0}, "maximum": {"x": 1.0}},
        {"minimum": {"x": 1.0}, "maximum": {"x": 0.0}, "absmax": {"x": 1.0}},
    ],
)
def test_impossible_tables_are_refused(change: dict[str, object]) -> None:
    good = {"source_sha256": "0" * 64, "method": "minmax", "frames": 1, "absmax": {}}
    with pytest.raises(ContractError, match=next(iter(change))):
        ScaleTable.from_dict({**good, **change})
