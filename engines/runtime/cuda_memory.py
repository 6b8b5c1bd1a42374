"""The GPU's memory, by pycuda: a context that is current only while it is used, buffers, and graph replay.

pycuda knows no CUDA graphs; where cuda-python is installed, it captures and replays what pycuda's stream did. Both work
on the primary context, which TensorRT uses, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from math import prod
from typing import Any

import numpy as np

from edgefas.engines.runtime.engine import F32, EngineError
from edgefas.errors import MissingExtra

DEVICE = 0


class Cuda:
    """The primary context of the first GPU, and one stream."""

    def __init__(self) -> None:
        self._driver = _pycuda_driver()
        try:
            self._driver.init()
            device = self._driver.Device(DEVICE)
            self.name: str = device.name()
            self.compute_capability = "{}.{}".format(*device.compute_capability())
            self._context = device.retain_primary_context()
            with self.current():
                self.stream = self._driver.Stream()
        except self._driver.Error as error:
            raise EngineError(f"no CUDA GPU can be used: {error}; see: edgefas doctor") from error

    @contextmanager
    def current(self) -> Iterator[None]:
        """Makes the context current in this thread for the block alone: no other thread meets it by surprise."""
        self._context.push()
        try:
            yield
        except self._driver.Error as error:
            raise EngineError(f"CUDA failed: {error}") from error
        finally:
            self._context.pop()

    def buffer(self, shape: tuple[int, ...]) -> Buffer:
        """Float32 memory on both sides; call it while current."""
        return Buffer(self._driver, shape)

    def close(self) -> None:
        """Give back the stream and the context; the buffers must be gone."""
        with self.current():
            self.stream = None
        self._context = None  # the last reference releases the primary context


class Buffer:
    """A page-locked host array and its device twin of the same size, allocated once."""

    def __init__(self, driver: Any, shape: tuple[int, ...]) -> None:
        self._driver = driver
        self.host: F32 = driver.pagelocked_empty(shape, np.float32)
        self._device = driver.mem_alloc(4 * prod(shape))
        self.address = int(self._device)

    def upload(self, rows: int, stream: Any) -> None:
        """Copy the first `rows` to the device, in stream order."""
        self._driver.memcpy_htod_async(self._device, self.host[:rows], stream)

    def download(self, rows: int, stream: Any) -> None:
        """Copy the first `rows` from the device, in stream order."""
        self._driver.memcpy_dtoh_async(self.host[:rows], self._device, stream)

    def free(self) -> None:
        """Give both back; call it while current."""
        self._device.free()
        self.host = np.empty(0, np.float32)  # the page-locked memory goes with its last array


class Graph:
    """What a stream did once, to be replayed with one launch."""

    def __init__(self, api: Any, stream: int, work: Callable[[], None]) -> None:
        """Capture `work`, which only puts work on the stream.

        Raises:
            EngineError: it did something that cannot be captured.
        """
        self._api = api
        self._stream = api.CUstream(stream)
        self._call("cuStreamBeginCapture", self._stream, api.CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL)
        try:
            work()
        finally:
            graph = self._call("cuStreamEndCapture", self._stream)
        self._executable = self._call("cuGraphInstantiate", graph, 0)
        self._call("cuGraphDestroy", graph)

    def launch(self) -> None:
        """Replay it, in stream order."""
        self._call("cuGraphLaunch", self._executable, self._stream)

    def free(self) -> None:
        """Destroy it; call it while the context is current."""
        self._call("cuGraphExecDestroy", self._executable)

    def _call(self, name: str, *arguments: Any) -> Any:
        status, *results = getattr(self._api, name)(*arguments)
        if status != self._api.CUresult.CUDA_SUCCESS:
            raise EngineError(f"{name} failed: {status}")
        return results[0] if results else None


def graph_api() -> Any | None:
    """cuda-python's driver module, or None: its place changed with release 12.6."""
    for name in ("cuda.bindings.driver", "cuda.cuda"):
        try:
            return import_module(name)
        except ImportError:
            continue
    return None


def _pycuda_driver() -> Any:
    try:
        return import_module("pycuda.driver")
    except ImportError as error:
        raise MissingExtra(
            f"pycuda cannot be imported ({error}); it needs the CUDA toolkit and compiles when installed: "
            "on a Jetson pip install 'edgefas[jetson]', elsewhere pip install 'edgefas[tensorrt]'"
        ) from error
