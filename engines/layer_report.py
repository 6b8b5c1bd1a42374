"""What TensorRT made of a network: per layer its precision, formats and time, and what reformatting costs.

The text of the engine inspector is kept beside it; its keys differ a little between releases, so what is not found is
None, never guessed.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import Any

from edgefas.engines.runtime.tensorrt_engine import TensorRTEngine

TIMED_RUNS = 20
PRECISIONS = (("int8", r"int8"), ("fp16", r"fp16|half"), ("fp32", r"fp32|float32|\bfloat\b"))
FORMAT_KEY = "Format/Datatype"


def layer_report(engine: TensorRTEngine, trt: Any) -> dict[str, Any]:
    """JSON values: `layers` (name, type, precision, reformat, ms), `summary`, and `inspector` as TensorRT gave it."""
    profiler = _make_profiler(trt)
    text = engine.layers(profiler, TIMED_RUNS)
    try:
        inspected = json.loads(text)
    except ValueError:
        inspected = {}
    found = inspected.get("Layers", []) if isinstance(inspected, dict) else []
    layers = [_layer(item, profiler.total_ms) for item in found if isinstance(item, dict)]
    reformats = [layer for layer in layers if layer["reformat"]]
    timed = [layer["ms"] for layer in layers if layer["ms"] is not None]
    summary = {
        "layers": len(layers),
        "by_precision": dict(Counter(layer["precision"] or "unknown" for layer in layers)),
        "reformats": len(reformats),
        "reformat_ms": round(sum(layer["ms"] or 0.0 for layer in reformats), 6),
        "total_ms": round(sum(timed), 6) if timed else None,
        "timed_runs": TIMED_RUNS,
    }
    return {"schema": 1, "summary": summary, "layers": layers, "inspector": inspected}


def _layer(item: dict[str, Any], total_ms: dict[str, float]) -> dict[str, Any]:
    name, kind = str(item.get("Name", "")), str(item.get("LayerType", ""))
    outputs = item.get("Outputs") or [{}]
    form = str(outputs[0].get(FORMAT_KEY, "")) if isinstance(outputs[0], dict) else ""
    precision = next((p for p, pattern in PRECISIONS if re.search(pattern, form, re.IGNORECASE)), None)
    ms = total_ms.get(name)
    return {
        "name": name,
        "type": kind,
        "precision": precision,
        "format": form or None,
        "reformat": "reformat" in kind.lower(),
        "ms": None if ms is None else round(ms / TIMED_RUNS, 6),
    }


def _make_profiler(trt: Any) -> Any:
    class Profiler(trt.IProfiler):
        def __init__(self) -> None:
            trt.IProfiler.__init__(self)
            self.total_ms: Counter[str] = Counter()

        def report_layer_time(self, layer_name: str, ms: float) -> None:
            self.total_ms[layer_name] += ms  # type: ignore[assignment]

    return Profiler()
