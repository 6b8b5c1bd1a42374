"""Engine: a network that can be run, whatever runs it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from types import TracebackType

import numpy as np
import numpy.typing as npt

from edgefas.contracts import InputSpec
from edgefas.errors import EdgefasError

F32 = npt.NDArray[np.float32]
Inputs = Mapping[str, F32]


class EngineError(EdgefasError):
    """A network file cannot be loaded or run, or was given wrong inputs."""


class Engine(ABC):
    """`spec` says what the inputs are; a context manager."""

    spec: InputSpec
    backend: str
    outputs: tuple[str, ...]

    def run(self, inputs: Inputs, outputs: Sequence[str] = ("score",)) -> dict[str, F32]:
        """Run a batch.

        Args:
            inputs: by modality name, (N, C, H, W) float32 as `spec` says, the same N for all.
            outputs: which of `self.outputs`.

        Raises:
            EngineError: an input is missing, unknown, or of wrong dtype or shape; an output is unknown.
        """
        self._check(inputs)
        unknown = [name for name in outputs if name not in self.outputs]
        if unknown:
            raise EngineError(f"no output {unknown[0]!r}; this engine has: {', '.join(self.outputs)}")
        return self._run({name: np.ascontiguousarray(inputs[name]) for name in inputs}, tuple(outputs))

    def score(self, inputs: Inputs) -> F32:
        """(N,) float32 log-odds of bona fide."""
        return self.run(inputs)["score"]

    @abstractmethod
    def _run(self, inputs: dict[str, F32], outputs: tuple[str, ...]) -> dict[str, F32]:
        """Run checked inputs."""

    def close(self) -> None:  # noqa: B027 - most backends hold nothing
        """Release the engine."""

    def __enter__(self) -> Engine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _check(self, inputs: Inputs) -> None:
        wanted = {m.value: self.spec.shape(m) for m in self.spec.modalities}
        if set(inputs) != set(wanted):
            raise EngineError(f"inputs are {sorted(inputs)}, this engine needs {sorted(wanted)}")
        batch = {array.shape[0] if array.ndim else 0 for array in inputs.values()}
        for name, shape in wanted.items():
            array = inputs[name]
            if array.dtype != np.float32 or array.shape[1:] != shape or len(batch) != 1 or 0 in batch:
                raise EngineError(
                    f"input {name!r} is {array.dtype} {tuple(array.shape)}, must be float32 (N, "
                    f"{', '.join(map(str, shape))}) with one N >= 1 for all inputs"
                )
