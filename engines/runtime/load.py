"""One way to load a network, whatever file it is in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from edgefas.engines.runtime.engine import Engine, EngineError


def load_engine(path: str | Path, backend: str = "auto", *, threads: int = 0, reference: bool = False) -> Engine:
    """Load a network file.

    Args:
        path: an `.onnx` file, a folder written by `edgefas quantize`, or a `.safetensors` checkpoint.
        backend: "onnxruntime", "torch", or "auto": the one for the kind of file.
        threads: of one run; 0 leaves it to the backend.
        reference: run the graph as written, without the backend's fusions (slow; what accuracy is quoted from).

    Raises:
        EngineError: no such file, not a network, no InputSpec inside, or no such backend.
        MissingExtra: the backend is not installed.
    """
    path = Path(path)
    if not path.exists():
        raise EngineError(f"no such model: {path}; make one with: edgefas export CHECKPOINT -o {path.name}")
    name = _backend_for(path) if backend == "auto" else backend
    if name not in BACKENDS:
        raise EngineError(f"no backend {name!r}; allowed: auto, {', '.join(BACKENDS)}")
    return BACKENDS[name](path, threads, reference)


def _backend_for(path: Path) -> str:
    if path.is_dir() or path.suffix == ".onnx":
        return "onnxruntime"
    if path.suffix == ".safetensors":
        return "torch"
    raise EngineError(
        f"{path} is not a network edgefas knows: give an .onnx file, a folder written by `edgefas quantize`, "
        "or a .safetensors checkpoint"
    )


def _onnxruntime(path: Path, threads: int, reference: bool) -> Engine:
    from edgefas.engines.runtime.onnxruntime_engine import load_onnxruntime

    return load_onnxruntime(path, threads, reference)


def _torch(path: Path, threads: int, reference: bool) -> Engine:
    from edgefas.engines.runtime.torch_engine import load_torch

    return load_torch(path, threads)


BACKENDS: dict[str, Callable[[Path, int, bool], Engine]] = {"onnxruntime": _onnxruntime, "torch": _torch}
