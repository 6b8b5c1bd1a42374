"""Folders as `edgefas quantize` writes them for TensorRT, of networks small enough for a test."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnx.inliner import inline_local_functions

from edgefas.engines.golden import write_golden
from tests.engines.graphs import IR_SPEC, noise, saved
from tests.engines.tensorrt_fake.own_nodes import bte_function, session

CREATORS = '{"creators": [["EdgefasBTE", "1", "edgefas"], ["EdgefasDCNv2", "1", "edgefas"]]}'


def lowered_net(*, half: bool = False, int8: bool = False, own: bool = False, seed: int = 0) -> onnx.ModelProto:
    """Conv, BTE (a node if `own`, else its body), Conv, mean -> score (N,); Q/DQ before the second Conv."""
    rng = np.random.default_rng(seed)
    dtype = np.float16 if half else np.float32
    kind = TensorProto.FLOAT16 if half else TensorProto.FLOAT
    first, second = rng.normal(0, 0.5, (4, 1, 3, 3)).astype(dtype), rng.normal(0, 0.5, (1, 4, 3, 3)).astype(dtype)
    scale = np.array(0.05, dtype)
    constants = [
        numpy_helper.from_array(first, "first"),
        numpy_helper.from_array(second, "second"),
        numpy_helper.from_array(scale, "scale"),
        numpy_helper.from_array(np.array(0, np.int8), "zero"),
        numpy_helper.from_array(np.array([1, 2, 3]), "axes"),
    ]
    node = helper.make_node
    nodes = [
        node("Cast", ["ir"], ["x"], "cast_in", to=kind),
        node("Conv", ["x", "first"], ["a"], "conv_1", pads=[1, 1, 1, 1]),
    ]
    own_attributes = {"plugin_namespace": "edgefas", "plugin_version": "1"}
    nodes.append(node("EdgefasBTE", ["a"], ["b"], "bte", domain="edgefas", alpha=0.7, epsilon=1e-6, **own_attributes))
    if int8:
        nodes += [
            node("QuantizeLinear", ["b", "scale", "zero"], ["q"], "q"),
            node("DequantizeLinear", ["q", "scale", "zero"], ["c"], "dq"),
        ]
    nodes += [
        node("Conv", ["c" if int8 else "b", "second"], ["d"], "conv_2"),
        node("ReduceMean", ["d", "axes"], ["mean"], "mean", keepdims=0),
        node("Cast", ["mean"], ["score"], "cast_out", to=TensorProto.FLOAT),
    ]
    values = {"ir": ("N", 1, 16, 16)}, {"score": ("N",)}
    graph = helper.make_graph(
        nodes,
        "small",
        *([helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in group.items()] for group in values),
        constants,
    )
    opsets = [helper.make_opsetid("", 22), helper.make_opsetid("edgefas", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    helper.set_model_props(model, {"edgefas.input_spec": IR_SPEC.to_json(), "edgefas.model": "small"})
    if not own:
        model.functions.append(bte_function())
        model = inline_local_functions(model)
        del model.functions[:]
    return model


def lowered_folder(folder: Path, own: bool = False) -> Path:
    """fp32, fp16 and int8 files, `own` ones too if asked; golden vectors of the first."""
    (folder / "tensorrt").mkdir(parents=True)
    forms = {"fp32": {}, "fp16": {"half": True}, "int8": {"int8": True}}
    for name, form in forms.items():
        saved(lowered_net(**form), folder / "tensorrt" / f"{name}-stock.onnx")
        if own:
            saved(lowered_net(**form, own=True), folder / "tensorrt" / f"{name}-own.onnx")
    golden_of(lowered_net(), folder / "golden.npz")
    return folder


def golden_of(model: onnx.ModelProto, path: Path, frames: int = 3) -> Path:
    """Golden vectors that are the scores of this network."""
    inputs = {name: array.astype(np.float16).astype(np.float32) for name, array in noise(frames, 5).items()}
    write_golden(path, inputs, {"score": session(model).run(["score"], inputs)[0]})
    return path


def fake_plugins(out: Path, include_dir: Path | None, architectures: tuple[str, ...]) -> Path:
    """Stands for the compiler: the fake TensorRT reads which creators the library registers."""
    library = out / "libedgefas_plugins.so"
    library.write_text(CREATORS)
    return library
