"""Damaged networks and scale tables: a case number draws which file is damaged and how."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto

Rng = np.random.Generator

OUTSIDE = (
    "../secret.bin",
    "/etc/hostname",
    "..",
    "",
    ".",
    "weights.bin/..",
    "a" * 5000,
    "\\..\\x",
    "%2e%2e/x",
    "no.bin",
)
OPERATORS = ("Conv", "Gemm", "Loop", "If", "Scan", "NoSuchOp", "", "DeformConv", "Resize", "Tile")
EXTREMES = (0, -1, 1, 2, 7, 2**31 - 1, 2**31, 2**40, 2**62, -(2**63), 2**63 - 1)
VALUES: tuple[Any, ...] = (
    float("inf"), float("nan"),
    None, True, -1, 0, 0.5, 3.0, 1e30, 5e-324, 1e308, -1e-300, 10**40, "", "x", [], {}, [[]], "NaN",
)  # fmt: skip


def damage_bytes(data: bytes, rng: Rng) -> tuple[str, bytes]:
    """(how, the damaged bytes)."""
    content = np.frombuffer(data, np.uint8).copy()
    kind = str(rng.choice(["flip", "flip", "cut", "zeros", "noise", "doubled", "inserted"]))
    start = int(rng.integers(len(content)))
    length = int(rng.integers(1, 1 + len(content) // 4))
    if kind == "cut":
        return kind, data[:start]
    if kind == "doubled":
        return kind, data[:start] + data[max(0, start - length) :]
    if kind == "inserted":
        return kind, data[:start] + rng.bytes(length) + data[start:]
    if kind == "flip":
        places = rng.integers(0, len(content), int(rng.geometric(0.4)))
        content[places] ^= rng.integers(1, 256, len(places)).astype(np.uint8)
    else:
        part = content[start : start + length]
        part[:] = 0 if kind == "zeros" else rng.integers(0, 256, len(part)).astype(np.uint8)
    return kind, content.tobytes()


def damage_fields(data: bytes, rng: Rng) -> tuple[str, bytes]:
    """Mostly one field of a well-formed ONNX file take values they should not have."""
    model = onnx.ModelProto.FromString(data)
    kinds = []
    for _ in range(int(rng.geometric(0.7))):
        kind = str(rng.choice(list(FIELDS)))
        FIELDS[kind](model, rng)
        kinds.append(kind)
    return "+".join(sorted(set(kinds))), model.SerializeToString()


def damage_json(text: str, rng: Rng) -> tuple[str, bytes]:
    """Mostly one value or key of a JSON document."""
    document = json.loads(text)
    kind = str(rng.choice(["value", "key", "entry", "nested", "bytes", "bytes"]))
    if kind == "bytes":
        return damage_bytes(text.encode(), rng)
    if kind == "nested":
        depth = int(rng.integers(1, 20_000))
        return kind, text.replace("{", '{"a":' + "[" * depth, 1).encode()
    for _ in range(int(rng.geometric(0.6))):
        holder = _some_holder(document, rng)
        if not holder:
            continue
        key = str(rng.choice(list(holder)))
        if kind == "value":
            holder[key] = _pick(rng, VALUES)
        elif kind == "key":
            holder[key[: int(rng.integers(len(key) + 1))] + "\u0000x"] = holder.pop(key)
        else:
            del holder[key]
    return kind, json.dumps(document).encode()


def _some_holder(document: dict[str, Any], rng: Rng) -> dict[str, Any]:
    inner = [value for value in document.values() if isinstance(value, dict)]
    return inner[int(rng.integers(len(inner)))] if inner and rng.random() < 0.5 else document


def _pick(rng: Rng, things: Any) -> Any:
    return things[int(rng.integers(len(things)))]


def _shape_of_tensor(model: onnx.ModelProto, rng: Rng) -> None:
    tensor = _pick(rng, model.graph.initializer)
    dims = list(tensor.dims) or [1]
    dims[int(rng.integers(len(dims)))] = int(_pick(rng, EXTREMES))
    tensor.dims[:] = dims * int(rng.choice([1, 1, 3]))


def _type_of_tensor(model: onnx.ModelProto, rng: Rng) -> None:
    _pick(rng, model.graph.initializer).data_type = int(rng.integers(0, 30))


def _external(model: onnx.ModelProto, rng: Rng) -> None:
    """Weights that are said to lie elsewhere: outside the folder, nowhere, beyond the end."""
    tensor = _pick(rng, model.graph.initializer)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    del tensor.external_data[:]
    tensor.external_data.add(key="location", value=str(_pick(rng, OUTSIDE)))
    tensor.external_data.add(key="offset", value=str(_pick(rng, EXTREMES)))
    tensor.external_data.add(key="length", value=str(_pick(rng, EXTREMES)))


def _shape_of_input(model: onnx.ModelProto, rng: Rng) -> None:
    value = _pick(rng, [*model.graph.input, *model.graph.output])
    dims = value.type.tensor_type.shape.dim
    if dims:
        _pick(rng, dims).dim_value = int(_pick(rng, EXTREMES))


def _attribute(model: onnx.ModelProto, rng: Rng) -> None:
    owners = [node for node in model.graph.node if node.attribute]
    if not owners:
        return
    attribute = _pick(rng, _pick(rng, owners).attribute)
    extreme = int(_pick(rng, EXTREMES))
    if attribute.ints:
        attribute.ints[int(rng.integers(len(attribute.ints)))] = extreme
    elif attribute.type == onnx.AttributeProto.INT:
        attribute.i = extreme
    else:
        attribute.type = int(rng.integers(0, 15))


def _operator(model: onnx.ModelProto, rng: Rng) -> None:
    node = _pick(rng, model.graph.node)
    node.op_type = str(
        _pick(rng, ["Conv", "Gemm", "Loop", "If", "Scan", "NoSuchOp", "", "DeformConv", "Resize", "Tile"])
    )
    if rng.random() < 0.2:
        node.domain = str(_pick(rng, ["evil", "com.microsoft", "edgefas", "ai.onnx.ml"]))


def _wire(model: onnx.ModelProto, rng: Rng) -> None:
    """A node reads another tensor: itself, a later one, one of another rank, none."""
    graph = model.graph
    names = [name for node in graph.node for name in node.output] + [t.name for t in graph.initializer] + ["", "none"]
    node = _pick(rng, graph.node)
    if node.input:
        node.input[int(rng.integers(len(node.input)))] = str(_pick(rng, names))


def _nodes(model: onnx.ModelProto, rng: Rng) -> None:
    place = int(rng.integers(len(model.graph.node)))
    if rng.random() < 0.5:
        del model.graph.node[place]
    else:
        model.graph.node.add().CopyFrom(model.graph.node[place])


def _huge_constant(model: onnx.ModelProto, rng: Rng) -> None:
    """A tensor that the graph makes, too large for any machine."""
    side = int(_pick(rng, [10**5, 10**8, 2**40]))
    shape = onnx.numpy_helper.from_array(np.array([side, side]), "absurd")
    model.graph.initializer.append(shape)
    node = onnx.helper.make_node("ConstantOfShape", ["absurd"], ["absurd_tensor"])
    total = onnx.helper.make_node("ReduceMax", ["absurd_tensor"], ["absurd_most"], keepdims=0)
    last = model.graph.node[-1]
    result = last.output[0]
    last.output[0] = "before_absurd"
    add = onnx.helper.make_node("Add", ["before_absurd", "absurd_most"], [result])
    model.graph.node.insert(0, total)
    model.graph.node.insert(0, node)
    model.graph.node.append(add)


def _metadata(model: onnx.ModelProto, rng: Rng) -> None:
    entry = _pick(rng, model.metadata_props)
    try:
        entry.value = damage_json(entry.value, rng)[1].decode(errors="replace")
    except (ValueError, RecursionError):  # no JSON, or no longer
        entry.value = "\0"


def _version(model: onnx.ModelProto, rng: Rng) -> None:
    model.opset_import[0].version = int(_pick(rng, (0, 1, 7, 12, 18, 99, 2**40, -1)))
    model.ir_version = int(_pick(rng, (0, 3, 10, 99, -5)))


FIELDS: dict[str, Callable[[onnx.ModelProto, Rng], None]] = {
    "tensor shape": _shape_of_tensor,
    "tensor type": _type_of_tensor,
    "external data": _external,
    "input shape": _shape_of_input,
    "attribute": _attribute,
    "operator": _operator,
    "wiring": _wire,
    "nodes": _nodes,
    "huge constant": _huge_constant,
    "metadata": _metadata,
    "version": _version,
}
