"""From a lowered ONNX file to a serialised plan: the calls to TensorRT's builder, the same for 10.3 to 11.4.

The network is strongly typed: what is float16 or INT8 was decided in the file, no flag changes it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from edgefas.contracts import InputSpec
from edgefas.engines.runtime import EngineError
from edgefas.engines.runtime.onnx_file import OnnxFile
from edgefas.engines.runtime.plan import BatchRange
from edgefas.engines.runtime.tensorrt_package import make_log, version

WORKSPACE_BYTES = 2**30
"""A Jetson's GPU shares its memory with everything else; TensorRT's default would be all of it."""
STRONGLY_TYPED_ALWAYS = 11
"""From this major version on every network is strongly typed, and the flag's value is another flag's."""

Progress = Callable[[str, int, int], None]
"""Phase, steps done, steps in all; done == total ends it."""


class PlanBuildError(EngineError):
    """TensorRT cannot parse the network or build a plan."""


@dataclass(frozen=True)
class BuiltPlan:
    """What came out of one build."""

    plan: bytes
    outputs: tuple[str, ...]
    timing_cache: bytes


def build_plan(
    trt: Any,
    file: OnnxFile,
    spec: InputSpec,
    batches: tuple[BatchRange, ...],
    timing_cache: bytes,
    progress: Progress,
) -> BuiltPlan:
    """Build; plugins must be loaded and the GPU's context current.

    Args:
        file: a checked network.
        batches: one optimisation profile each, tuned for its largest batch.
        timing_cache: of an earlier build on this device, or empty.

    Raises:
        PlanBuildError: with TensorRT's first reason.
        KeyboardInterrupt: the user stopped it.
    """
    log = make_log(trt)
    builder = trt.Builder(log)
    flags = 0
    if version(trt)[0] < STRONGLY_TYPED_ALWAYS:
        flags = 1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
    network = builder.create_network(flags)
    _parse(trt, network, file, log)
    config = builder.create_builder_config()
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, WORKSPACE_BYTES)
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
    config.clear_flag(trt.BuilderFlag.TF32)  # float32 layers keep their 23 bits; who wants speed takes fp16
    for batch in batches:
        profile = builder.create_optimization_profile()
        for modality in spec.modalities:
            low, high = ((size, *spec.shape(modality)) for size in (batch.low, batch.high))
            profile.set_shape(modality.value, low, high, high)
        if config.add_optimization_profile(profile) < 0:
            raise PlanBuildError(f"TensorRT refuses batches {batch.low}-{batch.high} of {file.path}: {log.first()}")
    if not config.set_timing_cache(config.create_timing_cache(timing_cache), ignore_mismatch=False):
        config.set_timing_cache(config.create_timing_cache(b""), ignore_mismatch=False)
    monitor = _make_monitor(trt, progress)
    config.progress_monitor = monitor
    plan = builder.build_serialized_network(network, config)
    if monitor.stopped is not None:
        raise monitor.stopped
    if plan is None:
        raise PlanBuildError(f"TensorRT cannot build {file.path}: {log.first()}")
    outputs = tuple(network.get_output(index).name for index in range(network.num_outputs))
    return BuiltPlan(bytes(plan), outputs, bytes(config.get_timing_cache().serialize()))


def _parse(trt: Any, network: Any, file: OnnxFile, log: Any) -> None:
    parser = trt.OnnxParser(network, log)
    # The path is only for tensors that lie beside the file.
    if parser.parse(file.data, str(file.path)):
        return
    errors = [parser.get_error(index) for index in range(parser.num_errors)]
    text = "; ".join(f"{error.node_operator()} {error.node_name()}: {error.desc()}"[:300] for error in errors[:3])
    raise PlanBuildError(f"TensorRT {trt.__version__} cannot parse {file.path}: {text or log.first()}")


def _make_monitor(trt: Any, progress: Progress) -> Any:
    """Passes TensorRT's progress on; an exception in it (Ctrl-C) ends the build instead of crossing C++."""

    class Monitor(trt.IProgressMonitor):
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self.stopped: BaseException | None = None
            self._totals: dict[str, int] = {}

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            self._totals[phase_name] = num_steps
            self._pass(phase_name, 0)

        def step_complete(self, phase_name: str, step: int) -> bool:
            self._pass(phase_name, step)
            return self.stopped is None

        def phase_finish(self, phase_name: str) -> None:
            self._pass(phase_name, self._totals.get(phase_name, 0))

        def _pass(self, phase: str, done: int) -> None:
            try:
                progress(phase, done, self._totals.get(phase, 0))
            except BaseException as error:
                self.stopped = error

    return Monitor()
