"""The engine's time limit: with an engine that hangs until it is let go."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from edgefas.engines.runtime.engine import Engine, EngineError
from edgefas.live.watched import EngineLate, Watched
from tests.scenes import spec


class Gate(Engine):
    """Answers with the number of the call once `open` is set."""

    backend, outputs = "gate", ("score",)

    def __init__(self) -> None:
        self.spec, self.open, self.calls, self.error = spec(), threading.Event(), 0, None  # type: ignore[var-annotated]
        self.threads: set[int] = set()

    def _run(self, inputs: dict[str, np.ndarray], outputs: tuple[str, ...]) -> dict[str, np.ndarray]:
        self.calls += 1
        self.threads.add(threading.get_ident())
        self.open.wait(20)
        if self.error is not None:
            raise self.error
        return {"score": np.full(1, self.calls, np.float32)}


def inputs_of(engine: Engine) -> dict[str, np.ndarray]:
    return {m.value: np.zeros((1, *engine.spec.shape(m)), np.float32) for m in engine.spec.modalities}


def test_an_overdue_engine_is_asked_nothing_new_and_then_served_again() -> None:
    gate = Gate()
    with Watched(gate, limit_ms=30) as watched:
        for _ in range(3):
            with pytest.raises(EngineLate):
                watched.score(inputs_of(gate))
        assert gate.calls == 1, "the calls after the first found it busy"
        gate.open.set()
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            try:
                score = watched.score(inputs_of(gate))
                break
            except EngineLate:
                time.sleep(0.01)
        assert score == gate.calls >= 2, "an overdue answer is never given for a newer frame"
    assert len(gate.threads) == 1


def test_what_an_engine_raises_reaches_the_caller() -> None:
    gate = Gate()
    gate.open.set()
    with Watched(gate, limit_ms=10_000) as watched:
        for error in (EngineError("broken"), RuntimeError("out of memory"), TimeoutError("its own")):
            gate.error = error  # type: ignore[assignment]
            with pytest.raises(type(error), match=str(error)):
                watched.score(inputs_of(gate))


def test_closing_does_not_wait_for_an_engine_that_hangs() -> None:
    gate = Gate()
    watched = Watched(gate, limit_ms=1)
    with pytest.raises(EngineLate):
        watched.score(inputs_of(gate))
    watched.close()  # would block for as long as the gate is shut
    assert not gate.open.is_set()
    gate.open.set()
