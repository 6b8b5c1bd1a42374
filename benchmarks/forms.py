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
from edgefas.benchmarks.openvino_form import openvino_call, openvino_files
from edgefas.benchmarks.subjects import SEED, open_subject, random_inputs
from edgefas.calibration.scale_table import ScaleTable
from edgefas.contracts import InputSpec
from edgefas.engines.runtime import load_engine
from edgefas.engines.runtime.onnxruntime_engine import MODEL_FILE, WEIGHTS_FILE
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
    if (path / MODEL_FILE).is_file():  # of `edgefas quantize`: an engine built of it is a form of its own
        return [Form(path.name, "onnxruntime", "as it is", str(path), _size(path)), *_tensorrt(path.name, path)]
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
        spec = export_source(name, source)
        forms.append(Form(label, "torch", "fp32", name, _size(path) if path.exists() else None))
    else:
        spec = load_engine(path, "onnxruntime").spec
    forms.append(Form(label, "onnxruntime", "fp32", str(source), _size(source)))
    if _is_quantised(source):
        return forms
    frames = calibration or noise_set(spec, work / f"{label}.npz")
    for precision in (SYMMETRIC, ASYMMETRIC):
        report(f"quantising {label}: {precision}")
        folder = _quantised(source, frames, work / f"{label}-{precision.replace(' ', '-')}", precision)
        forms.append(Form(label, "onnxruntime", precision, str(folder), _size(folder)))
    if find_spec("openvino") is not None:
        report(f"rewriting {label} for OpenVINO")
        from edgefas.engines.quantize import SCALES_FILE

        scales = ScaleTable.from_json((work / f"{label}-int8" / SCALES_FILE).read_bytes())
        forms += [
            Form(label, "openvino", precision, str(file), _size(file))
            for precision, file in openvino_files(source, scales, work)
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
        return Subject(form.model, form.backend, openvino_call(Path(form.file), threads), None, None)
    engine = load_engine(form.file, form.backend, threads=threads)
    return Subject(form.model, form.backend, partial(engine.score, random_inputs(engine.spec)), None, None)


def export_source(name: str, path: Path) -> InputSpec:
    """The float ONNX of a checkpoint or of an untrained network."""
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


def noise_set(spec: InputSpec, path: Path) -> Path:
    """A calibration set of noise."""
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


def _tensorrt(label: str, path: Path) -> list[Form]:
    """The engine that `edgefas build` left for this very board, if there is one."""
    from edgefas.engines.runtime.plan import CURRENT, engines_folder

    if not path.exists() or find_spec("tensorrt") is None or not (engines_folder(path) / CURRENT).is_file():
        return []
    folder = engines_folder(path)
    return [Form(label, "tensorrt", "as built", str(folder), _size(folder))]


def _size(path: Path) -> int:
    """Of the files an engine needs: a folder of `edgefas quantize` holds copies for other machines, too."""
    if (path / MODEL_FILE).is_file():
        return sum(file.stat().st_size for file in (path / MODEL_FILE, path / WEIGHTS_FILE) if file.is_file())
    return sum(p.stat().st_size for p in path.rglob("*") if p.is_file()) if path.is_dir() else path.stat().st_size
