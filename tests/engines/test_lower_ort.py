"""The INT8 lowering against a numpy transcription of quantised arithmetic, and against its own int8/0 form."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, numpy_helper

from edgefas.calibration.ranges import collect_ranges
from edgefas.calibration.recipe import Recipe
from edgefas.calibration.scale_table import ScaleTable, ScaleTableError
from edgefas.engines.lowering.graph import LoweringError, source_sha256
from edgefas.engines.lowering.ort import lower_ort
from edgefas.engines.runtime import load_engine
from tests.engines.graphs import noise, saved, small_net


def run(model: onnx.ModelProto, inputs: dict[str, np.ndarray]) -> np.ndarray:
    """As written: no fusion, no reordering."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, inputs)[0]


@pytest.fixture(scope="module")
def source() -> onnx.ModelProto:
    return small_net()


@pytest.fixture(scope="module")
def scales(source: onnx.ModelProto, tmp_path_factory: pytest.TempPathFactory) -> ScaleTable:
    path = saved(source, tmp_path_factory.mktemp("source") / "m.onnx")
    return collect_ranges(path, [noise(8, seed) for seed in range(3)])


def conv(x: np.ndarray, w: np.ndarray, groups: int = 1) -> np.ndarray:
    """Stride 1, same padding, float64."""
    pad = w.shape[2] // 2
    x = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    windows = np.lib.stride_tricks.sliding_window_view(x, w.shape[2:], (2, 3))
    if groups == 1:
        return np.einsum("nchwij,ocij->nohw", windows, w)
    return np.einsum("nchwij,cij->nchw", windows, w[:, 0])


def oracle(weights: dict[str, np.ndarray], absmax: dict[str, float], x: np.ndarray) -> np.ndarray:
    """`small_net` in symmetric INT8 (round half to even, clip to [-128, 127]), in float64, last layer float."""

    def fake(value: np.ndarray, tensor: str) -> np.ndarray:
        step = absmax[tensor] / 127
        return np.clip(np.rint(value / step), -128, 127) * step

    return quantised(weights, fake, x)


def quantised(
    weights: dict[str, np.ndarray], fake: Callable[[np.ndarray, str], np.ndarray], x: np.ndarray
) -> np.ndarray:
    """`small_net` with `fake` for the rounding of each activation."""

    def fake_weight(name: str) -> np.ndarray:
        w = weights[name].astype(np.float64)
        step = np.abs(w).max(axis=(1, 2, 3), keepdims=True) / 127
        return np.rint(w / step) * step

    bias = {name: weights[f"{name}.bias"].astype(np.float64)[:, None, None] for name in ("stem", "deep")}
    stem = fake(np.maximum(conv(fake(x, "ir"), fake_weight("stem.weight")) + bias["stem"], 0), "stem_relu")
    deep = fake(np.clip(conv(stem, fake_weight("deep.weight"), 8) + bias["deep"], 0, 6), "deep_clip")
    total = fake(stem + fake(conv(deep, fake_weight("mix.weight")), "mix"), "sum")
    pooled = total.reshape(*total.shape[:2], 8, 2, 8, 2).max(axis=(3, 5))
    last = fake(conv(pooled, fake_weight("last.weight")), "last")
    return (last.mean(axis=(2, 3)) @ weights["head.weight"].T.astype(np.float64) + weights["head.bias"])[:, 0]


@pytest.fixture(scope="module")
def expected(source: onnx.ModelProto, scales: ScaleTable) -> np.ndarray:
    weights = {tensor.name: numpy_helper.to_array(tensor) for tensor in source.graph.initializer}
    return oracle(weights, scales.absmax, noise(16, 99)["ir"].astype(np.float64))


# A value on the edge between two steps may fall to either side in float32: far less than one step of one pixel.
TOLERANCE = 5e-3


def test_matches_numpy_transcription(source: onnx.ModelProto, scales: ScaleTable, expected: np.ndarray) -> None:
    got = run(lower_ort(source, scales, Recipe()), noise(16, 99))
    assert np.abs(got - expected).max() < TOLERANCE
    assert np.abs(got - run(source, noise(16, 99))).max() > TOLERANCE, "INT8 must show, else this test is blind"


@pytest.mark.parametrize("tensor", ["ir", "stem_relu", "deep_clip", "mix", "sum", "last"])
def test_doubled_scale_is_noticed(
    source: onnx.ModelProto, scales: ScaleTable, expected: np.ndarray, tensor: str
) -> None:
    wrong = scales.model_copy(update={"absmax": scales.absmax | {tensor: 2 * scales.absmax[tensor]}})
    got = run(lower_ort(source, wrong, Recipe()), noise(16, 99))
    assert np.abs(got - expected).max() > TOLERANCE


def test_asymmetric_form_matches_numpy_transcription(source: onnx.ModelProto, scales: ScaleTable) -> None:
    weights = {tensor.name: numpy_helper.to_array(tensor) for tensor in source.graph.initializer}

    def fake(value: np.ndarray, tensor: str) -> np.ndarray:
        low, high = min(scales.minimum[tensor], 0.0), max(scales.maximum[tensor], 0.0)
        step = (high - low) / 255
        zero = np.rint(-low / step)
        return (np.clip(np.rint(value / step) + zero, 0, 255) - zero) * step

    expected = quantised(weights, fake, noise(16, 99)["ir"].astype(np.float64))
    got = run(lower_ort(source, scales, Recipe(), asymmetric=True), noise(16, 99))
    assert np.abs(got - expected).max() < TOLERANCE
    assert np.abs(got - run(lower_ort(source, scales, Recipe()), noise(16, 99))).max() > TOLERANCE, "it is another form"


def test_asymmetric_form_needs_no_clamp_and_says_uint8(source: onnx.ModelProto, scales: ScaleTable) -> None:
    symmetric, asymmetric = (
        Counter(node.op_type for node in lower_ort(source, scales, Recipe(), asymmetric=value).graph.node)
        for value in (False, True)
    )
    assert (symmetric["Clip"], asymmetric["Clip"]) == (2, 0), "Q saturates where a ReLU would clamp"
    assert symmetric - Counter(Clip=2) == asymmetric


def as_int8_zero_point_0(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same steps in the table's own encoding: every uint8 constant q becomes int8 q - 128."""
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    for tensor in changed.graph.initializer:
        if tensor.data_type == TensorProto.UINT8:
            steps = numpy_helper.to_array(tensor).astype(np.int16) - 128
            tensor.CopyFrom(numpy_helper.from_array(steps.astype(np.int8), tensor.name))
    return changed


def test_uint8_128_is_bit_equal_to_int8_0(source: onnx.ModelProto, scales: ScaleTable) -> None:
    lowered = lower_ort(source, scales, Recipe())
    signed = as_int8_zero_point_0(lowered)
    assert {t.data_type for t in lowered.graph.initializer} != {t.data_type for t in signed.graph.initializer}
    for seed in range(5):
        np.testing.assert_array_equal(run(lowered, noise(4, seed)), run(signed, noise(4, seed)))


def test_every_convolution_becomes_one_integer_kernel(
    source: onnx.ModelProto, scales: ScaleTable, tmp_path: Path
) -> None:
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    lowered = lower_ort(source, scales, Recipe())
    ort.InferenceSession(lowered.SerializeToString(), options, providers=["CPUExecutionProvider"])
    kinds = Counter(node.op_type for node in onnx.load(tmp_path / "optimised.onnx").graph.node)
    assert kinds["QLinearConv"] == 4
    assert kinds["Conv"] == kinds["FusedConv"] == kinds["Relu"] == 0


def test_fused_kernels_stay_near_the_reference(source: onnx.ModelProto, scales: ScaleTable, tmp_path: Path) -> None:
    """On an x86 without VNNI this fails by half a logit if uint8 x int8 sums may saturate in int16."""
    engine = load_engine(saved(lower_ort(source, scales, Recipe()), tmp_path / "int8.onnx"))
    reference = run(lower_ort(source, scales, Recipe()), noise(16, 99))
    assert np.abs(reference - engine.score(noise(16, 99))).max() < 0.2 * run(source, noise(16, 99)).std()


def test_last_layer_stays_float_whatever_the_recipe_says(source: onnx.ModelProto, scales: ScaleTable) -> None:
    lowered = lower_ort(source, scales, Recipe(quantize=("Conv", "Gemm", "Add")))
    gemm = next(node for node in lowered.graph.node if node.op_type == "Gemm")
    assert list(gemm.input) == ["features", "head.weight", "head.bias"]


@pytest.mark.parametrize(
    ("recipe", "float_convs"),
    [
        (Recipe(float_first_convs=1), {"stem.weight"}),
        (Recipe(float_first_convs=2), {"stem.weight", "deep.weight"}),
        (Recipe(float_weights=("*ix.w*",)), {"mix.weight"}),
        (Recipe(quantize=("Add",)), {"stem.weight", "deep.weight", "mix.weight", "last.weight"}),
    ],
)
def test_recipe_leaves_convolutions_float(
    source: onnx.ModelProto, scales: ScaleTable, recipe: Recipe, float_convs: set[str]
) -> None:
    lowered = lower_ort(source, scales, recipe)
    assert {n.input[1] for n in lowered.graph.node if n.op_type == "Conv"} & set(WEIGHTS) == float_convs
    assert np.isfinite(run(lowered, noise(2, 0))).all()


WEIGHTS = ("stem.weight", "deep.weight", "mix.weight", "last.weight")


def test_bias_beyond_int32_widens_the_step(scales: ScaleTable) -> None:
    source = small_net()
    for tensor in source.graph.initializer:
        if tensor.name in ("stem.weight", "stem.bias"):
            value = numpy_helper.to_array(tensor).copy()
            value[0] = 1e-9 if tensor.name == "stem.weight" else 1.5
            tensor.CopyFrom(numpy_helper.from_array(value, tensor.name))
    table = ScaleTable(source_sha256=source_sha256(source), method="minmax", frames=1, absmax=scales.absmax)
    got, expected = run(lower_ort(source, table, Recipe()), noise(4, 0)), run(source, noise(4, 0))
    assert np.abs(got - expected).max() < 0.2


def test_table_of_another_network_is_refused(source: onnx.ModelProto, scales: ScaleTable) -> None:
    other = small_net()
    other.graph.node[-1].name = "renamed"
    with pytest.raises(ScaleTableError, match="another network"):
        lower_ort(other, scales, Recipe())


def test_uncalibrated_tensor_is_named(source: onnx.ModelProto, scales: ScaleTable) -> None:
    without = {name: value for name, value in scales.absmax.items() if name != "mix"}
    with pytest.raises(ScaleTableError, match=r"'mix'.*edgefas quantize"):
        lower_ort(source, scales.model_copy(update={"absmax": without}), Recipe())


def test_a_source_of_too_old_an_opset_is_refused(source: onnx.ModelProto, scales: ScaleTable) -> None:
    old = onnx.ModelProto()
    old.CopyFrom(source)
    old.opset_import[0].version = 12
    table = scales.model_copy(update={"source_sha256": source_sha256(old)})
    with pytest.raises(LoweringError, match=r"no valid lowered graph.*edgefas export"):
        lower_ort(old, table, Recipe(quantize=("Conv",)))


@pytest.mark.parametrize(("shape", "absorbed"), [((), True), ((1,), True), ((0,), False), ((2,), False)])
def test_only_single_bounds_are_moved_behind_the_integers(
    source: onnx.ModelProto, scales: ScaleTable, shape: tuple[int, ...], absorbed: bool
) -> None:
    odd = onnx.ModelProto()
    odd.CopyFrom(source)
    next(t for t in odd.graph.initializer if t.name == "six").CopyFrom(
        numpy_helper.from_array(np.full(shape, 6, np.float32), "six")
    )
    table = scales.model_copy(update={"source_sha256": source_sha256(odd)})
    lowered = lower_ort(odd, table, Recipe(quantize=("Conv",)))
    assert any(node.op_type == "Clip" and node.input[2] == "six" for node in lowered.graph.node) is not absorbed
