"""A network in parts: branches side by side, then their fusion.

Each branch runs in a thread of its own. ONNX Runtime leaves Python's lock while it computes, so branches overlap as
far as there are cores; a TensorRT part has a stream of its own, and its thread only waits for it. What opens a part is
an argument (`open_part`), so a backend joins by giving one function.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any, Protocol

from edgefas.contracts import ContractError, InputSpec, Modality
from edgefas.engines.runtime.engine import F32, Engine, EngineError
from edgefas.engines.runtime.metadata import BRANCH_KEY, FEATURES_KEY, INPUT_SPEC_KEY, SOURCE_KEY
from edgefas.engines.runtime.onnxruntime_engine import metadata_of, open_session
from edgefas.errors import require

FUSION = "fusion"


class Part(Protocol):
    """One branch or the fusion, loaded; used by one thread at a time, not always the same."""

    metadata: Mapping[str, str]
    """Of its ONNX file."""

    def run(self, inputs: Mapping[str, F32]) -> dict[str, F32]:
        """All outputs, by name; returns when they are on the host."""

    def close(self) -> None:
        """Release it."""


OpenPart = Callable[[Path, int], Part]


class OnnxRuntimePart:
    """A session on the CPU."""

    def __init__(self, path: Path, session: Any) -> None:
        self.metadata: Mapping[str, str] = metadata_of(path, session)
        self._path, self._session = path, session
        self._outputs = [output.name for output in session.get_outputs()]

    def run(self, inputs: Mapping[str, F32]) -> dict[str, F32]:
        try:
            return dict(zip(self._outputs, self._session.run(None, dict(inputs)), strict=True))
        except Exception as error:  # onnxruntime has no common base for its exceptions
            raise EngineError(f"{self._path} failed: {str(error).strip().splitlines()[0][:300]}") from error

    def close(self) -> None:
        self._session = None


def open_onnxruntime_part(path: Path, threads: int) -> OnnxRuntimePart:
    """Open one `.onnx` of `edgefas export --branch`."""
    return OnnxRuntimePart(path, open_session(require("onnxruntime", "cpu"), path, threads))


class BranchEngine(Engine):
    """Branches at once, then the fusion."""

    backend = "branches"
    outputs = ("score",)

    def __init__(self, branches: Mapping[str, Part], fusion: Part, spec: InputSpec, overlap: bool) -> None:
        self.spec = spec
        self._branches, self._fusion = dict(branches), fusion
        self._pool = ThreadPoolExecutor(len(branches), "edgefas-branch") if overlap else None

    def _run(self, inputs: dict[str, F32], outputs: tuple[str, ...]) -> dict[str, F32]:
        jobs = [(part.run, {name: inputs[name]}) for name, part in self._branches.items()]
        if self._pool is None:
            maps = [run(picture) for run, picture in jobs]
        else:
            futures = [self._pool.submit(run, picture) for run, picture in jobs]
            wait(futures)  # also when one failed: no part may still run when the next frame comes
            maps = [future.result() for future in futures]
        features = {name: value for found in maps for name, value in found.items()}
        return {"score": self._fusion.run(features)["score"]}

    def close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown()
        for part in (*self._branches.values(), self._fusion):
            part.close()


def load_branches(
    folder: Path, *, threads: int = 1, overlap: bool = True, open_part: OpenPart = open_onnxruntime_part
) -> BranchEngine:
    """Open the parts of one network: `fusion.onnx` and a file for each of its branches (`rgb.onnx` ...).

    Args:
        folder: written with `edgefas export --branch PART -o FOLDER/PART.onnx`.
        threads: of each part.
        overlap: branches at once; else one after another.
        open_part: opens one file.

    Raises:
        EngineError: a part is missing, is another one, or does not fit the others.
    """
    fusion = _open(folder, FUSION, threads, open_part)
    try:
        features: dict[str, list[int]] = json.loads(fusion.metadata[FEATURES_KEY])
        names = [Modality(feature.removesuffix("_features")).value for feature in features]
        branches = {name: _open(folder, name, threads, open_part) for name in names}
        specs = [InputSpec.from_json(part.metadata[INPUT_SPEC_KEY]) for part in branches.values()]
        pictures = {m.value: getattr(spec, m.value) for spec in specs for m in spec.modalities}
        spec = specs[0].model_copy(update=pictures)
    except (KeyError, ValueError, ContractError) as error:
        raise EngineError(f"{folder} has a part with broken metadata ({error}); see: edgefas export --help") from error
    common = {spec.model_copy(update=dict.fromkeys(("rgb", "ir", "depth"))).to_json() for spec in specs}
    sources = {part.metadata.get(SOURCE_KEY) for part in (fusion, *branches.values())}
    if len(common) > 1 or len(sources) > 1 or list(pictures) != names:
        raise EngineError(f"the parts in {folder} are of different networks; write them again from one checkpoint")
    return BranchEngine(branches, fusion, spec, overlap)


def _open(folder: Path, name: str, threads: int, open_part: OpenPart) -> Part:
    path = folder / f"{name}.onnx"
    if not path.is_file():
        raise EngineError(f"no {path}; write it with: edgefas export CHECKPOINT --branch {name} -o {path}")
    part = open_part(path, threads)
    found = part.metadata.get(BRANCH_KEY)
    if found != name:
        raise EngineError(f"{path} is {found or 'no part of a network'}; write it with: edgefas export --branch {name}")
    return part
