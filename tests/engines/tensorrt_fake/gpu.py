"""Memory, streams and contexts, with pycuda's and cuda-python's faces. Work on a stream is done when it is waited for.

pycuda's signatures are those of its documentation and source (2026.1), cuda-python's those of cuda-bindings 13.0.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from enum import Enum
from types import ModuleType
from typing import Any

import numpy as np

from tests.engines.tensorrt_fake.own_nodes import Bug

Work = Callable[[], None]


class Gpu:
    """One device; what tests look into and break is public."""

    def __init__(self) -> None:
        self.memory: dict[int, bytearray] = {}
        self.streams: weakref.WeakValueDictionary[int, Any] = weakref.WeakValueDictionary()
        self.contexts: weakref.WeakSet[Any] = weakref.WeakSet()
        self.graphs: dict[int, list[Work]] = {}
        self.launches = 0
        self.next_address = 1 << 20
        self.stacks = threading.local()
        self.compute_capability = (8, 7)
        self.board = ""
        self.trt: Any = None
        self.seconds = 0.0
        self.run_ms: dict[str, float] = {}
        """sha256 of an ONNX file -> what a run of its plan takes; 50 ms otherwise."""
        self.score_offset: dict[str, float] = {}
        """sha256 of an ONNX file -> what its plan's scores are off by."""
        self.plugin_bug: Bug | None = None
        """What the own plugin does wrong in plans deserialised from now on."""
        self.refuse_build = False
        self.refuse_capture = False
        self.builds = 0

    @property
    def stack(self) -> list[Any]:
        """Contexts pushed in this thread."""
        if not hasattr(self.stacks, "pushed"):
            self.stacks.pushed = []
        pushed: list[Any] = self.stacks.pushed
        return pushed

    def need_context(self) -> None:
        assert self.stack, "no context is current in this thread"

    def allocate(self, size: int) -> int:
        self.need_context()
        address = self.next_address
        self.next_address += (size + 511) // 512 * 512
        self.memory[address] = bytearray(size)
        return address

    def put(self, stream: int, work: Work) -> None:
        """Into stream order: run at the next wait, or kept by the capture that is going on."""
        self.need_context()
        self.streams[stream].put(work)


class PageLocked(np.ndarray):
    """Host memory that the device may read while the program goes on."""


def make_pycuda(gpu: Gpu) -> tuple[ModuleType, ModuleType]:
    driver = ModuleType("pycuda.driver")

    class Error(Exception):
        pass

    class Context:
        def __init__(self) -> None:
            gpu.contexts.add(self)

        def push(self) -> None:
            gpu.stack.append(self)

        @staticmethod
        def pop() -> None:
            gpu.need_context()
            gpu.stack.pop()

    class Device:
        def __init__(self, ordinal: int) -> None:
            assert ordinal == 0

        def name(self) -> str:
            return "Orin"

        def compute_capability(self) -> tuple[int, int]:
            return gpu.compute_capability

        def retain_primary_context(self) -> Context:
            return Context()

    class Stream:
        def __init__(self, flags: int = 0) -> None:
            gpu.need_context()
            self._handle = gpu.next_address = gpu.next_address + 1
            self._queue: list[Work] = []
            self.capture: list[Work] | None = None
            gpu.streams[self._handle] = self

        @property
        def handle(self) -> int:
            return self._handle

        def put(self, work: Work) -> None:
            (self._queue if self.capture is None else self.capture).append(work)

        def synchronize(self) -> None:
            gpu.need_context()
            assert self.capture is None, "waiting breaks a capture"
            while self._queue:
                self._queue.pop(0)()

    class DeviceAllocation:
        def __init__(self, size: int) -> None:
            self._address = gpu.allocate(size)

        def __int__(self) -> int:
            return self._address

        def free(self) -> None:
            gpu.need_context()
            del gpu.memory[self._address]

    def pagelocked_empty(shape: Any, dtype: Any, order: str = "C", mem_flags: int = 0) -> PageLocked:
        gpu.need_context()
        return np.full(shape, np.nan, dtype, order).view(PageLocked)

    def memcpy_htod_async(dest: Any, src: Any, stream: Any = None) -> None:
        assert isinstance(src, PageLocked)
        assert src.flags.c_contiguous
        assert src.nbytes <= len(gpu.memory[int(dest)])
        gpu.put(stream.handle, lambda: gpu.memory[int(dest)].__setitem__(slice(0, src.nbytes), src.tobytes()))

    def memcpy_dtoh_async(dest: Any, src: Any, stream: Any = None) -> None:
        assert isinstance(dest, PageLocked)
        assert dest.flags.c_contiguous
        address, size = int(src), dest.nbytes

        def copy() -> None:
            dest[...] = np.frombuffer(bytes(gpu.memory[address][:size]), dest.dtype).reshape(dest.shape)

        gpu.put(stream.handle, copy)

    driver.init = lambda flags=0: None  # type: ignore[attr-defined]
    for thing in (Error, Device, Stream, Context, pagelocked_empty, memcpy_htod_async, memcpy_dtoh_async):
        setattr(driver, thing.__name__, thing)
    driver.mem_alloc = DeviceAllocation  # type: ignore[attr-defined]
    pycuda = ModuleType("pycuda")
    pycuda.driver = driver  # type: ignore[attr-defined]
    return pycuda, driver


def make_cuda_python(gpu: Gpu) -> tuple[ModuleType, ModuleType, ModuleType]:
    driver = ModuleType("cuda.bindings.driver")

    class CUresult(Enum):
        CUDA_SUCCESS = 0
        CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED = 900

    class CUstreamCaptureMode(Enum):
        CU_STREAM_CAPTURE_MODE_GLOBAL = 0
        CU_STREAM_CAPTURE_MODE_THREAD_LOCAL = 1
        CU_STREAM_CAPTURE_MODE_RELAXED = 2

    class CUstream:
        def __init__(self, handle: int) -> None:
            self.handle = handle

    ok = CUresult.CUDA_SUCCESS

    def cuStreamBeginCapture(hStream: CUstream, mode: CUstreamCaptureMode) -> tuple[CUresult]:
        gpu.need_context()
        assert isinstance(mode, CUstreamCaptureMode)
        assert not gpu.streams[hStream.handle]._queue, "work before the capture would be lost from the graph"
        gpu.streams[hStream.handle].capture = []
        return (ok,)

    def cuStreamEndCapture(hStream: CUstream) -> tuple[CUresult, Any]:
        stream = gpu.streams[hStream.handle]
        captured, stream.capture = stream.capture, None
        return (CUresult.CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, None) if gpu.refuse_capture else (ok, captured)

    def cuGraphInstantiate(hGraph: Any, flags: int) -> tuple[CUresult, int]:
        key = gpu.next_address = gpu.next_address + 1
        gpu.graphs[key] = list(hGraph)
        return ok, key

    def cuGraphDestroy(hGraph: Any) -> tuple[CUresult]:
        hGraph.clear()
        return (ok,)

    def cuGraphLaunch(hGraphExec: int, hStream: CUstream) -> tuple[CUresult]:
        gpu.launches += 1
        for work in gpu.graphs[hGraphExec]:
            gpu.put(hStream.handle, work)
        return (ok,)

    def cuGraphExecDestroy(hGraphExec: int) -> tuple[CUresult]:
        gpu.need_context()
        del gpu.graphs[hGraphExec]
        return (ok,)

    for thing in (CUresult, CUstreamCaptureMode, CUstream, cuStreamBeginCapture, cuStreamEndCapture, cuGraphInstantiate,
                  cuGraphDestroy, cuGraphLaunch, cuGraphExecDestroy):  # fmt: skip
        setattr(driver, thing.__name__, thing)
    cuda, bindings = ModuleType("cuda"), ModuleType("cuda.bindings")
    cuda.bindings, bindings.driver = bindings, driver  # type: ignore[attr-defined]
    return cuda, bindings, driver
