"""The two operators TensorRT has no good layer for: as nodes of our plugins, or in standard operators, or back again.

own: `EdgefasBTE` and `EdgefasDCNv2`, without function bodies. TensorRT 10.3's parser prefers a body of the node's name
to a plugin, silently, so a body left in the file would mean that the plugin is never used.
stock: BTE's body inlined, `DeformConv` kept; TensorRT turns that into a plugin of its own. Nothing to compile.
"""

from __future__ import annotations

import numpy as np
import onnx
import onnx.inliner
from onnx import NodeProto, TensorProto, helper, numpy_helper

from edgefas.engines.lowering.graph import LoweringError, attributes_of, drop_unused_constants, replace_nodes, shapes_of

DOMAIN = "edgefas"
BTE, DCNV2 = "EdgefasBTE", "EdgefasDCNv2"
OWN_NODES = frozenset({BTE, DCNV2})
PLUGIN = {"plugin_namespace": DOMAIN, "plugin_version": "1"}
"""How TensorRT's parser finds the creator; it ignores a node's domain before 10.10."""


def complete_deform_convs(model: onnx.ModelProto, *, stock: bool) -> None:
    """Give every DeformConv its mask (ones) and bias (zeros), and refuse what the node it becomes cannot say.

    Raises:
        LoweringError: paddings differ between two opposite sides; or, for the stock plugin, between the axes.
    """
    graph = model.graph
    shapes = shapes_of(graph)
    nodes: list[NodeProto] = []
    for node in graph.node:
        if node.op_type == "DeformConv" and not node.domain:
            _check_geometry(node, stock)
            names = [*node.input, "", ""][:5]
            m, _, kh, kw = shapes[node.input[1]]
            if not names[3]:
                names[3] = f"{node.output[0]}_bias"
                graph.initializer.append(numpy_helper.from_array(np.zeros(m, np.float32), names[3]))
            if not names[4]:
                names[4] = f"{node.output[0]}_mask"
                groups = attributes_of(node).get("offset_group", 1)
                nodes.extend(_ones_like_mask(graph, node.input[2], names[4], groups * kh * kw))
            del node.input[:]
            node.input.extend(names)
        nodes.append(node)
    replace_nodes(graph, nodes)


def use_plugins(model: onnx.ModelProto) -> None:
    """Turn BTE and DeformConv into nodes of our plugins and strip the bodies; shapes of their outputs stay written.

    Raises:
        LoweringError: the body of EdgefasBTE is not the one of `edgefas export`.
    """
    graph = model.graph
    inferred = onnx.shape_inference.infer_shapes(model)
    written = {value.name: value for value in inferred.graph.value_info}
    constants = {tensor.name: tensor for tensor in graph.initializer}
    nodes: list[NodeProto] = []
    for node in graph.node:
        if node.op_type == BTE:
            alpha = float(numpy_helper.to_array(constants[node.input[1]]).item())
            fields = {"alpha": alpha, "epsilon": _epsilon(model)}
            node = helper.make_node(BTE, node.input[:1], node.output, node.name, domain=DOMAIN, **fields, **PLUGIN)
        elif node.op_type == "DeformConv":
            node = _dcnv2(node)
        nodes.append(node)
    replace_nodes(graph, nodes)
    del model.functions[:]
    graph.value_info.extend(written[n.output[0]] for n in nodes if n.op_type in OWN_NODES and n.output[0] in written)
    if all(opset.domain != DOMAIN for opset in model.opset_import):
        model.opset_import.append(helper.make_opsetid(DOMAIN, 1))


def inline_bodies(model: onnx.ModelProto, half: bool) -> onnx.ModelProto:
    """A copy with BTE in standard operators, FP32 inside; its input and output are half if `half`."""
    if not model.functions:
        return model
    inlined = onnx.inliner.inline_local_functions(model)
    graph = inlined.graph
    nodes: list[NodeProto] = []
    renamed: dict[str, str] = {}
    for node in graph.node:
        node.input[:] = [renamed.get(name, name) for name in node.input]
        if node.op_type == "Constant":
            (value,) = (attribute.t for attribute in node.attribute if attribute.name == "value")
            value.name = node.output[0]
            graph.initializer.append(value)
        elif node.op_type == "CastLike" and half:
            nodes.append(helper.make_node("Cast", node.input[:1], node.output, node.name, to=TensorProto.FLOAT16))
        elif node.op_type == "CastLike" or _casts_float_to_float(graph, node, half):
            renamed[node.output[0]] = node.input[0]
        else:
            nodes.append(node)
    replace_nodes(graph, nodes)
    drop_unused_constants(graph)
    kept = [opset for opset in inlined.opset_import if opset.domain != DOMAIN]
    del inlined.opset_import[:]
    inlined.opset_import.extend(kept)
    return inlined


def without_plugins(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy in standard operators: what the plugin nodes are defined to compute, for engines that lack them.

    Raises:
        LoweringError: two BTE nodes with different epsilons.
        MissingExtra: torch, whose package holds the definition, is not installed.
    """
    from edgefas.ops.onnx import bte_function_body

    standard = onnx.ModelProto()
    standard.CopyFrom(model)
    graph = standard.graph
    epsilons = {attributes_of(node)["epsilon"] for node in graph.node if node.op_type == BTE}
    if len(epsilons) > 1:
        raise LoweringError(f"EdgefasBTE nodes with epsilons {sorted(epsilons)}; one network has one, lower it again")
    half = any(tensor.data_type == TensorProto.FLOAT16 for tensor in graph.initializer)
    nodes: list[NodeProto] = []
    for node in graph.node:
        fields = attributes_of(node)
        if node.op_type == BTE:
            alpha = f"{node.output[0]}_alpha"
            graph.initializer.append(numpy_helper.from_array(np.array([fields["alpha"]], np.float32), alpha))
            node = helper.make_node(BTE, [node.input[0], alpha], node.output, node.name, domain=DOMAIN)
        elif node.op_type == DCNV2:
            x, offset, mask, weight, bias = node.input
            node = helper.make_node(
                "DeformConv",
                [x, weight, offset, bias, mask],
                node.output,
                node.name,
                group=fields["group"],
                offset_group=fields["deformable_group"],
                strides=fields["stride"],
                pads=[*fields["padding"], *fields["padding"]],
                dilations=fields["dilation"],
            )
        nodes.append(node)
    replace_nodes(graph, nodes)
    if epsilons:
        body = bte_function_body()
        epsilon = next(node for node in body.node if node.output[0] == "epsilon")
        epsilon.attribute[0].t.CopyFrom(numpy_helper.from_array(np.array(epsilons.pop(), np.float32), "epsilon"))
        body.opset_import[0].version = next(o.version for o in standard.opset_import if not o.domain)
        standard.functions.append(body)
    return inline_bodies(standard, half)


def _check_geometry(node: NodeProto, stock: bool) -> None:
    fields = attributes_of(node)
    pads = list(fields.get("pads", [0, 0, 0, 0]))
    if pads[:2] != pads[2:]:
        raise LoweringError(
            f"DeformConv {node.name!r} pads {pads}: TensorRT takes the same at both ends of an axis; pad the input "
            "with a node of its own and export again"
        )
    axes = {"strides": fields.get("strides", [1, 1]), "pads": pads[:2], "dilations": fields.get("dilations", [1, 1])}
    uneven = [f"{name} {list(value)}" for name, value in axes.items() if len(set(value)) > 1]
    if stock and uneven:
        raise LoweringError(
            f"DeformConv {node.name!r} has {', '.join(uneven)}: TensorRT's own plugin takes height for width there; "
            "lower it with plugins='own'"
        )


def _ones_like_mask(graph: onnx.GraphProto, offset: str, mask: str, taps: int) -> list[NodeProto]:
    """(N, taps, Ho, Wo) of ones: the first channels of the offsets, clamped to [1, 1], since N is free."""
    values = {"starts": np.array([0]), "ends": np.array([taps]), "axes": np.array([1]), "one": np.array(1, np.float32)}
    names = {key: f"{mask}_{key}" for key in values}
    graph.initializer.extend(numpy_helper.from_array(value, names[key]) for key, value in values.items())
    window = [names["starts"], names["ends"], names["axes"]]
    return [
        helper.make_node("Slice", [offset, *window], [f"{mask}_shape"], f"{mask}_shape"),
        helper.make_node("Clip", [f"{mask}_shape", names["one"], names["one"]], [mask], mask),
    ]


def _dcnv2(node: NodeProto) -> NodeProto:
    x, weight, offset, bias, mask = node.input
    fields = attributes_of(node)
    return helper.make_node(
        DCNV2,
        [x, offset, mask, weight, bias],
        node.output,
        node.name,
        domain=DOMAIN,
        group=fields.get("group", 1),
        deformable_group=fields.get("offset_group", 1),
        stride=fields.get("strides", [1, 1]),
        padding=fields.get("pads", [0, 0, 0, 0])[:2],
        dilation=fields.get("dilations", [1, 1]),
        **PLUGIN,
    )


def _epsilon(model: onnx.ModelProto) -> float:
    """The constant of that name in BTE's body: the file says it, no second place does."""
    for function in model.functions:
        for node in function.node:
            if function.name == BTE and list(node.output) == ["epsilon"]:
                return float(numpy_helper.to_array(node.attribute[0].t).item())
    raise LoweringError("the file has no body of EdgefasBTE with an epsilon; write it again with: edgefas export")


def _casts_float_to_float(graph: onnx.GraphProto, node: NodeProto, half: bool) -> bool:
    """A Cast of the body that has nothing to do: alpha is float32 always, x is unless the network is half."""
    if node.op_type != "Cast" or attributes_of(node)["to"] != TensorProto.FLOAT:
        return False
    constants = {tensor.name for tensor in graph.initializer if tensor.data_type == TensorProto.FLOAT}
    return node.input[0] in constants or not half
