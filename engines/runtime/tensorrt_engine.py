"""TensorRT: runs plans that `edgefas build` made and verified on this very board."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from edgefas.engines.boards import board_name
from edgefas.engines.runtime.cuda_memory import Cuda, graph_api
from edgefas.engines.runtime.engine import F32, Engine, EngineError
from edgefas.engines.runtime.onnx_file import read_onnx_file
from edgefas.engines.runtime.plan import (
    CURRENT,
    ENGINES_SUFFIX,
    Device,
    ForeignPlan,
    Plan,
    PlanError,
    PlanManifest,
    engines_folder,
    open_plan,
    read_manifest,
)
from edgefas.engines.runtime.tensorrt_lane import Lane
from edgefas.engines.runtime.tensorrt_package import load_plugins, make_log, require_tensorrt
from edgefas.errors import MissingExtra

log = logging.getLogger(__name__)


class TensorRTEngine(Engine):
    """A deserialised plan with its memory; one thread at a time runs it.

    A batch goes to the profile made for its size; a larger one is cut into runs of the last profile's largest.
    """

    backend = "tensorrt"

    def __init__(self, plan: Plan, trt: Any, cuda: Cuda, *, graphs: bool = True) -> None:
        """Takes `cuda` over: it is closed with the engine, and when this fails.

        Raises:
            PlanError: TensorRT refuses the plan, or it is not what its manifest says.
        """
        self.manifest = plan.manifest
        self.spec = plan.manifest.input_spec
        self.outputs = plan.manifest.outputs
        self._inputs = {m.value: self.spec.shape(m) for m in self.spec.modalities}
        self._trt = trt
        self._cuda: Cuda | None = cuda
        self._log = make_log(trt)
        self._graphs = graph_api() if graphs else None
        self._lanes: list[Lane] = []
        self._runtime = self._engine = None
        try:
            with cuda.current():
                self._load(plan)
                for index in range(len(plan.manifest.key.batches)):
                    self._lanes.append(self._lane(index))
        except BaseException:
            self.close()
            raise

    @property
    def graph_replay(self) -> bool:
        """Whether runs are replayed as CUDA graphs (from the second of a batch size on)."""
        return self._graphs is not None

    def layers(self, profiler: Any | None = None, runs: int = 0) -> str:
        """TensorRT's description of the layers (JSON); `runs` of the smallest batch are timed for `profiler`."""
        assert self._cuda is not None
        with self._cuda.current():
            if profiler is not None:
                lane = self._lane(0)
                lane.report_to(profiler)
                rows = lane.batches.low
                for _ in range(runs):
                    lane.run({n: np.zeros((rows, *s), np.float32) for n, s in self._inputs.items()}, ("score",), None)
                lane.free()
            inspector = self._engine.create_engine_inspector()  # type: ignore[attr-defined]
            text: str = inspector.get_engine_information(self._trt.LayerInformationFormat.JSON)
        return text

    def close(self) -> None:
        """Free contexts, memory, plan and stream; twice is fine."""
        cuda, self._cuda = self._cuda, None
        if cuda is None:
            return
        with ExitStack() as stack:
            stack.callback(cuda.close)
            with cuda.current():
                while self._lanes:
                    self._lanes.pop().free()
                self._engine = self._runtime = None

    def _run(self, inputs: dict[str, F32], outputs: tuple[str, ...]) -> dict[str, F32]:
        if self._cuda is None:
            raise EngineError("this engine is closed")
        count = len(next(iter(inputs.values())))
        most = self._lanes[-1].batches.high
        pieces = [
            self._run_once({name: array[at : at + most] for name, array in inputs.items()}, outputs)
            for at in range(0, count, most)
        ]
        return {name: np.concatenate([piece[name] for piece in pieces]) for name in outputs}

    def _run_once(self, inputs: dict[str, F32], outputs: tuple[str, ...]) -> dict[str, F32]:
        count = len(next(iter(inputs.values())))
        lane = next((lane for lane in self._lanes if lane.batches.low <= count <= lane.batches.high), None)
        if lane is None:
            ranges = ", ".join(f"{lane.batches.low}-{lane.batches.high}" for lane in self._lanes)
            raise EngineError(f"a batch of {count}, and this plan is for {ranges}; build it with --batch {count}")
        assert self._cuda is not None
        with self._cuda.current():
            results = lane.run(inputs, outputs, self._graphs)
        if lane.capture_failed:
            self._graphs = None
        return results

    def _load(self, plan: Plan) -> None:
        trt = self._trt
        if plan.plugin is not None:
            load_plugins(trt, plan.plugin)
        runtime = trt.Runtime(self._log)
        runtime.engine_host_code_allowed = False  # a plan must bring no code for the CPU
        engine = runtime.deserialize_cuda_engine(plan.data)
        if engine is None:
            raise PlanError(f"TensorRT refuses {plan.manifest.plan}: {self._log.first()}; run: edgefas build MODEL")
        self._runtime, self._engine = runtime, engine
        found: dict[Any, dict[str, tuple[int, ...]]] = {trt.TensorIOMode.INPUT: {}, trt.TensorIOMode.OUTPUT: {}}
        for name in map(engine.get_tensor_name, range(engine.num_io_tensors)):
            if engine.get_tensor_dtype(name) != trt.DataType.FLOAT:
                raise PlanError(f"{plan.manifest.plan}: {name} is {engine.get_tensor_dtype(name)}, must be float32")
            found[engine.get_tensor_mode(name)][name] = tuple(engine.get_tensor_shape(name))[1:]
        self._results = found[trt.TensorIOMode.OUTPUT]
        if found[trt.TensorIOMode.INPUT] != self._inputs or set(self._results) != set(self.outputs):
            raise PlanError(f"{plan.manifest.plan} is not what its manifest says: {found}; run: edgefas build MODEL")

    def _lane(self, profile: int) -> Lane:
        batches = self.manifest.key.batches[profile]
        assert self._cuda is not None
        return Lane(self._engine, self._cuda, profile, batches, self._inputs, self._results, self._log.first)


def this_device(trt: Any, cuda: Cuda) -> Device:
    """What plans built here are tied to."""
    return Device(tensorrt=trt.__version__, compute_capability=cuda.compute_capability, board=board_name() or cuda.name)


def load_tensorrt(path: Path, *, graphs: bool = True) -> TensorRTEngine:
    """The engine in use of a model, or of a folder of engines.

    Args:
        path: a model `edgefas build` was given, or its `.engines` folder.
        graphs: replay runs as CUDA graphs where cuda-python is installed.

    Raises:
        PlanError, ForeignPlan: none was built here, or it was changed.
        MissingExtra: no TensorRT or pycuda.
    """
    trt = require_tensorrt()
    folder = path if path.suffix == ENGINES_SUFFIX else engines_folder(path)
    if folder != path:
        _check_is_of(read_manifest(folder / CURRENT), folder, lowered_hashes(path))
    cuda = Cuda()
    try:
        plan = open_plan(folder / CURRENT, this_device(trt, cuda))
    except BaseException:
        cuda.close()
        raise
    return TensorRTEngine(plan, trt, cuda, graphs=graphs)


def load_tensorrt_if_built(folder: Path, lowered_sha256: Iterable[str]) -> TensorRTEngine | None:
    """The engine in use in `folder`, if it was verified on this very board and is of one of these ONNX files.

    None where there is none, TensorRT or pycuda is missing, or the plan is for another device or model: the caller has
    another backend. A plan that was changed is an error: somebody did that.
    """
    if not (folder / CURRENT).is_file():
        return None
    try:
        trt = require_tensorrt()
        cuda = Cuda()
    except (MissingExtra, EngineError) as error:
        log.warning("not using the engine in %s: %s", folder, error)
        return None
    try:
        plan = open_plan(folder / CURRENT, this_device(trt, cuda))
        _check_is_of(plan.manifest, folder, lowered_sha256)
    except ForeignPlan as error:
        log.warning("not using it: %s", error)
        cuda.close()
        return None
    except BaseException:
        cuda.close()
        raise
    return TensorRTEngine(plan, trt, cuda)


def _check_is_of(manifest: PlanManifest, folder: Path, lowered_sha256: Iterable[str]) -> None:
    if manifest.key.model_sha256 not in set(lowered_sha256):
        raise ForeignPlan(
            f"the engine in {folder} was built from another version of the model; run: edgefas build MODEL"
        )


def lowered_files(path: Path) -> list[Path]:
    """The ONNX files for TensorRT of a folder written by `edgefas quantize`; or the one file itself."""
    return sorted((path / "tensorrt").glob("*.onnx")) if path.is_dir() else [path]


def lowered_hashes(path: Path) -> Iterator[str]:
    """What plans of this model may have been built from; read when asked for, since the files are large."""
    return (read_onnx_file(file).sha256() for file in lowered_files(path))
