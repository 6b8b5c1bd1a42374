"""One optimisation profile of a plan, ready to run: execution context, buffers, and a graph of the last batch size."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from edgefas.engines.runtime.cuda_memory import Buffer, Cuda, Graph
from edgefas.engines.runtime.engine import F32, EngineError
from edgefas.engines.runtime.plan import BatchRange

log = logging.getLogger(__name__)


class Lane:
    """Everything is allocated here, once, for the largest batch; nothing is during a run."""

    def __init__(
        self,
        engine: Any,
        cuda: Cuda,
        profile: int,
        batches: BatchRange,
        inputs: Mapping[str, tuple[int, ...]],
        outputs: Mapping[str, tuple[int, ...]],
        reason: Callable[[], str],
    ) -> None:
        """Call it while the context is current.

        Args:
            engine: the deserialised plan.
            profile: its profile's index; `batches` are the sizes it was built for.
            inputs: name to shape without batch; `outputs` likewise.
            reason: what TensorRT's log says when a call fails.
        """
        self.batches = batches
        self._stream = cuda.stream
        self._reason = reason
        self._context = engine.create_execution_context()
        if self._context is None:
            raise EngineError(f"TensorRT cannot make room to run this plan: {reason()}")
        self._demand(self._context.set_optimization_profile_async(profile, self._stream.handle))
        self._shapes = dict(inputs)
        self._buffers: dict[str, Buffer] = {}
        for name, shape in {**inputs, **outputs}.items():
            self._buffers[name] = cuda.buffer((batches.high, *shape))
            self._demand(self._context.set_tensor_address(name, self._buffers[name].address))
        self._outputs = tuple(outputs)
        self._rows = 0
        self._graph: Graph | None = None
        self._runs_of_this_size = 0
        self.capture_failed = False

    def run(self, inputs: Mapping[str, F32], outputs: tuple[str, ...], graphs: Any | None) -> dict[str, F32]:
        """Upload, run, download, wait; call it while the context is current.

        Args:
            graphs: the module that captures graphs; None enqueues each time.
        """
        rows = len(next(iter(inputs.values())))
        if rows != self._rows:
            self._resize(rows)
        for name, array in inputs.items():
            self._buffers[name].host[:rows] = array
        # TensorRT must have run a size once before it can be captured.
        if graphs is not None and self._graph is None and self._runs_of_this_size == 1:
            self._graph = self._captured(graphs)
        if self._graph is None:
            self._enqueue()
        else:
            self._graph.launch()
        self._stream.synchronize()
        self._runs_of_this_size += 1
        return {name: self._buffers[name].host[:rows].copy() for name in outputs}

    def report_to(self, profiler: Any) -> None:
        """From now on TensorRT times each layer for `profiler` (slower); call it before the first run."""
        self._context.profiler = profiler

    def free(self) -> None:
        """Call it while the context is current."""
        self._drop_graph()
        self._context = None
        for buffer in self._buffers.values():
            buffer.free()
        self._buffers.clear()

    def _resize(self, rows: int) -> None:
        self._drop_graph()  # a graph is of the context's state when it was captured
        self._rows = self._runs_of_this_size = 0
        for name, shape in self._shapes.items():
            self._demand(self._context.set_input_shape(name, (rows, *shape)))
        self._rows = rows

    def _enqueue(self) -> None:
        for name in self._shapes:
            self._buffers[name].upload(self._rows, self._stream)
        self._demand(self._context.execute_async_v3(self._stream.handle))
        for name in self._outputs:
            self._buffers[name].download(self._rows, self._stream)

    def _captured(self, graphs: Any) -> Graph | None:
        """The graph of this size, or None if it cannot be captured: then each run is enqueued."""
        try:
            return Graph(graphs, self._stream.handle, self._enqueue)
        except EngineError as error:
            log.warning("no CUDA graph: %s", error)
            self.capture_failed = True
            return None

    def _drop_graph(self) -> None:
        if self._graph is not None:
            self._graph.free()
            self._graph = None

    def _demand(self, done: bool) -> None:
        if not done:
            raise EngineError(f"TensorRT failed: {self._reason()}")
