"""Looks into an ONNX file without the onnx package (a board has none), before a native parser sees the bytes.

Only what decides whether the file is taken is read: metadata, operators, inputs and outputs, and how large each tensor
claims to be and where its data lies.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, field
from pathlib import Path

from edgefas.contracts import InputSpec
from edgefas.engines.precision import Precision
from edgefas.engines.runtime.engine import EngineError
from edgefas.engines.runtime.metadata import input_spec_from
from edgefas.engines.runtime.protobuf import as_int, as_message, as_pair, as_text, fields, signed, varints

MAX_FILE_BYTES = 512 * 2**20
MAX_TENSOR_BYTES = 512 * 2**20
"""Of all tensors together: DAH-FAS has 0.12 GB of float32 weights."""
MAX_NODES = 100_000
MAX_DEPTH = 8
"""Of graphs within graphs."""
FLOAT, FLOAT16 = 1, 10
ELEMENT_BYTES = {1: 4, 2: 1, 3: 1, 4: 2, 5: 2, 6: 4, 7: 8, 9: 1, 10: 2, 11: 8, 12: 4, 13: 8, 14: 8, 15: 16, 16: 2}
"""Bytes of one element by TensorProto.DataType; 8 bits and fewer count as one."""
OWN_DOMAIN = "edgefas"
OWN_NODES = frozenset({"EdgefasBTE", "EdgefasDCNv2"})

Shape = tuple["int | None", ...]


@dataclass(frozen=True)
class Tensor:
    """A stored constant."""

    name: str
    data_type: int
    dims: tuple[int, ...]
    external: dict[str, str] | None
    """location, offset, length; None if the data lies in the file."""

    @property
    def bytes(self) -> int:
        """What it claims to take."""
        return math.prod(self.dims) * ELEMENT_BYTES.get(self.data_type, 1)


@dataclass
class OnnxFile:
    """What the file says about itself."""

    path: Path
    data: bytes
    metadata: dict[str, str] = field(default_factory=dict)
    ops: set[tuple[str, str]] = field(default_factory=set)
    """(domain, operator), subgraphs included; the standard domain is ""."""
    cast_types: set[int] = field(default_factory=set)
    inputs: dict[str, tuple[int, Shape]] = field(default_factory=dict)
    """Name -> (element type, shape; None where free), without those that are constants."""
    outputs: dict[str, tuple[int, Shape]] = field(default_factory=dict)
    tensors: list[Tensor] = field(default_factory=list)
    nodes: int = 0

    @property
    def own_ops(self) -> frozenset[str]:
        """Operators that need the plugin library."""
        return frozenset(op for domain, op in self.ops if domain == OWN_DOMAIN)

    @property
    def precision(self) -> Precision:
        """fp32, fp16, int8 or int8+fp16: what a strongly typed engine of this graph computes in."""
        int8 = any(op == "QuantizeLinear" for _, op in self.ops)
        half = FLOAT16 in self.cast_types or any(tensor.data_type == FLOAT16 for tensor in self.tensors)
        if int8:
            return "int8+fp16" if half else "int8"
        return "fp16" if half else "fp32"

    def sha256(self) -> str:
        """Of the file and, in the order of their names, of the files its tensors lie in."""
        digest = hashlib.sha256(self.data)
        for location in sorted({tensor.external["location"] for tensor in self.tensors if tensor.external}):
            digest.update(b"\0" + location.encode() + b"\0" + (self.path.parent / location).read_bytes())
        return digest.hexdigest()


def read_onnx_file(path: Path) -> OnnxFile:
    """Read and bound a file; `check_network` says whether it is one of edgefas.

    Raises:
        EngineError: not readable, not ONNX, or larger than a face network can be.
    """
    try:
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            raise EngineError(f"{path} has {size} bytes, at most {MAX_FILE_BYTES} are allowed")
        file = OnnxFile(path, path.read_bytes())
    except OSError as error:
        raise EngineError(f"cannot read {path}: {error.strerror}") from None
    try:
        _read_model(file)
    except (ValueError, IndexError, RecursionError) as error:  # UnicodeDecodeError is a ValueError
        raise EngineError(f"{path} is not ONNX or is damaged ({error}); write it again with: edgefas export") from None
    return file


def check_network(file: OnnxFile) -> InputSpec:
    """The InputSpec of a network that may go to a native parser.

    Raises:
        EngineError: not of edgefas, an unknown operator domain, tensors too large or outside the folder, inputs that
            are not those of the InputSpec, no `score`.
    """
    spec = input_spec_from(file.path, file.metadata)
    strange = sorted(f"{domain}::{op}" for domain, op in file.ops if domain not in ("", "ai.onnx", OWN_DOMAIN))
    strange += sorted(f"{OWN_DOMAIN}::{op}" for op in file.own_ops - OWN_NODES)
    if strange:
        raise EngineError(
            f"{file.path} has unknown operators: {', '.join(strange[:5])}; allowed: ONNX's own and "
            f"{', '.join(f'{OWN_DOMAIN}::{op}' for op in sorted(OWN_NODES))}; make it with: edgefas quantize"
        )
    _check_tensors(file)
    wanted = {m.value: (FLOAT, spec.shape(m)) for m in spec.modalities}
    found = {name: (kind, shape[1:]) for name, (kind, shape) in file.inputs.items()}
    if found != wanted:
        raise EngineError(
            f"{file.path} takes {found}, its InputSpec says {wanted} (element type, shape without batch); "
            "make it again with: edgefas quantize"
        )
    if file.outputs.get("score", (0, ()))[0] != FLOAT:
        raise EngineError(f"{file.path} has no float32 output 'score'; make it again with: edgefas quantize")
    return spec


def _check_tensors(file: OnnxFile) -> None:
    total = 0
    for tensor in file.tensors:
        if min(tensor.dims, default=0) < 0:
            raise EngineError(f"{file.path}: tensor {tensor.name!r} has a negative side: {tensor.dims}")
        total += tensor.bytes
        if total > MAX_TENSOR_BYTES:
            raise EngineError(
                f"{file.path}: its tensors up to {tensor.name!r} {tensor.dims} claim {total} bytes, "
                f"at most {MAX_TENSOR_BYTES} are allowed"
            )
        if tensor.external is not None:
            _check_external(file.path, tensor, tensor.external)


def _check_external(path: Path, tensor: Tensor, external: dict[str, str]) -> None:
    """The data must be a file directly beside the model, and all there."""
    location = external.get("location", "")
    plain = 0 < len(location.encode(errors="replace")) <= 255 and Path(location).name == location
    if not plain or (path.parent / location).is_symlink():
        raise EngineError(
            f"{path}: tensor {tensor.name!r} lies in {location!r:.120}; only a file beside the model is allowed, "
            "no path and no link"
        )
    try:
        offset, size = int(external.get("offset", "0")), (path.parent / location).stat().st_size
        length = int(external.get("length", str(tensor.bytes)))
    except OSError as error:
        raise EngineError(f"{path}: {location} beside it cannot be read: {error.strerror}") from None
    except ValueError:
        raise EngineError(f"{path}: tensor {tensor.name!r} has no sane place in {location}: {external}") from None
    if offset < 0 or length < tensor.bytes or offset + length > size:
        raise EngineError(f"{path}: tensor {tensor.name!r} reaches outside {location} ({size} bytes): {external}")


def _read_model(file: OnnxFile) -> None:
    graphs = 0
    for number, value in fields(memoryview(file.data)):
        if number == 7:
            graphs += 1
            _read_graph(file, as_message(value), 0)
        elif number == 14:
            key, text = as_pair(value)
            file.metadata[key] = text
        elif number == 25:  # a local function: its nodes are operators of the file, too
            for inner, node in fields(as_message(value)):
                if inner == 7:
                    _read_node(file, as_message(node), 0)
    if graphs != 1:
        raise ValueError(f"{graphs} graphs")


def _read_graph(file: OnnxFile, data: memoryview, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise ValueError(f"graphs nested more than {MAX_DEPTH} deep")
    inputs: dict[str, tuple[int, Shape]] = {}
    constants = set()
    for number, value in fields(data):
        if number == 1:
            _read_node(file, as_message(value), depth)
        elif number == 5:
            tensor = _tensor(as_message(value))
            file.tensors.append(tensor)
            constants.add(tensor.name)
        elif number == 15:
            raise ValueError("sparse constants are not allowed")
        elif number in (11, 12) and depth == 0:
            name, kind = _value_info(as_message(value))
            (inputs if number == 11 else file.outputs)[name] = kind
    if depth == 0:
        file.inputs = {name: kind for name, kind in inputs.items() if name not in constants}


def _read_node(file: OnnxFile, data: memoryview, depth: int) -> None:
    file.nodes += 1
    if file.nodes > MAX_NODES:
        raise ValueError(f"more than {MAX_NODES} nodes")
    op = domain = ""
    attributes = []
    for number, value in fields(data):
        if number == 4:
            op = as_text(value)
        elif number == 7:
            domain = as_text(value)
        elif number == 5:
            attributes.append(as_message(value))
    file.ops.add((domain, op))
    for attribute in attributes:
        name = ""
        for number, value in fields(attribute):
            if number == 1:
                name = as_text(value)
            elif number == 3 and op == "Cast" and name == "to":
                file.cast_types.add(as_int(value))
            elif number in (5, 10):
                file.tensors.append(_tensor(as_message(value)))
            elif number in (6, 11):
                _read_graph(file, as_message(value), depth + 1)


def _tensor(data: memoryview) -> Tensor:
    name, data_type, dims = "", 0, list[int]()
    external: dict[str, str] = {}
    outside = False
    for number, value in fields(data):
        if number == 1:  # packed or one by one
            dims += [signed(value)] if isinstance(value, int) else [signed(v) for v in varints(value)]
        elif number == 2:
            data_type = as_int(value)
        elif number == 8:
            name = as_text(value)
        elif number == 13:
            key, text = as_pair(value)
            external[key] = text
        elif number == 14:
            outside = as_int(value) == 1
    return Tensor(name, data_type, tuple(dims), external if outside or external else None)


def _value_info(data: memoryview) -> tuple[str, tuple[int, Shape]]:
    name, element, dims = "", 0, list["int | None"]()
    for number, value in fields(data):
        if number == 1:
            name = as_text(value)
        elif number == 2:
            for kind, tensor in fields(as_message(value)):
                for part, content in fields(as_message(tensor)) if kind == 1 else ():
                    if part == 1:
                        element = as_int(content)
                    elif part == 2:
                        dims += [_dim(as_message(dim)) for key, dim in fields(as_message(content)) if key == 1]
    return name, (element, tuple(dims))


def _dim(data: memoryview) -> int | None:
    return next((signed(as_int(value)) for number, value in fields(data) if number == 1), None)
