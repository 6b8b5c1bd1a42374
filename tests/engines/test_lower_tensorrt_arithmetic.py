"""The TensorRT lowering: its arithmetic against numpy, its scales, its re-encoding.

Nothing here runs TensorRT: no GPU is at hand. What is checked is the file, and what ONNX Runtime computes from it.
"""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from edgefas.calibration.ranges import collect_ranges
from edgefas.calibration.recipe import Recipe
from edgefas.calibration.scale_table import ScaleTable
from edgefas.engines.lowering.graph import LoweringError
from edgefas.engines.lowering.qdq import stored_scales
from edgefas.engines.lowering.tensorrt import lower_tensorrt
from tests.engines.graphs import noise, saved, small_net
from tests.engines.plugin_net import RECIPE, faces, plugin_net, run, table
from tests.engines.test_lower_ort import conv


@pytest.fixture(scope="module")
def source() -> onnx.ModelProto:
    return plugin_net()


@pytest.fixture(scope="module")
def scales(source: onnx.ModelProto, tmp_path_factory: pytest.TempPathFactory) -> ScaleTable:
    path = saved(source, tmp_path_factory.mktemp("source") / "m.onnx")
    return collect_ranges(path, [faces(8, seed) for seed in range(3)])


def half(value: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):
        return value.astype(np.float16).astype(np.float64)


def transcribed(weights: dict[str, np.ndarray], absmax: dict[str, float] | None, x: np.ndarray, fp16: bool):
    """`small_net` under TensorRT's placement in float64, from the definition; absmax None leaves INT8 out."""
    exact = half if fp16 else lambda value: value

    def up(step: np.ndarray) -> np.ndarray:
        rounded = step.astype(np.float16)
        return np.where(rounded < step, np.nextafter(rounded, np.float16(9)), rounded).astype(np.float64)

    def fake(value: np.ndarray, tensor: str) -> np.ndarray:
        if absmax is None:
            return value
        step = np.array(absmax[tensor] / 127)
        step = up(step) if fp16 else step
        return np.clip(np.rint(value / step), -128, 127) * step

    def weight(name: str) -> np.ndarray:
        w = weights[name].astype(np.float64)
        if absmax is None:
            return exact(w)
        step = np.abs(w).max(axis=(1, 2, 3), keepdims=True) / 127
        step = up(step) if fp16 else step
        return np.rint(w / step).clip(-127, 127) * step

    bias = {name: exact(weights[f"{name}.bias"].astype(np.float64))[:, None, None] for name in ("stem", "deep")}
    x = exact(x)
    stem = np.maximum(exact(conv(fake(x, "ir"), weight("stem.weight")) + bias["stem"]), 0)
    stem_int8 = fake(stem, "stem_relu")
    deep = np.clip(exact(conv(stem_int8, weight("deep.weight"), 8) + bias["deep"]), 0, 6)
    total = exact(stem_int8 + exact(conv(fake(deep, "deep_clip"), weight("mix.weight"))))
    pooled = total.reshape(*total.shape[:2], 8, 2, 8, 2).max(axis=(3, 5))
    last = exact(conv(fake(pooled, "pooled"), weight("last.weight")))
    mean = exact(last.mean(axis=(2, 3)))
    return exact(mean @ exact(weights["head.weight"].T.astype(np.float64)) + exact(weights["head.bias"]))[:, 0]


@pytest.fixture(scope="module")
def small() -> tuple[onnx.ModelProto, ScaleTable, dict[str, np.ndarray]]:
    model = small_net()
    weights = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    return model, table(model, 5.0), weights


# Where a value lies on the edge between two steps, float32 and float64 may fall to different sides: far less than one
# step of one pixel. Half adds roundings of its own.
TOLERANCES = {"int8": 5e-3, "fp16": 5e-3, "int8+fp16": 1e-2}


@pytest.mark.parametrize("precision", TOLERANCES)
def test_matches_numpy_transcription(
    small: tuple[onnx.ModelProto, ScaleTable, dict[str, np.ndarray]], precision: str
) -> None:
    model, scales, weights = small
    x = noise(16, 99)["ir"].astype(np.float64)
    absmax = scales.absmax if "int8" in precision else None
    expected = transcribed(weights, absmax, x, precision.endswith("fp16"))
    got = run(lower_tensorrt(model, precision, "stock", scales, Recipe()), noise(16, 99))
    assert np.abs(got - expected).max() < TOLERANCES[precision]
    if "int8" in precision:
        assert np.abs(got - run(model, noise(16, 99))).max() > 2 * TOLERANCES[precision], "else this test is blind"


@pytest.mark.parametrize("tensor", ["ir", "stem_relu", "deep_clip", "pooled"])
def test_doubled_scale_is_noticed(
    small: tuple[onnx.ModelProto, ScaleTable, dict[str, np.ndarray]], tensor: str
) -> None:
    model, scales, weights = small
    wrong = scales.model_copy(update={"absmax": scales.absmax | {tensor: 10.0}})
    expected = transcribed(weights, scales.absmax, noise(16, 99)["ir"].astype(np.float64), False)
    got = run(lower_tensorrt(model, "int8", "stock", wrong, Recipe()), noise(16, 99))
    assert np.abs(got - expected).max() > TOLERANCES["int8"]


def as_uint8_zero_point_128(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same steps in ONNX Runtime's encoding: the activations' zero point 0 of int8 becomes 128 of uint8."""
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    for tensor in changed.graph.initializer:
        if tensor.name == "int8_zero":
            tensor.CopyFrom(numpy_helper.from_array(np.array(128, np.uint8), tensor.name))
    return changed


def test_reencoded_activations_are_bit_equal(source: onnx.ModelProto, scales: ScaleTable) -> None:
    lowered = lower_tensorrt(source, "int8", "stock", scales, RECIPE)
    unsigned = as_uint8_zero_point_128(lowered)
    assert lowered.SerializeToString() != unsigned.SerializeToString()
    for seed in range(5):
        np.testing.assert_array_equal(run(lowered, faces(4, seed)), run(unsigned, faces(4, seed)))


@pytest.mark.parametrize("step", [1e-9, 3.3e-6, 7.77e-4, 0.1, 3.0, 515.0])
def test_half_scales_clip_nothing(step: float) -> None:
    (stored,) = stored_scales(np.array([step]), True, "x")
    assert np.float16(stored) == stored
    assert stored >= step
    assert stored - step <= max(step * 2**-10, 2**-24), "one step of half at most"


def test_scale_beyond_half_is_refused() -> None:
    with pytest.raises(LoweringError, match=r"tensor 'x' reaches 6.6.*half ends at 65504"):
        stored_scales(np.array(520.0), True, "tensor 'x'")
