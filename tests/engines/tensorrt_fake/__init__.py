"""A stand-in for TensorRT, pycuda and cuda-python that knows only what the real ones know.

`api/` holds the Python API of four releases as recorded from the real bindings (`record_api.py`); `module` makes a
module of it that refuses every other name, keyword, arity and type; `behaviour` lets it parse, build and run, with ONNX
Runtime for the numbers; `gpu` is the memory, the streams and the graphs below. What passes here calls TensorRT rightly;
it was not run on a GPU.
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest

from tests.engines.tensorrt_fake.gpu import Gpu, make_cuda_python, make_pycuda
from tests.engines.tensorrt_fake.module import make_tensorrt

RELEASES = ("10.3", "10.13", "10.16", "11.4")
BOARD = "NVIDIA Jetson Orin Nano Engineering Reference Developer Kit Super"

__all__ = ["BOARD", "RELEASES", "Gpu", "install", "make_tensorrt"]


def install(monkeypatch: pytest.MonkeyPatch, state: Path, release: str, *, graphs: bool = True) -> Gpu:
    """Makes this process a board with that TensorRT; gives the GPU to look into and to break."""
    gpu = Gpu()
    trt = make_tensorrt(release, gpu)
    pycuda, driver = make_pycuda(gpu)
    cuda, bindings, graph_driver = make_cuda_python(gpu)
    modules: dict[str, ModuleType | None] = {
        "tensorrt": trt,
        "pycuda": pycuda,
        "pycuda.driver": driver,
        "cuda": cuda if graphs else None,
        "cuda.bindings": bindings if graphs else None,
        "cuda.bindings.driver": graph_driver if graphs else None,
        "cuda.cuda": None,
    }
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setenv("EDGEFAS_STATE_DIR", str(state))
    monkeypatch.setattr("edgefas.engines.runtime.tensorrt_engine.board_name", lambda: gpu.board)
    monkeypatch.setattr("edgefas.engines.build.perf_counter", lambda: gpu.seconds)
    gpu.trt = trt
    gpu.board = BOARD
    return gpu
