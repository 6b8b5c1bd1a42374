"""ONNX read without the onnx package: the same facts as onnx gives, and nothing but EngineError on what is broken."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from edgefas.engines.lowering.files import save_ort_files
from edgefas.engines.runtime import EngineError
from edgefas.engines.runtime import onnx_file as reader
from edgefas.engines.runtime.onnx_file import check_network, read_onnx_file
from tests.bundles import mean_depth_network
from tests.engines.graphs import IR_SPEC, TWO_SPEC, saved, small_net
from tests.engines.lowered import lowered_net

NETS = {
    "float": small_net(),
    "half": lowered_net(half=True),
    "int8, own": lowered_net(int8=True, own=True),
    "three inputs": mean_depth_network(),
}


@pytest.mark.parametrize("name", NETS)
def test_the_facts_are_those_of_the_onnx_package(name: str, tmp_path: Path) -> None:
    model = NETS[name]
    file = read_onnx_file(saved(model, tmp_path / "m.onnx"))
    graph = model.graph
    assert file.metadata == {entry.key: entry.value for entry in model.metadata_props}
    assert file.ops == {(node.domain, node.op_type) for node in graph.node}
    assert file.nodes == len(graph.node)
    stored = [*graph.initializer, *(a.t for n in graph.node for a in n.attribute if a.HasField("t"))]
    found = {(t.name, t.data_type, t.dims, t.bytes) for t in file.tensors}
    assert found == {(t.name, t.data_type, tuple(t.dims), numpy_helper.to_array(t).nbytes) for t in stored}
    for values, got in ((graph.input, file.inputs), (graph.output, file.outputs)):
        wanted = {
            v.name: (
                v.type.tensor_type.elem_type,
                tuple(d.dim_value if d.HasField("dim_value") else None for d in v.type.tensor_type.shape.dim),
            )
            for v in values
        }
        assert got == wanted
    assert file.sha256() == hashlib.sha256((tmp_path / "m.onnx").read_bytes()).hexdigest()
    check_network(file)


@pytest.mark.parametrize(("half", "int8", "precision"), [
    (False, False, "fp32"), (True, False, "fp16"), (False, True, "int8"), (True, True, "int8+fp16")
])  # fmt: skip
def test_precision_is_seen(half: bool, int8: bool, precision: str, tmp_path: Path) -> None:
    assert read_onnx_file(saved(lowered_net(half=half, int8=int8), tmp_path / "m.onnx")).precision == precision


def test_nodes_of_subgraphs_and_functions_are_seen(tmp_path: Path) -> None:
    inner = helper.make_graph(
        [helper.make_node("Evil", [], ["o"], domain="elsewhere")], "inner", [],
        [helper.make_tensor_value_info("o", TensorProto.FLOAT, [])],
    )  # fmt: skip
    model = small_net()
    model.graph.node.append(helper.make_node("If", ["zero"], ["i"], then_branch=inner, else_branch=inner))
    with pytest.raises(EngineError, match="unknown operators: elsewhere::Evil"):
        check_network(read_onnx_file(saved(model, tmp_path / "m.onnx")))
    model = small_net()
    model.functions.append(
        helper.make_function("f", "F", [], ["o"], [helper.make_node("Evil", [], ["o"], domain="e")], [])
    )
    with pytest.raises(EngineError, match="unknown operators: e::Evil"):
        check_network(read_onnx_file(saved(model, tmp_path / "m.onnx")))


def test_nodes_of_ours_that_do_not_exist_are_refused(tmp_path: Path) -> None:
    model = lowered_net(own=True)
    next(node for node in model.graph.node if node.domain == "edgefas").op_type = "EdgefasDCNv4"
    with pytest.raises(EngineError, match=r"edgefas::EdgefasDCNv4; allowed: .*edgefas::EdgefasBTE"):
        check_network(read_onnx_file(saved(model, tmp_path / "m.onnx")))


def test_a_network_that_is_not_ours_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="carries no InputSpec"):
        check_network(read_onnx_file(saved(small_net(spec=None), tmp_path / "m.onnx")))
    with pytest.raises(EngineError, match="its InputSpec says"):
        check_network(read_onnx_file(saved(small_net(TWO_SPEC), tmp_path / "m.onnx")))
    model = small_net()
    model.graph.output[0].name = "logit"
    with pytest.raises(EngineError, match="no float32 output 'score'"):
        check_network(read_onnx_file(saved(model, tmp_path / "m.onnx")))


def with_tensor(tensor: TensorProto) -> onnx.ModelProto:
    model = small_net()
    model.graph.initializer.append(tensor)
    return model


@pytest.mark.parametrize(
    ("dims", "words"),
    [([2**20, 2**20], "claim .* bytes, at most"), ([-4], "negative side"), ([2**62, 2**62], "claim .* bytes, at most")],
)
def test_huge_tensors_are_refused_before_they_are_made(dims: list[int], words: str, tmp_path: Path) -> None:
    model = with_tensor(TensorProto(name="huge", data_type=TensorProto.FLOAT, dims=dims))
    with pytest.raises(EngineError, match=words):
        check_network(read_onnx_file(saved(model, tmp_path / "m.onnx")))


def test_many_tensors_are_bounded_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(small_net(), tmp_path / "m.onnx")
    monkeypatch.setattr(reader, "MAX_TENSOR_BYTES", sum(t.bytes for t in read_onnx_file(path).tensors))
    check_network(read_onnx_file(path))
    monkeypatch.setattr(reader, "MAX_TENSOR_BYTES", reader.MAX_TENSOR_BYTES - 1)
    with pytest.raises(EngineError, match="its tensors up to"):
        check_network(read_onnx_file(path))


def external(location: str, **more: str) -> onnx.ModelProto:
    tensor = TensorProto(name="far", data_type=TensorProto.FLOAT, dims=[4], data_location=TensorProto.EXTERNAL)
    for key, value in {"location": location, **more}.items():
        tensor.external_data.add(key=key, value=value)
    return with_tensor(tensor)


@pytest.mark.parametrize(
    ("location", "more", "words"),
    [
        ("../secret.bin", {}, "only a file beside the model"),
        ("/etc/passwd", {}, "only a file beside the model"),
        ("", {}, "only a file beside the model"),
        ("a" * 5000, {}, "only a file beside the model"),
        ("sub/data.bin", {}, "only a file beside the model"),
        ("link.bin", {}, "only a file beside the model"),
        ("absent.bin", {}, "cannot be read"),
        ("data.bin", {"offset": "5"}, "reaches outside"),
        ("data.bin", {"offset": "-1"}, "reaches outside"),
        ("data.bin", {"length": "4"}, "reaches outside"),
        ("data.bin", {"length": "x"}, "no sane place"),
    ],
)
def test_external_data_stays_beside_the_model(location: str, more: dict[str, str], words: str, tmp_path: Path) -> None:
    folder = tmp_path / "m"
    folder.mkdir()
    (tmp_path / "secret.bin").write_bytes(bytes(16))
    (folder / "data.bin").write_bytes(bytes(20))
    (folder / "link.bin").symlink_to(tmp_path / "secret.bin")
    (folder / "sub").mkdir()
    with pytest.raises(EngineError, match=words):
        check_network(read_onnx_file(saved(external(location, **more), folder / "m.onnx")))
    check_network(read_onnx_file(saved(external("data.bin", offset="4"), folder / "m.onnx")))


def test_the_hash_covers_external_data(tmp_path: Path) -> None:
    save_ort_files(small_net(), tmp_path)
    before = read_onnx_file(tmp_path / "model.onnx").sha256()
    weights = bytearray((tmp_path / "weights.bin").read_bytes())
    weights[0] ^= 1
    (tmp_path / "weights.bin").write_bytes(weights)
    assert read_onnx_file(tmp_path / "model.onnx").sha256() != before


@given(st.data())
@settings(max_examples=300)
def test_damage_gives_an_error_of_ours_or_a_file(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    path = tmp_path_factory.getbasetemp() / "damaged.onnx"
    content = bytearray(SMALL)
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(content)))
    path.write_bytes(content[: cut or None])
    with suppress(EngineError):
        check_network(read_onnx_file(path))


SMALL = lowered_net(int8=True, own=True).SerializeToString()


def test_graphs_nested_without_end_are_refused(tmp_path: Path) -> None:
    graph = helper.make_graph([], "g", [], [])
    for _ in range(reader.MAX_DEPTH + 2):
        graph = helper.make_graph([helper.make_node("If", ["c"], ["o"], then_branch=graph)], "g", [], [])
    path = saved(helper.make_model(graph), tmp_path / "m.onnx")
    with pytest.raises(EngineError, match="nested more than"):
        read_onnx_file(path)


def test_what_is_no_onnx_is_said(tmp_path: Path) -> None:
    for content in (b"", b"hello\n", b"\xff" * 100, np.random.default_rng(0).bytes(1000)):
        (tmp_path / "m.onnx").write_bytes(content)
        with pytest.raises(EngineError, match="is not ONNX or is damaged"):
            read_onnx_file(tmp_path / "m.onnx")
    with pytest.raises(EngineError, match="cannot read"):
        read_onnx_file(tmp_path / "absent.onnx")


def test_the_spec_is_the_files(tmp_path: Path) -> None:
    assert check_network(read_onnx_file(saved(small_net(), tmp_path / "m.onnx"))) == IR_SPEC
