"""A bundle small enough to look through: its network gives the mean of the encoded depth."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper

from edgefas.contracts import InputSpec, Policy
from edgefas.deploy.bundle import Manifest, write_bundle
from edgefas.engines.golden import GOLDEN_FILE, make_golden
from edgefas.engines.runtime import load_engine
from edgefas.engines.runtime.metadata import INPUT_SPEC_KEY
from tests.scenes import spec

SPEC = spec(side_px=16)


def mean_depth_network(wanted: InputSpec = SPEC) -> onnx.ModelProto:
    """Inputs rgb, ir and depth; score (N,) = mean of depth."""
    inputs = [
        helper.make_tensor_value_info(m.value, TensorProto.FLOAT, ["N", *wanted.shape(m)]) for m in wanted.modalities
    ]
    axes = helper.make_tensor("axes", TensorProto.INT64, [3], [1, 2, 3])
    score = helper.make_tensor_value_info("score", TensorProto.FLOAT, ["N"])
    node = helper.make_node("ReduceMean", ["depth", "axes"], ["score"], keepdims=0)
    graph = helper.make_graph([node], "mean_depth", inputs, [score], [axes])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    helper.set_model_props(model, {INPUT_SPEC_KEY: wanted.to_json()})
    onnx.checker.check_model(model)
    return model


def write_quantised(folder: Path, wanted: InputSpec = SPEC) -> Path:
    """A folder as `edgefas quantize` leaves it: network, golden vectors, scales, names that match."""
    folder.mkdir()
    (folder / "model.onnx").write_bytes(mean_depth_network(wanted).SerializeToString())
    (folder / "scales.json").write_text("{}")
    rng = np.random.default_rng(3)
    frames = {m.value: rng.normal(size=(5, *wanted.shape(m))).astype(np.float32) for m in wanted.modalities}
    with load_engine(folder / "model.onnx") as engine:
        make_golden(folder / GOLDEN_FILE, frames, {"score": engine})
    return folder


def write_small_bundle(path: Path) -> Path:
    """The network with the default policy and a warning."""
    manifest = Manifest(
        name="small", model="mean-depth", release=1, input_spec=SPEC, trained_on="nothing", warning="only a test",
        members={},
    )  # fmt: skip
    members = {
        "policy.json": Policy().to_json().encode(),
        "ort/model.onnx": mean_depth_network().SerializeToString(),
    }
    write_bundle(path, manifest, members)
    return path
