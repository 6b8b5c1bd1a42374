"""Cutting a network into its branches and their fusion, at the feature maps `edgefas export` names.

Works on the source and on any copy for TensorRT: the parts compute bit for bit what the whole does there. Between the
parts travel float32 maps (N, C, h, w), also where the copy is half: the cast loses nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Literal, get_args

import onnx
from onnx import TensorProto, ValueInfoProto, helper

from edgefas.contracts import InputSpec, Modality
from edgefas.engines.lowering.graph import (
    LoweringError,
    drop_unused_constants,
    producers,
    replace_nodes,
    source_sha256,
)
from edgefas.engines.runtime.metadata import BRANCH_KEY, FEATURES_KEY, INPUT_SPEC_KEY, SOURCE_KEY, feature_name

Part = Literal["rgb", "ir", "depth", "fusion"]
PARTS: tuple[Part, ...] = get_args(Part)


def cut_branch(model: onnx.ModelProto, part: Part) -> onnx.ModelProto:
    """One part of a network; the model is not changed.

    Args:
        model: the source, or what `lower_tensorrt` made of it.
        part: a branch takes its modality's picture and gives `MODALITY_features`, and carries the InputSpec of its
            modality alone; the fusion takes the feature maps and gives `score`, and carries their shapes instead of an
            InputSpec, since it takes no pictures. Both say which part they are.

    Raises:
        LoweringError: the network has no such part, or its parts are not apart.
    """
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    features = _features(model, metadata)
    cut = onnx.ModelProto()
    cut.CopyFrom(model)
    if part == "fusion":
        _keep(cut, model.graph.output, features.values())
        shapes = {v.name: [d.dim_value for d in v.type.tensor_type.shape.dim[1:]] for v in features.values()}
        del metadata[INPUT_SPEC_KEY]
        metadata[FEATURES_KEY] = json.dumps(shapes)
    elif part in features:
        _keep(cut, [features[part]], [value for value in model.graph.input if value.name == part])
        spec = InputSpec.from_json(metadata[INPUT_SPEC_KEY])
        others = {m.value: None for m in spec.modalities if m.value != part}
        metadata[INPUT_SPEC_KEY] = spec.model_copy(update=others).to_json()
    else:
        raise LoweringError(f"no branch {part!r}; this network has: {', '.join([*features, 'fusion'])}")
    helper.set_model_props(cut, {SOURCE_KEY: source_sha256(model)} | metadata | {BRANCH_KEY: part})
    onnx.checker.check_model(cut)
    return cut


def _features(model: onnx.ModelProto, metadata: dict[str, str]) -> dict[str, ValueInfoProto]:
    """Modality -> its feature map with type and shape."""
    if BRANCH_KEY in metadata:
        raise LoweringError(f"this file is the {metadata[BRANCH_KEY]} part already; give the whole network")
    inputs = [value.name for value in model.graph.input]
    names = {modality.value: feature_name(modality) for modality in Modality if modality.value in inputs}
    typed = onnx.shape_inference.infer_shapes(model).graph
    found = {value.name: value for value in [*typed.value_info, *model.graph.value_info]}
    missing = [name for name in names.values() if name not in found or len(_shape(found[name])) != 4]
    if missing or not names or INPUT_SPEC_KEY not in metadata:
        raise LoweringError(
            f"no feature maps to cut at ({', '.join(missing)}); only a whole network of several "
            "branches, such as dah-fas, has parts; write it again with: edgefas export"
        )
    return {modality: found[name] for modality, name in names.items()}


def _shape(value: ValueInfoProto) -> list[int | str]:
    return [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]


def _keep(cut: onnx.ModelProto, outputs: Iterable[ValueInfoProto], inputs: Iterable[ValueInfoProto]) -> None:
    """Leave only what computes `outputs` from `inputs`, with Casts where those are half."""
    graph = cut.graph
    ends, starts = list(outputs), list(inputs)
    made_by = producers(graph.node)
    constants = {tensor.name for tensor in graph.initializer}
    borders = {value.name for value in starts}
    needed: set[str] = set()
    todo = [value.name for value in ends]
    while todo:
        name = todo.pop()
        if name in needed or name in borders or name in constants or not name:
            continue
        if name not in made_by:
            raise LoweringError(f"the parts of this network are not apart: {name!r} is needed on both sides")
        needed |= set(made_by[name].output)
        todo += made_by[name].input
    nodes = [node for node in graph.node if node.output[0] in needed]
    before, after = [], []
    for value in [*starts, *ends]:
        if value.type.tensor_type.elem_type != TensorProto.FLOAT16:
            continue
        name, half = value.name, f"{value.name}_inner"
        for node in nodes:
            node.input[:] = [half if i == name else i for i in node.input]
            node.output[:] = [half if o == name else o for o in node.output]
        if name in borders:
            before.append(helper.make_node("Cast", [name], [half], half, to=TensorProto.FLOAT16))
        else:
            after.append(helper.make_node("Cast", [half], [name], half, to=TensorProto.FLOAT))
    replace_nodes(graph, [*before, *nodes, *after])
    drop_unused_constants(graph)
    kept = [value for value in graph.value_info if value.name in needed - {value.name for value in ends}]
    sides = [
        [helper.make_tensor_value_info(value.name, TensorProto.FLOAT, _shape(value)) for value in side]
        for side in (starts, ends)
    ]
    for field, values in ((graph.input, sides[0]), (graph.output, sides[1]), (graph.value_info, kept)):
        replacement = [*values]
        del field[:]
        field.extend(replacement)
    used = {node.op_type for node in graph.node}
    bodies = [function for function in cut.functions if function.name in used]
    del cut.functions[:]
    cut.functions.extend(bodies)
