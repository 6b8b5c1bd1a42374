"""The checker on files of this project, of onnxruntime.quantization, and on files with one planted fault each."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static

from edgefas.calibration.recipe import Recipe
from edgefas.cli.main import run
from edgefas.engines.lowering.check import LayerPlacement, Placement, check_placement
from edgefas.engines.lowering.ort import lower_ort
from edgefas.engines.lowering.tensorrt import lower_tensorrt
from tests.engines.graphs import IR_SPEC, finished, noise, saved, small_net
from tests.engines.plugin_net import plugin_net, table

RECIPE = Recipe(quantize=("Conv", "Gemm", "Add"))


def layer(placement: Placement, weight: str) -> LayerPlacement:
    (found,) = (layer for layer in placement.layers if weight in layer.weight)
    return found


@pytest.fixture(scope="module")
def lowered() -> onnx.ModelProto:
    source = plugin_net()
    return lower_tensorrt(source, "int8+fp16", "own", table(source), RECIPE)


def test_own_lowering_runs_int8_but_for_the_head(lowered: onnx.ModelProto) -> None:
    found = check_placement(lowered)
    assert not found.refused
    assert {item.weight for item in found.layers if item.verdict != "int8"} == {"head.weight_half"}
    assert not any(item.notes for item in found.layers)
    notes = {add.name: (add.quantised_branches, add.note) for add in found.adds}
    assert sorted(notes.values()) == [
        (0, "float"),
        (1, "main2 takes it in"),
        (1, "mix takes it in"),
        (1, "second takes it in"),
    ]
    boundaries = {boundary.tensor: boundary.why for boundary in found.boundaries}
    assert boundaries["ir_relu"] == "an INT8 layer writes float for EdgefasBTE"
    assert boundaries["x"] == "written twice: INT8, and float for Cast, EdgefasDCNv2"


def test_float_file_runs_no_int8() -> None:
    found = check_placement(lower_tensorrt(plugin_net(), "fp16", "own"))
    assert (found.count("int8"), found.count("refused")) == (0, 0)
    assert "is not quantised" in layer(found, "ir.mix").reasons[0]


def test_form_for_onnx_runtime_is_refused(lowered: onnx.ModelProto) -> None:
    source = small_net()
    found = check_placement(lower_ort(source, table(source), RECIPE))
    assert {item.verdict for item in found.layers if "head" not in item.weight} == {"refused"}
    assert "uint8; INT8 layers take int8 alone" in " ".join(layer(found, "stem.weight").reasons)
    assert found.refused


class Reader:
    """Three batches, as onnxruntime.quantization wants them."""

    def __init__(self) -> None:
        self.batches = iter([noise(4, seed) for seed in range(3)])

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self.batches, None)


def by_onnxruntime(tmp_path: Path, **options: object) -> Placement:
    path = saved(small_net(), tmp_path / "float.onnx")
    extra = {"ActivationSymmetric": True, **options.pop("extra", {})}  # type: ignore[dict-item]
    quantize_static(
        path,
        tmp_path / "q.onnx",
        Reader(),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        calibrate_method=CalibrationMethod.MinMax,
        weight_type=QuantType.QInt8,
        extra_options=extra,
        **options,
    )
    return check_placement(onnx.load(tmp_path / "q.onnx"))


def test_onnxruntimes_defaults_are_refused(tmp_path: Path) -> None:
    found = by_onnxruntime(tmp_path, activation_type=QuantType.QUInt8)
    assert found.count("int8") == 0
    assert any("uint8" in why for why in found.refused)


def test_onnxruntimes_quantised_biases_are_refused(tmp_path: Path) -> None:
    found = by_onnxruntime(tmp_path, activation_type=QuantType.QInt8)
    assert "bias: int32" in " ".join(layer(found, "stem.weight").reasons)
    assert layer(found, "mix.weight").verdict == "int8", "it has no bias"


def test_onnxruntime_told_what_tensorrt_wants(tmp_path: Path) -> None:
    inputs_only = {
        "QuantizeBias": False,
        "AddQDQPairToWeight": True,
        "OpTypesToExcludeOutputQuantization": ["Conv", "Gemm"],
    }
    found = by_onnxruntime(
        tmp_path, activation_type=QuantType.QInt8, op_types_to_quantize=["Conv", "Gemm"], extra=inputs_only
    )
    assert not found.refused
    assert {item.verdict for item in found.layers} == {"int8"}, "weights as float behind a pair count, too"
    assert not any(item.notes for item in found.layers)


# One fault each.


def copied(model: onnx.ModelProto) -> onnx.ModelProto:
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    return changed


def node_making(model: onnx.ModelProto, tensor: str) -> onnx.NodeProto:
    return next(node for node in model.graph.node if tensor in node.output)


def constant(model: onnx.ModelProto, name: str, value: np.ndarray) -> str:
    model.graph.initializer.append(numpy_helper.from_array(value, name))
    return name


def asymmetric(model: onnx.ModelProto) -> None:
    for tensor in ("deep_clip_int8", "deep_clip_dequantized"):
        node_making(model, tensor).input[2] = "seven"
    constant(model, "seven", np.array(7, np.int8))


def unsigned(model: onnx.ModelProto) -> None:
    for tensor in ("deep_clip_int8", "deep_clip_dequantized"):
        node_making(model, tensor).input[2] = "u8"
    constant(model, "u8", np.array(128, np.uint8))


def no_zero_point(model: onnx.ModelProto) -> None:
    del node_making(model, "deep_clip_int8").input[2]


def per_channel(model: onnx.ModelProto) -> None:
    scale, zero = constant(model, "scales", np.ones(8, np.float32)), constant(model, "zeros", np.zeros(8, np.int8))
    for tensor in ("deep_clip_int8", "deep_clip_dequantized"):
        node_making(model, tensor).input[1:] = [scale, zero]


def float_weight(model: onnx.ModelProto) -> None:
    node_making(model, "mix").input[1] = constant(model, "mix.weight", np.ones((8, 8, 1, 1), np.float32))


def asymmetric_weight(model: onnx.ModelProto) -> None:
    zeros = np.zeros(8, np.int8)
    zeros[3] = -5
    node_making(model, "mix.weight_dequantized").input[2] = constant(model, "zeros", zeros)


def weight_along_inputs(model: onnx.ModelProto) -> None:
    node_making(model, "mix.weight_dequantized").attribute[0].i = 1


def quantised_bias(model: onnx.ModelProto) -> None:
    bias = constant(model, "bias_int32", np.zeros(8, np.int32))
    scale = constant(model, "bias_scale", np.ones(8, np.float32))
    at = list(model.graph.node).index(node_making(model, "mix"))
    model.graph.node.insert(at, helper.make_node("DequantizeLinear", [bias, scale], ["bias"], "bias_dq", axis=0))
    node_making(model, "mix").input.append("bias")


def float_input(model: onnx.ModelProto) -> None:
    node_making(model, "mix").input[0] = "deep_clip"


FAULTS: list[tuple[Callable[[onnx.ModelProto], None], str, str]] = [
    (asymmetric, "refused", "zero point 7; it must be 0"),
    (unsigned, "refused", "uint8; INT8 layers take int8 alone"),
    (no_zero_point, "refused", "no zero point: ONNX reads uint8, TensorRT int8"),
    (per_channel, "float", "has a scale per channel"),
    (float_weight, "float", "'mix.weight' is float: no DequantizeLinear"),
    (asymmetric_weight, "refused", "weight: zero point -5"),
    (weight_along_inputs, "float", "scales lie along axis 1, output channels along 0"),
    (quantised_bias, "refused", "bias: int32"),
    (float_input, "float", "'deep_clip' is not quantised"),
]


@pytest.fixture(scope="module")
def small() -> onnx.ModelProto:
    source = small_net()
    return lower_tensorrt(source, "int8", "stock", table(source), RECIPE)


@pytest.mark.parametrize(("plant", "verdict", "words"), FAULTS, ids=[fault[0].__name__ for fault in FAULTS])
def test_planted_fault_is_named(
    small: onnx.ModelProto, plant: Callable[[onnx.ModelProto], None], verdict: str, words: str
) -> None:
    assert layer(check_placement(small), "mix.weight").verdict == "int8"
    model = copied(small)
    plant(model)
    found = check_placement(model)
    judged = layer(found, "mix.weight")
    assert judged.verdict == verdict
    assert words in " ".join(judged.reasons)
    assert bool(found.refused) == (verdict == "refused")


def insert_pair(model: onnx.ModelProto, tensor: str, reader: str) -> None:
    """Q/DQ between the layer that makes `tensor` and the one that makes `reader`."""
    node = node_making(model, reader)
    step = [constant(model, f"{tensor}_s", np.array(0.05, np.float32)), "int8_zero"]
    at = list(model.graph.node).index(node)
    pair = [
        helper.make_node("QuantizeLinear", [tensor, *step], [f"{tensor}_planted"], f"{tensor}_planted_q"),
        helper.make_node("DequantizeLinear", [f"{tensor}_planted", *step], [f"{tensor}_back"], f"{tensor}_planted_dq"),
    ]
    for offset, new in enumerate(pair):
        model.graph.node.insert(at + offset, new)
    node_making(model, reader).input[:] = [f"{tensor}_back" if name == tensor else name for name in node.input]


def test_pair_before_an_activation_is_noted(small: onnx.ModelProto) -> None:
    model = copied(small)
    insert_pair(model, "stem", "stem_relu")
    judged = layer(check_placement(model), "stem.weight")
    assert (judged.verdict, judged.notes) == ("int8", ("Q/DQ between it and its Relu: that runs alone",))


def test_sum_with_two_quantised_branches_is_noted(small: onnx.ModelProto) -> None:
    model = copied(small)
    insert_pair(model, "mix", "sum")
    (add,) = check_placement(model).adds
    assert (add.quantised_branches, add.note) == (2, "both branches quantised: no convolution takes it in")


def test_sum_quantised_on_the_wrong_branch_is_noted(small: onnx.ModelProto) -> None:
    model = copied(small)
    add = node_making(model, "sum")
    add.input[:] = ["stem_relu" if name.startswith("stem_relu") else name for name in add.input]
    insert_pair(model, "mix", "sum")
    (found,) = check_placement(model).adds
    assert (found.quantised_branches, found.note.split(":")[0]) == (1, "the wrong branch")


def test_integer_operators_are_no_qdq() -> None:
    values = [np.array(0.1, np.float32), np.array(0, np.int8), np.ones((1, 1, 1, 1), np.int8)]
    constants = [numpy_helper.from_array(value, name) for value, name in zip(values, "szw", strict=True)]
    nodes = [
        helper.make_node("QuantizeLinear", ["ir", "s", "z"], ["q"]),
        helper.make_node("QLinearConv", ["q", "s", "z", "w", "s", "z", "s", "z"], ["y"], "conv"),
        helper.make_node("DequantizeLinear", ["y", "s", "z"], ["score"]),
    ]
    model = finished(nodes, constants, {"ir": ("N", 1, 4, 4)}, {"score": ("N", 1, 4, 4)}, IR_SPEC, TensorProto.FLOAT)
    assert check_placement(model).refused == ("conv: QLinearConv is no Q/DQ; quantise to the QDQ format",)


# The command.


def test_command_gives_json_and_a_drawing(
    lowered: onnx.ModelProto, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, svg = saved(lowered, tmp_path / "m.onnx"), tmp_path / "m.svg"
    assert run(["placement", str(path), "--json", "--svg", str(svg)]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["counts"] == {"int8": 13, "float": 1, "refused": 0}
    assert document["layers"][0]["verdict"] == "int8"
    drawing = ElementTree.fromstring(svg.read_text())
    texts = [element.text or "" for element in drawing.iter("{http://www.w3.org/2000/svg}text")]
    assert sum(text.startswith(("Conv ", "Gemm ")) for text in texts) == 14
    assert {"EdgefasBTE", "EdgefasDCNv2", "score", "ir", "depth"} <= set(texts)
    boxes = list(drawing.iter("{http://www.w3.org/2000/svg}g"))
    corners = {(box[1].get("x"), box[1].get("y")) for box in boxes}
    assert len(corners) == len(boxes), "no box lies on another"


def test_command_ends_with_3_when_tensorrt_refuses(
    small: onnx.ModelProto, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = copied(small)
    asymmetric(model)
    assert run(["placement", str(saved(model, tmp_path / "m.onnx"))]) == 3
    output = capsys.readouterr()
    assert "REFUSED" in output.out
    assert "zero point 7" in output.err


@pytest.mark.parametrize("content", [None, b"", b"no network\n", small_net().SerializeToString()[:200]])
def test_command_refuses_what_is_no_onnx(
    tmp_path: Path, content: bytes | None, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "m.onnx"
    if content is not None:
        path.write_bytes(content)
    assert run(["placement", str(path)]) == 1
    assert str(path) in capsys.readouterr().err.replace("\n", "")
