"""What `edgefas benchmark` can time: registered networks (untrained), checkpoints, ONNX files, folders, bundles."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np

from edgefas.benchmarks.latency import Subject
from edgefas.contracts import InputSpec
from edgefas.engines.runtime import Engine, load_engine
from edgefas.engines.runtime.onnxruntime_engine import MODEL_FILE
from edgefas.errors import UsageError, require

SEED = 0


def open_subject(name: str, threads: int) -> Subject:
    """A file or folder if there is one of that name, else a registered network with random weights.

    Raises:
        UsageError: neither.
        EngineError, BundleError, CheckpointError: the file cannot be used.
    """
    path = Path(name)
    if path.suffix == ".efas" and path.is_file():
        from edgefas.deploy.bundle import open_bundle

        return _timed(name, open_bundle(path, allow_unsigned=True).engine(threads), None, None)
    if path.suffix == ".safetensors" or not path.exists():
        return _torch_subject(name, threads)
    return _timed(name, load_engine(path, threads=threads), *_onnx_size(path))


def _torch_subject(name: str, threads: int) -> Subject:
    path = Path(name)
    if path.suffix and not path.exists():
        raise UsageError(f"no such file: {name}; make it, or give a network of `edgefas models`")
    torch = require("torch", "train")
    from edgefas.engines.runtime.torch_engine import TorchEngine
    from edgefas.models import count, create_model, load_checkpoint

    if threads:
        torch.set_num_threads(threads)
    torch.manual_seed(SEED)
    model = load_checkpoint(path) if path.exists() else create_model(name)
    size = count(model, model.input_spec)
    return _timed(name, TorchEngine(model), size.params, size.macs)


def _onnx_size(path: Path) -> tuple[int | None, int | None]:
    """(params, MACs), or None for both where the onnx package is not installed (a board)."""
    if find_spec("onnx") is None:
        return None, None
    from edgefas.benchmarks.onnx_size import count_onnx

    return count_onnx(path / MODEL_FILE if path.is_dir() else path)


def _timed(name: str, engine: Engine, params: int | None, macs: int | None) -> Subject:
    inputs = random_inputs(engine.spec)
    return Subject(name, engine.backend, lambda: engine.score(inputs), params, macs)


def random_inputs(spec: InputSpec) -> dict[str, np.ndarray[tuple[int, ...], np.dtype[np.float32]]]:
    """One face of normal noise, the same for every subject."""
    rng = np.random.default_rng(SEED)
    return {m.value: rng.standard_normal((1, *spec.shape(m)), np.float32) for m in spec.modalities}
