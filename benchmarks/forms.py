"""The forms one network can run in: eager, float and INT8 files, OpenVINO, TensorRT; opened by any process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from edgefas.benchmarks.latency import Subject
from edgefas.benchmarks.subjects import SEED, open_subject, random_inputs
from edgefas.contracts import InputSpec
from edgefas.engines.runtime import load_engine
from edgefas.errors import UsageError, require

SYMMETRIC, ASYMMETRIC = "int8", "int8 asymmetric"
RANDOM_FRAMES = 16
"""Frames of noise for the ranges, where no calibration set is given: an INT8 kernel's speed does not depend on them."""
Report = Callable[[str], None]


@dataclass(frozen=True)
class Form:
    """One way to run one network; `file` is a path, or a registered name for eager untrained networks."""

    model: str
    backend: str
    precision: str
    file: str
    bytes: int | None = None
    """Of the file or files an engine needs; None for an untrained eager network."""


def make_forms(name: str, work: Path, calibration: Path | None, report: Report) -> list[Form]:
    """Write every form of a network that this machine can run into `work`.

    Args:
        name: a registered network (untrained), a checkpoint, or a float .onnx; anything else is taken as it is.
        work: an existing folder.
        calibration: the set for INT8 ranges; None takes noise.
        report: told what is being made.

    Raises:
        UsageError: no such network or file.
    """
    path = Path(name)
    if path.exists() and path.suffix not in (".safetensors", ".onnx"):
        return [Form(path.stem, "auto", "as it is", str(path), _size(path))]
    if path.suffix and not path.exists():
        raise UsageError(f"no such file: {name}; make it, or give a network of `edgefas models`")
    label = path.stem if path.exists() else name
    forms = []
    source = path
    if path.suffix != ".onnx":
        report(f"exporting {label}")
        source = work / f"{label}.onnx"
        spec = _export(name, source)
        forms.append(Form(label, "torch", "fp32", name, _size(path) if path.exists() else None))
    else:
        spec = load_engine(path, "onnxruntime").spec
    forms.append(Form(label, "onnxruntime", "fp32", str(source), _size(source)))
    if _is_quantised(source):
        return forms
    frames = calibration or _noise(spec, work / f"{label}.npz")
    for precision in (SYMMETRIC, ASYMMETRIC):
        report(f"quantising {label}: {precision}")
        folder = _quantised(source, frames, work / f"{label}-{precision.replace(' ', '-')}", precision)
        forms.append(Form(label, "onnxruntime", precision, str(folder), _size(folder)))
    if find_spec("openvino") is not None:
        report(f"rewriting {label} for OpenVINO")
        forms += [
            Form(label, "openvino", precision, str(file), _size(file))
            for precision, file in _for_openvino(source, work / f"{label}-int8", work)
        ]
    forms += _tensorrt(label, path)
    return forms


def open_form(form: Form, threads: int) -> Subject:
    """Ready to be timed, with one face of noise.

    Raises:
        EngineError, MissingExtra: the backend cannot load it.
    """
    if form.backend in ("torch", "auto"):
        return open_subject(form.file, threads)
    if form.backend == "openvino":
        return Subject(form.model, form.backend, _openvino_call(Path(form.file), threads), None, None)
    engine = load_engine(form.file, form.backend, threads=threads)
    return Subject(form.model, form.backend, partial(engine.score, random_inputs(engine.spec)), None, None)


def _export(name: str, path: Path) -> InputSpec:
    torch = require("torch", "export")
    from edgefas.engines.export import export_onnx
    from edgefas.models import create_model, load_checkpoint

    torch.manual_seed(SEED)
    model = load_checkpoint(Path(name)) if Path(name).exists() else _settled(create_model(name))
    spec: InputSpec = model.input_spec
    export_onnx(model, spec, model.model_name, path)
    return spec


def _settled(model: Any) -> Any:
    """Untrained, with the statistics of noise in its batch norms: without them activations grow to 10^6."""
    import torch

    norms = [module for module in model.modules() if isinstance(module, torch.nn.modules.batchnorm._BatchNorm)]
    for norm in norms:
        norm.momentum = None  # the mean of what is seen
    frames = {m.value: torch.randn(RANDOM_FRAMES, *model.input_spec.shape(m)) for m in model.input_spec.modalities}
    with torch.no_grad():
        model.train()(**frames)
    return model.eval()


def _noise(spec: InputSpec, path: Path) -> Path:
    rng = np.random.default_rng(SEED)
    frames = {m.value: rng.standard_normal((RANDOM_FRAMES, *spec.shape(m)), np.float32) for m in spec.modalities}
    np.savez(path, allow_pickle=False, **frames)
    return path


def _quantised(source: Path, frames: Path, folder: Path, precision: str) -> Path:
    from edgefas.engines.quantize import quantize

    quantize(source, frames, None, folder, (), (), asymmetric=precision == ASYMMETRIC)
    return folder


def _is_quantised(source: Path) -> bool:
    import onnx

    graph = onnx.load(source, load_external_data=False).graph
    return any(node.op_type == "QuantizeLinear" for node in graph.node)


def _for_openvino(source: Path, quantised: Path, work: Path) -> list[tuple[str, Path]]:
    """OpenVINO has neither DeformConv nor our nodes: TensorRT's stock copies, with DeformConv as GridSample."""
    import onnx

    from edgefas.calibration.recipe import load_recipe
    from edgefas.calibration.scale_table import ScaleTable
    from edgefas.engines.lowering.grid_sample import deform_conv_to_grid_sample
    from edgefas.engines.lowering.tensorrt import lower_tensorrt
    from edgefas.engines.quantize import SCALES_FILE
    from edgefas.engines.runtime.metadata import MODEL_NAME_KEY

    model = onnx.load(source)
    name = next(entry.value for entry in model.metadata_props if entry.key == MODEL_NAME_KEY)
    scales = ScaleTable.from_json((quantised / SCALES_FILE).read_bytes())
    made = []
    for precision in ("fp32", "int8"):
        lowered = lower_tensorrt(model, precision, "stock", scales, load_recipe(name))
        file = work / f"{source.stem}-openvino-{precision}.onnx"
        file.write_bytes(deform_conv_to_grid_sample(lowered).SerializeToString())
        made.append((precision, file))
    return made


def _openvino_call(file: Path, threads: int) -> Callable[[], object]:
    openvino = require("openvino", "cpu")
    core = openvino.Core()
    options = {"INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1, "PERFORMANCE_HINT": "LATENCY"}
    # CPUs with bfloat16 would otherwise compute float layers in it: another precision than the row says
    options["INFERENCE_PRECISION_HINT"] = "f32"
    model = core.read_model(str(file))
    rng = np.random.default_rng(SEED)
    shapes = {port.any_name: [1, *(int(d.get_length()) for d in list(port.partial_shape)[1:])] for port in model.inputs}
    model.reshape(shapes)
    request = core.compile_model(model, "CPU", options).create_infer_request()
    inputs = {name: rng.standard_normal(shape, np.float32) for name, shape in shapes.items()}
    return lambda: request.infer(inputs)


def _tensorrt(label: str, path: Path) -> list[Form]:
    """The engine that `edgefas build` left for this very board, if there is one."""
    from edgefas.engines.runtime.plan import CURRENT, engines_folder

    if not path.exists() or find_spec("tensorrt") is None or not (engines_folder(path) / CURRENT).is_file():
        return []
    folder = engines_folder(path)
    return [Form(label, "tensorrt", "as built", str(folder), _size(folder))]


def _size(path: Path) -> int:
    return sum(p.stat().st_size for p in path.rglob("*") if p.is_file()) if path.is_dir() else path.stat().st_size
