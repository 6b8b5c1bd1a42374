"""One way to load a network, whatever file it is in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from edgefas.engines.runtime.engine import Engine, EngineError


def load_engine(path: str | Path, backend: str = "auto", *, threads: int = 0, reference: bool = False) -> Engine:
    """Load a network file.

    Args:
        path: an `.onnx` file, a folder written by `edgefas quantize`, a folder of engines by `edgefas build`, or a
            `.safetensors` checkpoint.
        backend: "onnxruntime", "tensorrt", "torch", or "auto": TensorRT where `edgefas build` left a verified engine
            of this file for this very board, else the one for the kind of file.
        threads: of one run; 0 leaves it to the backend.
        reference: run the graph as written, without the backend's fusions (slow; what accuracy is quoted from).

    Raises:
        EngineError: no such file, not a network, no InputSpec inside, no such backend, or a plan that was changed.
        MissingExtra: the backend is not installed.
    """
    path = Path(path)
    if not path.exists():
        raise EngineError(f"no such model: {path}; make one with: edgefas export CHECKPOINT -o {path.name}")
    if backend == "auto" and not reference:
        built = _built_here(path)
        if built is not None:
            return built
    name = _backend_for(path) if backend == "auto" else backend
    if name not in BACKENDS:
        raise EngineError(f"no backend {name!r}; allowed: auto, {', '.join(BACKENDS)}")
    return BACKENDS[name](path, threads, reference)


def _built_here(path: Path) -> Engine | None:
    """The TensorRT engine of this file and board, if there is one; without one TensorRT is not even looked for."""
    from edgefas.engines.runtime.plan import CURRENT, engines_folder

    if path.suffix == ".safetensors" or not (engines_folder(path) / CURRENT).is_file():
        return None
    from edgefas.engines.runtime.tensorrt_engine import load_tensorrt_if_built, lowered_hashes

    return load_tensorrt_if_built(engines_folder(path), lowered_hashes(path))


def _backend_for(path: Path) -> str:
    if path.is_dir() and path.suffix == ".engines":
        return "tensorrt"
    if (path / "best.safetensors").is_file():
        raise EngineError(f"{path} is a run of `edgefas train`; give its checkpoint: {path / 'best.safetensors'}")
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


def _tensorrt(path: Path, threads: int, reference: bool) -> Engine:
    from edgefas.engines.runtime.tensorrt_engine import load_tensorrt

    return load_tensorrt(path)


def _torch(path: Path, threads: int, reference: bool) -> Engine:
    from edgefas.engines.runtime.torch_engine import load_torch

    return load_torch(path, threads)


BACKENDS: dict[str, Callable[[Path, int, bool], Engine]] = {
    "onnxruntime": _onnxruntime,
    "tensorrt": _tensorrt,
    "torch": _torch,
}
