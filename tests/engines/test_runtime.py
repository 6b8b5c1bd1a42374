"""Loading and running ONNX files: what is refused, in whose words."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgefas.engines.lowering.files import save_ort_files
from edgefas.engines.runtime import Engine, EngineError, load_engine
from tests.engines.graphs import IR_SPEC, TWO_SPEC, finished, noise, saved, small_net


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    return load_engine(saved(small_net(), tmp_path_factory.mktemp("m") / "m.onnx"), threads=1)


def test_scores_are_those_of_onnxruntime_alone(engine: Engine) -> None:
    session = ort.InferenceSession(small_net().SerializeToString(), providers=["CPUExecutionProvider"])
    np.testing.assert_allclose(engine.score(noise(5, 1)), session.run(None, noise(5, 1))[0], atol=1e-6)
    assert engine.score(noise(5, 1)).shape == (5,)
    assert engine.score(noise(1, 1)).dtype == np.float32
    assert (engine.spec, engine.backend, engine.outputs) == (IR_SPEC, "onnxruntime", ("score",))


@pytest.mark.parametrize(
    "inputs",
    [
        {},
        {"ir": np.zeros((1, 1, 16, 16)), "depth": np.zeros((1, 1, 16, 16), np.float32)},
        {"rgb": np.zeros((1, 1, 16, 16), np.float32)},
        {"ir": np.zeros((1, 1, 16, 16))},
        {"ir": np.zeros((1, 1, 16, 16), np.uint8)},
        {"ir": np.zeros((1, 1, 16, 17), np.float32)},
        {"ir": np.zeros((1, 3, 16, 16), np.float32)},
        {"ir": np.zeros((0, 1, 16, 16), np.float32)},
        {"ir": np.zeros((), np.float32)},
    ],
)
def test_wrong_inputs_are_refused(engine: Engine, inputs: dict[str, np.ndarray]) -> None:
    with pytest.raises(EngineError, match=r"needs \['ir'\]|must be float32 \(N, 1, 16, 16\)"):
        engine.score(inputs)


def test_unknown_output_is_refused(engine: Engine) -> None:
    with pytest.raises(EngineError, match=r"no output 'feature'.*score"):
        engine.run(noise(1, 0), ("feature",))


def test_file_without_input_spec_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"no InputSpec.*edgefas export"):
        load_engine(saved(small_net(spec=None), tmp_path / "m.onnx"))


def test_broken_input_spec_is_refused(tmp_path: Path) -> None:
    model = small_net()
    helper.set_model_props(model, {"edgefas.input_spec": '{"crop": {"kind": "box", "scale": 1}, "irr": null}'})
    with pytest.raises(EngineError, match="did you mean 'ir'"):
        load_engine(saved(model, tmp_path / "m.onnx"))


def test_metadata_that_is_no_text_is_refused(tmp_path: Path) -> None:
    content = small_net().SerializeToString().replace(b'"crop"', b'"cr\xeep"')
    (tmp_path / "m.onnx").write_bytes(content)
    with pytest.raises(EngineError, match="damaged metadata"):
        load_engine(tmp_path / "m.onnx")


def test_graph_that_contradicts_its_input_spec_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="its InputSpec says"):
        load_engine(saved(small_net(TWO_SPEC), tmp_path / "m.onnx"))


def test_graph_without_score_is_refused(tmp_path: Path) -> None:
    node = helper.make_node("Relu", ["ir"], ["y"])
    model = finished([node], [], {"ir": ("N", 1, 16, 16)}, {"y": ("N", 1, 16, 16)}, IR_SPEC)
    with pytest.raises(EngineError, match="no output 'score'"):
        load_engine(saved(model, tmp_path / "m.onnx"))


@pytest.mark.parametrize("content", [b"", b"not a network\n", small_net().SerializeToString()[:300]])
def test_damaged_file_is_refused_in_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(content)
    with pytest.raises(EngineError) as caught:
        load_engine(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


def test_names_that_are_no_text_are_refused(tmp_path: Path) -> None:
    data = small_net().SerializeToString()
    assert data.count(b"\x12\x01N") > 0, "the free batch is called N"
    (tmp_path / "m.onnx").write_bytes(data.replace(b"\x12\x01N", b"\x12\x01\xf6"))
    with pytest.raises(EngineError, match=r"names that are no text|not a network"):
        load_engine(tmp_path / "m.onnx")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("absent.onnx", "no such model"),
        ("m.txt", "not a network edgefas knows"),
        ("run", "give its checkpoint: .*run/best"),
    ],
)
def test_paths_that_are_no_networks(tmp_path: Path, name: str, words: str) -> None:
    (tmp_path / "m.txt").write_text("x")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "best.safetensors").write_text("x")
    with pytest.raises(EngineError, match=words):
        load_engine(tmp_path / name)


def test_unknown_backend_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="no backend 'openvino'; allowed: auto, onnxruntime"):
        load_engine(saved(small_net(), tmp_path / "m.onnx"), "openvino")


def test_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"has no model.onnx.*edgefas quantize"):
        load_engine(tmp_path)


def unsupported_net() -> onnx.ModelProto:
    """A valid graph without a kernel in ONNX Runtime (Conv in double), as DeformConv has none before 1.25."""
    weight = numpy_helper.from_array(np.ones((1, 1, 1, 1)), "w")
    nodes = [
        helper.make_node("Cast", ["ir"], ["wide"], to=TensorProto.DOUBLE),
        helper.make_node("Conv", ["wide", "w"], ["y"]),
        helper.make_node("Cast", ["y"], ["score"], to=TensorProto.FLOAT),
    ]
    return finished(nodes, [weight], {"ir": ("N", 1, 16, 16)}, {"score": ("N", 1, 16, 16)}, IR_SPEC)


def test_folder_falls_back_to_the_grid_sample_form(tmp_path: Path) -> None:
    save_ort_files(small_net(), tmp_path)
    saved(unsupported_net(), tmp_path / "model.onnx")
    assert load_engine(tmp_path).score(noise(2, 0)).shape == (2,)


def test_single_file_without_kernel_names_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"onnxruntime>=1.25.*model.gridsample.onnx"):
        load_engine(saved(unsupported_net(), tmp_path / "m.onnx"))


def test_reference_runs_the_graph_as_written(tmp_path: Path) -> None:
    path = saved(small_net(), tmp_path / "m.onnx")
    np.testing.assert_allclose(
        load_engine(path, reference=True).score(noise(2, 0)), load_engine(path).score(noise(2, 0)), atol=1e-5
    )
