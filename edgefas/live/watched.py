"""An engine with a time limit: a network that hangs must not make the door wait for its answer."""

from __future__ import annotations

import logging
import threading
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout  # the builtin one only since Python 3.11
from queue import SimpleQueue

from edgefas.engines.runtime.engine import F32, Engine, EngineError

log = logging.getLogger(__name__)

_CLOSE_S = 1.0


class EngineLate(EngineError):
    """No answer in time; it is thrown away when it comes."""


class Watched(Engine):
    """Runs `engine` on a thread of its own, the only one that ever runs it.

    While an answer is overdue the engine is asked nothing new: every call is `EngineLate` at once, so that frames go
    on being reported, and the first call after the answer came is served again.
    """

    def __init__(self, engine: Engine, limit_ms: float) -> None:
        self.spec, self.backend, self.outputs = engine.spec, engine.backend, engine.outputs
        self._engine, self._limit_ms = engine, limit_ms
        self._jobs: SimpleQueue[tuple[Future[dict[str, F32]], dict[str, F32], tuple[str, ...]] | None] = SimpleQueue()
        self._last: Future[dict[str, F32]] | None = None
        self._thread = threading.Thread(target=self._work, name="edgefas engine", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread, not the engine; an engine that hangs is left behind."""
        self._jobs.put(None)
        self._thread.join(_CLOSE_S)

    def _run(self, inputs: dict[str, F32], outputs: tuple[str, ...]) -> dict[str, F32]:
        if self._last is not None and not self._last.done():
            raise EngineLate(f"the engine has not answered the frame before, after {self._limit_ms:g} ms and more")
        self._last = Future()
        self._jobs.put((self._last, inputs, outputs))
        try:
            return self._last.result(self._limit_ms / 1e3)
        except FutureTimeout:
            if self._last.done():  # the engine's own, not ours
                raise
            raise EngineLate(f"the engine did not answer within {self._limit_ms:g} ms") from None

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            answer, inputs, outputs = job
            try:
                answer.set_result(self._engine.run(inputs, outputs))
            except BaseException as error:  # whatever it is belongs to the one who asked
                answer.set_exception(error)
            del job, answer, inputs  # nothing of a frame outlives its answer
