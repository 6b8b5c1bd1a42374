"""Two forms of one network held against each other: scores, decisions, and the layer where they part."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
from onnx import NodeProto

from edgefas.calibration.compare import ScoreDifference, compare_scores
from edgefas.calibration.frames import batches
from edgefas.engines.lowering.graph import WEIGHTED_OPS
from edgefas.engines.lowering.reference import for_cpu, needs_reference
from edgefas.engines.runtime import Engine, EngineError
from edgefas.engines.runtime.onnxruntime_engine import MODEL_FILE
from edgefas.errors import UsageError, require

F32 = npt.NDArray[np.float32]
LAYERS = WEIGHTED_OPS | {"DeformConv"}


@dataclass(frozen=True)
class Point:
    """A tensor that both graphs have."""

    layer: str
    """Its operator and weight, or its name."""
    a: str
    b: str
    """Its name in either graph."""


@dataclass(frozen=True)
class LayerDifference:
    """||b - a|| / ||a|| of one tensor on the inputs compared."""

    layer: str
    difference: float


@dataclass(frozen=True)
class FirstDifference:
    """Where two graphs part."""

    matched: int
    """Tensors that could be compared."""
    runs: int
    before: LayerDifference | None
    """The tensor just before, within the tolerance; None if already the first one differs."""
    at: LayerDifference


def compare_engines(a: Engine, b: Engine, inputs: dict[str, F32], threshold: float) -> ScoreDifference:
    """Score the same inputs with both.

    Raises:
        UsageError: the networks take other inputs.
        EngineError: a score is NaN or infinite.
    """
    shapes = [{m.value: engine.spec.shape(m) for m in engine.spec.modalities} for engine in (a, b)]
    if shapes[0] != shapes[1]:
        raise UsageError(f"the networks take other inputs, {shapes[0]} and {shapes[1]}: nothing can be compared")
    scores = [np.concatenate([engine.score(batch) for batch in batches(inputs)]) for engine in (a, b)]
    for name, values in zip(("first", "second"), scores, strict=True):
        if not np.isfinite(values).all():
            raise EngineError(f"the {name} network gives NaN or infinity on input {np.argmin(np.isfinite(values))}")
    return compare_scores(scores[0], scores[1], threshold)


@contextmanager
def graph_file(path: Path) -> Iterator[Path | None]:
    """The ONNX file inside a model file, folder or bundle; a checkpoint is exported; None where there is none."""
    with tempfile.TemporaryDirectory(prefix="edgefas-") as scratch:
        if path.suffix == ".efas":
            from edgefas.deploy.bundle import open_bundle

            for name, content in open_bundle(path, allow_unsigned=True).members.items():
                if name.startswith("ort/"):
                    Path(scratch, name.removeprefix("ort/")).write_bytes(content)
            path = Path(scratch)
        elif path.suffix == ".safetensors":
            require("torch", "export")
            from edgefas.engines.export import export_onnx
            from edgefas.models import load_checkpoint

            model = load_checkpoint(path)
            path = Path(scratch, MODEL_FILE)
            export_onnx(model, model.input_spec, model.model_name, path)
        file = path / MODEL_FILE if path.is_dir() else path
        yield file if file.suffix == ".onnx" and file.is_file() else None


def matched_points(a: onnx.ModelProto, b: onnx.ModelProto) -> list[Point]:
    """Tensors of both graphs that mean the same, in the order of `a`; the score is the last.

    By name, where both files have kept the names of their nodes (what a lowering adds may have none). ONNX Runtime's
    files of `edgefas quantize` have not: there the n-th layer with weights is that of the other, if all agree in
    operator and weight shape.
    """
    graphs = [model.graph for model in (a, b)]
    if all(2 * sum(bool(node.name) for node in graph.node) > len(graph.node) for graph in graphs):
        made = [{out: node for node in graph.node for out in node.output if out} for graph in graphs]
        points = [Point(name, name, name) for name, node in made[0].items() if _same(node, made[1].get(name))]
    else:
        layers = [_layers(model) for model in (a, b)]
        if [layer[:2] for layer in layers[0]] != [layer[:2] for layer in layers[1]]:
            points = []
        else:
            points = [
                Point(f"{one.op_type} {one.input[1]}", one.output[0], other.output[0])
                for (_, _, one), (_, _, other) in zip(*layers, strict=True)
            ]
    return [point for point in points if point.a != "score"] + [Point("score", "score", "score")]


def _same(one: NodeProto, other: NodeProto | None) -> bool:
    return other is not None and one.op_type == other.op_type


def _layers(model: onnx.ModelProto) -> list[tuple[str, tuple[int, ...], NodeProto]]:
    """(operator, weight shape, node) of every layer whose weight is a constant, dequantised or not."""
    shapes = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "DequantizeLinear" and node.input[0] in shapes:
            shapes[node.output[0]] = shapes[node.input[0]]
    return [
        (n.op_type, shapes[n.input[1]], n) for n in model.graph.node if n.op_type in LAYERS and n.input[1] in shapes
    ]


def first_difference(a: Path, b: Path, inputs: dict[str, F32], tolerance: float) -> FirstDifference | None:
    """The first matched tensor that differs by more than `tolerance`, found by bisection; None if the score does not.

    What differs is taken to differ from there on to the score, so a few runs of both graphs find it. Where a
    difference fades and comes back, this is one of the places where it begins, and the tensor before it is within
    the tolerance all the same. Both graphs run as written, without fusions; copies for TensorRT as `for_cpu` has them.

    Raises:
        EngineError: a graph does not run with the tensor as an output.
    """
    written = (onnx.load(a), onnx.load(b))
    points = matched_points(*written)
    models = tuple(for_cpu(model) if needs_reference(model) else model for model in written)
    first = next(iter(batches(inputs)))
    runs = 0

    def difference(place: int) -> float:
        nonlocal runs
        runs += 1
        x, y = (_tensor(m, name, first) for m, name in zip(models, (points[place].a, points[place].b), strict=True))
        return relative_difference(x, y)

    return bisect(points, difference, tolerance, lambda: runs)


def bisect(
    points: list[Point], difference: Callable[[int], float], tolerance: float, runs: Callable[[], int]
) -> FirstDifference | None:
    """See `first_difference`; `difference` is asked for the last point first."""
    high = len(points) - 1
    at = difference(high)
    if at <= tolerance:
        return None
    low, before = -1, None
    while high - low > 1:
        middle = (low + high) // 2
        found = difference(middle)
        if found > tolerance:
            high, at = middle, found
        else:
            low, before = middle, found
    earlier = None if before is None else LayerDifference(points[low].layer, before)
    return FirstDifference(len(points), runs(), earlier, LayerDifference(points[high].layer, at))


def relative_difference(a: F32, b: F32) -> float:
    """||b - a|| / ||a||; infinity for other shapes or NaN."""
    if a.shape != b.shape or not (np.isfinite(a).all() and np.isfinite(b).all()):
        return np.inf
    size, gap = (float(np.linalg.norm(x.astype(np.float64))) for x in (a, b.astype(np.float64) - a))
    return 0.0 if gap == 0 else gap / size if size > 0 else np.inf


def _tensor(model: onnx.ModelProto, name: str, inputs: dict[str, F32]) -> F32:
    """One inner tensor of a graph run as written."""
    ort = require("onnxruntime", "cpu")
    opened = onnx.ModelProto()
    opened.CopyFrom(model)
    del opened.graph.output[:]
    opened.graph.output.append(onnx.ValueInfoProto(name=name))
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    options.add_session_config_entry("session.x64quantprecision", "1")
    try:
        session = ort.InferenceSession(opened.SerializeToString(), options, providers=["CPUExecutionProvider"])
        values: F32 = session.run([name], dict(inputs))[0]
    except Exception as error:  # onnxruntime has no common base for its exceptions
        raise EngineError(f"tensor {name!r} cannot be read out: {str(error).splitlines()[0][:300]}") from error
    return values
