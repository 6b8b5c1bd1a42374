"""Lowering for TensorRT: strongly typed ONNX that every release from 10.3 to 11.4 builds as it stands.

Types are in the graph (no builder flag decides them), INT8 is explicit Q/DQ (no calibrator), and the two operators
TensorRT lacks are nodes of our plugins (`own`) or standard ones (`stock`).
"""

from __future__ import annotations

import onnx

from edgefas.calibration.recipe import Recipe
from edgefas.calibration.scale_table import ScaleTable, ScaleTableError
from edgefas.engines.lowering.fp16 import to_half
from edgefas.engines.lowering.graph import LoweringError, drop_unused_constants, source_sha256
from edgefas.engines.lowering.own_nodes import complete_deform_convs, inline_bodies, use_plugins
from edgefas.engines.lowering.qdq import place_qdq
from edgefas.engines.lowering.simplify import batch_norms_to_arithmetic, to_opset
from edgefas.engines.precision import PLUGINS, PRECISIONS, Plugins, Precision
from edgefas.engines.runtime.metadata import SOURCE_KEY

PRECISION_KEY, PLUGINS_KEY = "edgefas.precision", "edgefas.plugins"
"""ONNX metadata: what a copy was made for."""


def lower_tensorrt(
    source: onnx.ModelProto,
    precision: Precision,
    plugins: Plugins,
    scales: ScaleTable | None = None,
    recipe: Recipe | None = None,
) -> onnx.ModelProto:
    """The network in the types and nodes TensorRT is to run; inputs and outputs stay float32, the batch free.

    Args:
        source: the float ONNX of `edgefas export`; not changed.
        precision: of weights and activations. int8: Q/DQ on a float32 network; int8+fp16: Q/DQ on a half one.
        plugins: own: BTE and DCNv2 are nodes of edgefas's plugins; stock: nothing to compile on the board.
        scales: for int8: symmetric ranges of this source.
        recipe: for int8: what becomes INT8.

    Raises:
        ScaleTableError: the table belongs to another source, or lacks a tensor.
        LoweringError: what was asked for does not exist, int8 without scales and recipe, a weight beyond half, a
            DeformConv that TensorRT cannot express.
    """
    for what, value, known in (("precision", precision, PRECISIONS), ("plugins", plugins, PLUGINS)):
        if value not in known:
            raise LoweringError(f"no {what} {value!r}; allowed: {', '.join(known)}")
    half = precision.endswith("fp16")
    model = onnx.ModelProto()
    model.CopyFrom(source)
    del model.graph.value_info[:]
    to_opset(model)
    if precision.startswith("int8"):
        if scales is None or recipe is None:
            raise LoweringError(f"precision {precision!r} needs a scale table and a recipe; see: edgefas quantize")
        if scales.source_sha256 != source_sha256(source):
            raise ScaleTableError("the scale table belongs to another network; make it with: edgefas quantize")
        place_qdq(model, scales, recipe, half)
    batch_norms_to_arithmetic(model)
    complete_deform_convs(model, stock=plugins == "stock")
    if half:
        to_half(model)
    if plugins == "own":
        use_plugins(model)
    else:
        model = inline_bodies(model, half)
    drop_unused_constants(model.graph)
    given = {entry.key: entry.value for entry in source.metadata_props}
    made = {PRECISION_KEY: precision, PLUGINS_KEY: plugins, SOURCE_KEY: source_sha256(source)}
    onnx.helper.set_model_props(model, given | made)
    try:
        onnx.checker.check_model(model, full_check=True)
    except Exception as error:  # onnx raises what its C++ raises
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)[:300]
        raise LoweringError(f"this network has no valid copy in {precision}: {reason}; lower it in fp32") from None
    return model
