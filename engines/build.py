"""Builds TensorRT engines on the board: from a model's lowered ONNX files to one verified plan in use.

Nothing of the model is changed. Each plan is loaded as it will be in service and must give the golden scores before it
is written; the engine in use is replaced last, by one rename, so any failure leaves it as it was.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, timezone
from hashlib import sha256
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any, Literal

import numpy as np

from edgefas.engines.candidates import Candidate, Choice, find_candidates
from edgefas.engines.golden import GOLDEN_FILE, Golden, check_golden, read_golden
from edgefas.engines.layer_report import layer_report
from edgefas.engines.plugin_library import Library, MakePlugins, plugin_library
from edgefas.engines.runtime import EngineError
from edgefas.engines.runtime.cuda_memory import Cuda
from edgefas.engines.runtime.machine_key import stamp
from edgefas.engines.runtime.plan import (
    CURRENT,
    BatchRange,
    Plan,
    PlanError,
    PlanKey,
    PlanManifest,
    Plugins,
    Verified,
    open_plan,
)
from edgefas.engines.runtime.tensorrt_engine import TensorRTEngine, this_device
from edgefas.engines.runtime.tensorrt_package import load_plugins, require_tensorrt
from edgefas.engines.tensorrt_builder import Progress, build_plan
from edgefas.errors import CheckFailed, EdgefasError
from edgefas.files import FileWriteError, write_atomically

log = logging.getLogger(__name__)
BATCH_ONE = (BatchRange(low=1, high=1),)
BLOCK = 10
"""Calls of one engine before the next has its turn: clocks and caches then favour none."""
STAMP_HEX = 64


@dataclass(frozen=True)
class Attempt:
    """What became of one candidate."""

    precision: str
    plugins: str
    status: Literal["in use", "passed", "failed"]
    detail: str
    cached: bool = False
    max_abs: float | None = None
    median_ms: float | None = None


@dataclass(frozen=True)
class BuildReport:
    """The engine in use, and what was tried."""

    folder: Path
    manifest: PlanManifest
    attempts: tuple[Attempt, ...]


@dataclass
class _Built:
    candidate: Candidate
    engine: TensorRTEngine
    cached: bool
    verified: Verified
    times_ms: list[float]


def build(
    model: Path,
    folder: Path,
    precision: Choice = "best",
    plugins: Plugins | None = None,
    *,
    batches: tuple[BatchRange, ...] = BATCH_ONE,
    threshold: float = 0.0,
    seconds: float = 1.0,
    progress: Progress = lambda phase, done, total: None,
    make_plugins: MakePlugins | None = None,
) -> BuildReport:
    """Build what is asked for, keep the fastest that gives the golden scores, and put it in use.

    Args:
        model: a folder of `edgefas quantize` or one lowered `.onnx`, with `golden.npz` in it or beside it.
        folder: where engines lie, see `engines_folder`; made if need be.
        precision: "best" builds all there are.
        plugins: None builds with own and with TensorRT's stock operators; own are kept only if they are faster.
        batches: one optimisation profile each.
        threshold: the policy's; no golden decision may flip.
        seconds: time each engine that passed is measured for.
        make_plugins: compiles the plugin library; None takes the packaged sources.

    Raises:
        UsageError, EngineError: nothing to build from, or not a network of edgefas.
        MissingExtra: no TensorRT or pycuda.
        CheckFailed: built, and none gives the golden scores.
    """
    candidates = find_candidates(model, precision, plugins)
    golden = read_golden((model if model.is_dir() else model.parent) / GOLDEN_FILE, candidates[0].spec)
    trt = require_tensorrt()
    with ExitStack() as stack:
        workshop = _Workshop(trt, folder, batches, golden, threshold, progress, make_plugins, stack)
        return workshop.build(candidates, seconds)


@dataclass
class _Workshop:
    """One run of `build`."""

    trt: Any
    folder: Path
    batches: tuple[BatchRange, ...]
    golden: Golden
    threshold: float
    progress: Progress
    make_plugins: MakePlugins | None
    stack: ExitStack

    def build(self, candidates: Sequence[Candidate], seconds: float) -> BuildReport:
        self.cuda = Cuda()
        self.stack.callback(self.cuda.close)
        self.device = this_device(self.trt, self.cuda)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise FileWriteError(f"cannot make {self.folder}: {error.strerror}; choose another place with -o") from None
        attempts: list[Attempt | _Built] = []
        failures: dict[str, EdgefasError] = {}
        for candidate in candidates:
            try:
                attempts.append(self._obtain(candidate))
            except EdgefasError as error:
                if len(candidates) == 1:
                    raise
                failures[candidate.name] = error
                attempts.append(Attempt(candidate.precision, candidate.plugins, "failed", str(error)))
        passed = [attempt for attempt in attempts if isinstance(attempt, _Built)]
        if not passed:
            kind = CheckFailed if all(isinstance(error, CheckFailed) for error in failures.values()) else EngineError
            raise kind("no engine passed; " + "; ".join(f"{name}: {error}" for name, error in failures.items()))
        _measure(passed, seconds)
        # Own plugins must be faster, not as fast: they are one more thing to compile on the next board.
        best = min(passed, key=lambda built: (median(built.times_ms), built.candidate.plugins == "own"))
        manifest = best.engine.manifest.model_copy(update={"median_ms": round(median(best.times_ms), 4)}).stamped()
        write_atomically(self.folder / CURRENT, manifest.to_json(indent=1).encode())
        return BuildReport(self.folder, manifest, tuple(_attempt(item, best) for item in attempts))

    def _obtain(self, candidate: Candidate) -> _Built:
        """A loaded, verified engine: from an earlier build, or built now and then written."""
        library = None
        if candidate.needs_library:
            self.progress("compiling the plugins", 0, 1)
            library = plugin_library(self.folder, self.device, self.make_plugins)
            self.progress("compiling the plugins", 1, 1)
        key = PlanKey(
            device=self.device,
            model_sha256=candidate.file.sha256(),
            plugin_sha256=library.sha256 if library else None,
            batches=self.batches,
        )
        stem = f"{candidate.name}-{key.digest()}"
        plan = self._cached(stem, key)
        cached = plan is not None
        if plan is None:
            plan = self._build_plan(candidate, key, library, stem)
        engine = TensorRTEngine(plan, self.trt, Cuda())
        self.stack.callback(engine.close)
        verified = check_golden(engine, self.golden, candidate.precision, self.threshold)
        engine.manifest = engine.manifest.model_copy(update={"verified": verified}).stamped()
        if not cached:
            self._write(plan, engine, stem)
        return _Built(candidate, engine, cached, verified, [])

    def _cached(self, stem: str, key: PlanKey) -> Plan | None:
        path = self.folder / f"{stem}.json"
        if not path.exists():
            return None
        try:
            plan = open_plan(path, self.device)
        except PlanError as error:
            log.warning("building again: %s", error)
            return None
        return plan if plan.manifest.key == key else None

    def _build_plan(self, candidate: Candidate, key: PlanKey, library: Library | None, stem: str) -> Plan:
        cache = self.folder / f"timing-{sha256(self.device.to_json().encode()).hexdigest()[:16]}.cache"
        with self.cuda.current():
            if library is not None:
                load_plugins(self.trt, library.path)
            built = build_plan(
                self.trt, candidate.file, candidate.spec, self.batches, _read_timing_cache(cache), self.progress
            )
        _write_timing_cache(cache, built.timing_cache)
        plan_sha256 = sha256(built.plan).hexdigest()
        manifest = PlanManifest(
            key=key,
            precision=candidate.precision,
            plugins=candidate.plugins,
            model=candidate.model,
            input_spec=candidate.spec,
            outputs=built.outputs,
            plan=f"{stem}-{plan_sha256[:12]}.plan",  # of its own: nothing in use is ever overwritten
            plan_sha256=plan_sha256,
            plugin=library.path.name if library else None,
            verified=None,
            built_at=datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%MZ"),
        )
        return Plan(self.folder, manifest, built.plan)

    def _write(self, plan: Plan, engine: TensorRTEngine, stem: str) -> None:
        """The manifest comes last: a plan without one is never loaded."""
        report = layer_report(engine, self.trt)
        write_atomically(self.folder / f"{stem}.layers.json", json.dumps(report, indent=1).encode() + b"\n")
        write_atomically(self.folder / plan.manifest.plan, plan.data)
        write_atomically(self.folder / f"{stem}.json", engine.manifest.to_json(indent=1).encode())


def _measure(passed: Sequence[_Built], seconds: float) -> None:
    """Times of single frames, engines in turn by blocks; the first block of each warms up and does not count."""
    spec, rows = passed[0].candidate.spec, passed[0].engine.manifest.key.batches[0].low
    frame = {m.value: np.zeros((rows, *spec.shape(m)), np.float32) for m in spec.modalities}
    end = None
    while end is None or perf_counter() < end:
        for built in passed:
            for _ in range(BLOCK):
                begin = perf_counter()
                built.engine.score(frame)
                if end is not None:
                    built.times_ms.append((perf_counter() - begin) * 1e3)
        end = end or perf_counter() + seconds * len(passed)


def _attempt(item: Attempt | _Built, best: _Built) -> Attempt:
    if isinstance(item, Attempt):
        return item
    return Attempt(
        item.candidate.precision,
        item.candidate.plugins,
        "in use" if item is best else "passed",
        item.engine.manifest.plan,
        item.cached,
        item.verified.max_abs,
        round(median(item.times_ms), 4),
    )


def _read_timing_cache(path: Path) -> bytes:
    """Empty where there is none or it is not this machine's: it goes to a native parser."""
    try:
        data = path.read_bytes()
    except OSError:
        return b""
    content, own = data[:-STAMP_HEX], data[-STAMP_HEX:].decode("ascii", "replace")
    return content if own and stamp(content) == own else b""


def _write_timing_cache(path: Path, content: bytes) -> None:
    write_atomically(path, content + stamp(content, make_key=True).encode())
