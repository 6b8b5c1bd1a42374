"""From a torch network to the source file: one float ONNX that carries its InputSpec."""

from __future__ import annotations

import logging
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import onnx

from edgefas.contracts import InputSpec
from edgefas.engines.parity import Parity, ParityError, check_parity
from edgefas.engines.runtime.metadata import INPUT_SPEC_KEY, MODEL_NAME_KEY, feature_name
from edgefas.errors import EdgefasError, require
from edgefas.files import FileWriteError, write_atomically

if TYPE_CHECKING:
    from torch import nn

F32 = npt.NDArray[np.float32]
FIRST_OPSET_WITH_DEFORM_CONV = 19
IR_VERSION = 10
"""The newest that ONNX Runtime 1.20 reads; newer onnx packages would write a later one."""
PARITY_SEEDS = (0, 1, 2)
PARITY_BATCH = 2


class ExportError(EdgefasError):
    """The network cannot be written as ONNX, or the file does not compute what the network does."""


@dataclass(frozen=True)
class ExportReport:
    """What was written, and how far it is from the torch network on random inputs."""

    path: Path
    opset: int
    nodes: int
    parity: Parity


def export_onnx(model: nn.Module, spec: InputSpec, name: str, path: Path, opset: int = 22) -> ExportReport:
    """Write `model` as ONNX with inputs rgb, ir, depth (those of `spec`) and output `score` (N,), N free.

    Args:
        model: takes the inputs by name, each (N, C, H, W) float32; gives (N,) float32 log-odds of bona fide.
        spec: its preprocessing contract; written into the file.
        name: its registered name; written into the file.
        path: the file to write.
        opset: 19 or later: before, torch writes a DeformConv that no engine accepts.

    Raises:
        ExportError: opset too old, an operator without ONNX form, or scores that differ from torch's.
        FileWriteError: `path` cannot be written.
    """
    if opset < FIRST_OPSET_WITH_DEFORM_CONV:
        raise ExportError(
            f"opset {opset} has no DeformConv; use {FIRST_OPSET_WITH_DEFORM_CONV} or later (the default is 22)"
        )
    if not path.parent.is_dir():
        raise FileWriteError(f"cannot write {path}: no folder {path.parent}; make it first")
    require("onnxruntime", "export")
    model = model.eval()
    onnx_model = _simplified(_translated(model, spec, opset))
    _describe(onnx_model, spec, name)
    onnx.checker.check_model(onnx_model)
    data = onnx_model.SerializeToString()
    try:
        parity = check_parity(model, data, [random_inputs(spec, PARITY_BATCH, seed) for seed in PARITY_SEEDS])
    except ParityError as error:
        raise ExportError(f"{error}; {path} was not written") from error
    write_atomically(path, data)
    return ExportReport(path, opset, len(onnx_model.graph.node), parity)


def random_inputs(spec: InputSpec, batch: int, seed: int) -> dict[str, F32]:
    """Normal noise in the shapes of `spec`."""
    rng = np.random.default_rng(seed)
    return {m.value: rng.standard_normal((batch, *spec.shape(m)), np.float32) for m in spec.modalities}


def _translated(model: nn.Module, spec: InputSpec, opset: int) -> onnx.ModelProto:
    torch = require("torch", "export")
    require("onnxscript", "export")
    from edgefas.ops.onnx import onnx_translations

    # A batch of 2: torch.export would take a 1 for a constant.
    inputs = {key: torch.from_numpy(array) for key, array in random_inputs(spec, PARITY_BATCH, 0).items()}
    outputs = ["score"]
    if hasattr(model, "branches"):
        outputs += [feature_name(modality) for modality in spec.modalities]
        model = _with_features(model)
    batch = torch.export.Dim("N", min=1, max=1024)
    logging.getLogger("onnxscript").setLevel(logging.WARNING)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it warns that torchvision is missing
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                model,
                kwargs=inputs,
                input_names=list(inputs),
                output_names=outputs,
                dynamic_shapes={key: {0: batch} for key in inputs},
                dynamo=True,
                opset_version=opset,
                custom_translation_table=onnx_translations(),
                verbose=False,
            )
    except Exception as error:  # torch.onnx raises what its passes raise
        raise ExportError(f"torch cannot export this network: {str(error).strip().splitlines()[0]}") from error
    model_proto: onnx.ModelProto = program.model_proto
    return model_proto


def _simplified(model: onnx.ModelProto) -> onnx.ModelProto:
    """Constants folded and batch norms inside their convolutions; bodies of our own nodes appended afterwards."""
    onnxsim = require("onnxsim", "export")
    from edgefas.ops.onnx import BTE_NODE, DOMAIN, bte_function_body

    simplified, same = onnxsim.simplify(model)
    if not same:
        raise ExportError("onnxsim changed what the network computes; try another version of onnxsim")
    if any(node.domain == DOMAIN and node.op_type == BTE_NODE for node in simplified.graph.node):
        simplified.functions.append(bte_function_body())
    for node in simplified.graph.node:
        del node.metadata_props[:]  # torch notes stack traces there, with paths of this machine
    del simplified.graph.value_info[:]
    del simplified.graph.output[1:]  # feature maps keep their names, at which a network is cut into branches
    return simplified


def _with_features(model: nn.Module) -> nn.Module:
    """A network of `branches` and `fusion` that gives its feature maps beside the score, so that ONNX names them."""
    import torch

    class WithFeatures(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.branches, self.fusion = model.branches, model.fusion

        def forward(self, rgb: Any = None, ir: Any = None, depth: Any = None) -> tuple[Any, ...]:
            pictures = {"rgb": rgb, "ir": ir, "depth": depth}
            features = [branch(pictures[name]) for name, branch in self.branches.items()]
            return (self.fusion(*features), *features)

    return WithFeatures().eval()


def _describe(model: onnx.ModelProto, spec: InputSpec, name: str) -> None:
    model.ir_version = IR_VERSION
    model.producer_name = "edgefas"
    onnx.helper.set_model_props(model, {INPUT_SPEC_KEY: spec.to_json(), MODEL_NAME_KEY: name})
