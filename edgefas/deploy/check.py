"""Whether a bundle works on this very board: engine built, golden scores, latency, recordings. Runs in a limited child.

Everything native that a bundle reaches (ONNX Runtime, TensorRT's parser and builder) first runs here, in a process with
limits, and not in the one that changes the slots.
"""

from __future__ import annotations

import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from pydantic import Field

from edgefas.calibration.episodes import label_of
from edgefas.contracts import Contract, Label, Verdict
from edgefas.deploy.bundle import Bundle, open_bundle
from edgefas.engines.build import build
from edgefas.engines.golden import GOLDEN_FILE, Golden, check_golden, read_golden
from edgefas.engines.runtime import Engine
from edgefas.engines.runtime.onnx_file import read_onnx_file
from edgefas.engines.runtime.plan import engines_folder
from edgefas.errors import CheckFailed
from edgefas.live.loop import decide_stream
from edgefas.live.model import emitter_for, open_model
from edgefas.sensors.open import open_source

CALLS = 60
WARM_UP = 5


class CheckReport(Contract):
    """What was seen on this board."""

    backend: str
    golden_max_abs: float = Field(ge=0, description="log-odds")
    median_ms: float = Field(gt=0)
    p99_ms: float = Field(gt=0)
    recordings: tuple[str, ...] = ()


def check(bundle_path: Path, *, budget_ms: float | None, recordings: tuple[str, ...] = ()) -> CheckReport:
    """Build what can be built beside the bundle, and try it.

    Args:
        budget_ms: the engine's 99th percentile may not be above; None takes the policy's `max_engine_ms`.
        recordings: as `--camera` takes them, with a label beside each; the state at its end must be that.

    Raises:
        BundleError: not trusted, or damaged.
        CheckFailed: it works, and not as it must.
        EngineError: it does not work.
    """
    bundle = open_bundle(bundle_path)
    with tempfile.TemporaryDirectory(prefix="edgefas-") as work:
        folder = Path(work)
        bundle.unpack(folder, GOLDEN_FILE, "ort/", "tensorrt/")
        golden = read_golden(folder / GOLDEN_FILE, bundle.manifest.input_spec)
        max_abs = _try_networks(bundle, folder, golden, engines_folder(bundle_path))
    with bundle.engine(engines=engines_folder(bundle_path)) as engine:
        backend = engine.backend
        median_ms, p99_ms = _latency(engine, golden)
    budget = bundle.policy.gates.max_engine_ms if budget_ms is None else budget_ms
    if p99_ms > budget:
        raise CheckFailed(f"the engine takes {p99_ms:.1f} ms (99 of 100 calls), at most {budget:g} ms are allowed")
    for recording in recordings:
        _play(recording, bundle_path)
    return CheckReport(
        backend=backend,
        golden_max_abs=max_abs,
        median_ms=median_ms,
        p99_ms=p99_ms,
        recordings=recordings,
    )


def _try_networks(bundle: Bundle, folder: Path, golden: Golden, engines: Path) -> float:
    """Golden scores of the engine that will serve: TensorRT's where there is one, else ONNX Runtime's."""
    if find_spec("tensorrt") is not None and (folder / "tensorrt").is_dir():
        report = build(folder, engines, threshold=bundle.policy.threshold)
        assert report.manifest.verified is not None
        return report.manifest.verified.max_abs
    with bundle.engine() as engine:
        precision = read_onnx_file(folder / "ort" / "model.onnx").precision
        return check_golden(engine, golden, precision, bundle.policy.threshold).max_abs


def _latency(engine: Engine, golden: Golden) -> tuple[float, float]:
    """Median and 99th percentile in ms, of a frame at a time."""
    frame = {name: array[:1] for name, array in golden.inputs.items()}
    times_ms = []
    for call in range(WARM_UP + CALLS):
        begin = time.perf_counter()
        engine.run(frame)
        if call >= WARM_UP:
            times_ms.append((time.perf_counter() - begin) * 1e3)
    return float(np.median(times_ms)), float(np.percentile(times_ms, 99))


def _play(recording: str, bundle_path: Path) -> None:
    """The state must become bona fide, or never become it, as the recording's label says."""
    label = label_of(recording)
    model = open_model(bundle_path)
    with model.engine, open_source(recording, emitter=emitter_for(model.engine.spec)) as source:
        lines = [line for _, line in decide_stream(source, model.engine, model.policy, model.trust)]
    opened = any(line.state.decision is Verdict.BONA_FIDE for line in lines)
    if opened != (label is Label.BONA_FIDE):
        reasons = ", ".join(sorted({line.reason.value for line in lines}))
        raise CheckFailed(
            f"{recording} is {label.value}, and the state {'became' if opened else 'never became'} bona fide "
            f"({len(lines)} lines: {reasons})"
        )
