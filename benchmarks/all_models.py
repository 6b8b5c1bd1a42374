"""Every network in every form this machine can run, at every number of threads, in one document."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from edgefas.benchmarks import jetson
from edgefas.benchmarks.forms import Form, make_forms, open_form
from edgefas.benchmarks.latency import Latency, Subject, measure
from edgefas.benchmarks.live_pipeline import measure_live
from edgefas.benchmarks.memory import peak_mb
from edgefas.benchmarks.openvino_form import check_scores
from edgefas.engines.runtime.onnxruntime_engine import MODEL_FILE
from edgefas.errors import EdgefasError, UsageError

LIVE_SECONDS = 20.0
Report = Callable[[str], None]


def benchmark_all(
    models: Sequence[str],
    threads: Sequence[int],
    seconds: float,
    work: Path,
    *,
    calibration: Path | None = None,
    camera: str | None = None,
    report: Report = lambda text: None,
) -> list[dict[str, Any]]:
    """One row per network, backend, precision and number of threads.

    The forms of one network take turns in blocks (`measure`), so that their ratios hold on a machine whose speed
    changes; memory is that of a process of its own per form. What fails has its error in the row, and the rest goes on.

    Args:
        models: see `make_forms`.
        threads: of one call, each number in turn.
        seconds: counted time per row.
        work: an existing folder for the files made.
        calibration: for INT8 ranges; None takes noise.
        camera: also run `edgefas live` on this source for `LIVE_SECONDS` per row it can load.
        report: told what is going on.
    """
    rows = []
    for name in models:
        try:
            forms = make_forms(name, work, calibration, report)
        except UsageError:
            raise
        except EdgefasError as error:  # the other networks are measured all the same
            nothing = {"params": None, "macs": None, "flops": None, "energy_mj": None, **_times(None)}
            form = Form(Path(name).stem, "-", "-", name)
            rows += [{**_identity(form, count), **nothing, "error": str(error)} for count in threads]
            continue
        params, macs = _size_of(forms)
        for count in threads:
            report(f"measuring {forms[0].model}, {count} thread(s)")
            for form, measured in zip(forms, _measured(forms, count, seconds), strict=True):
                rows.append({**_identity(form, count), "params": params, "macs": macs, **measured})
                rows[-1]["flops"] = None if macs is None else 2 * macs
            for form, row in zip(forms, rows[-len(forms) :], strict=True):
                if row["error"] is None:
                    report(f"memory of {form.model}: {form.backend} {form.precision}")
                    row |= _beyond_latency(form, camera, count)
    return rows


def _beyond_latency(form: Form, camera: str | None, threads: int) -> dict[str, Any]:
    """What processes of their own show; a failure is the row's note, and its latency stays."""
    found: dict[str, Any] = {}
    try:
        found["peak_rss_mb"] = round(peak_mb(form, threads), 1)
        found["camera_to_decision_fps"] = _live_fps(form, camera, threads)
    except EdgefasError as error:
        found["note"] = str(error)
    return found


def _identity(form: Form, threads: int) -> dict[str, Any]:
    return {
        "model": form.model,
        "backend": form.backend,
        "precision": form.precision,
        "threads": threads,
        "bytes": form.bytes,
        "peak_rss_mb": None,
        "camera_to_decision_fps": None,
        "score_difference": None,
        "note": None,
    }


def _measured(forms: Sequence[Form], threads: int, seconds: float) -> list[dict[str, Any]]:
    subjects: list[Subject | None] = []
    problems: list[str | None] = []
    differences: list[float | None] = []
    for form in forms:
        difference = None
        try:
            if form.backend == "openvino":  # no backend of ours: nothing else holds its scores against anything
                difference = check_scores(Path(form.file), form.precision, threads).max_abs_difference
            subject: Subject | None = open_form(form, threads)
            assert subject is not None
            subject.run()
            problem = None
        except EdgefasError as error:
            subject, problem = None, str(error)
        except Exception as error:  # OpenVINO has no common base for its exceptions
            subject, problem = None, f"{type(error).__name__}: {' '.join(str(error).split())[-300:]}"
        subjects.append(subject)
        problems.append(problem)
        differences.append(difference)
    usable = [subject for subject in subjects if subject is not None]
    found = iter(measure(usable, seconds) if usable else [])
    rows = []
    for subject, problem, difference in zip(subjects, problems, differences, strict=True):
        latency = None if subject is None else next(found)
        energy = None if subject is None else jetson.energy_per_call_mj(subject.run, seconds)
        rows.append({"error": problem, **_times(latency), "energy_mj": energy, "score_difference": difference})
    return rows


def _times(latency: Latency | None) -> dict[str, float | None]:
    names = ("samples", "min_ms", "median_ms", "p90_ms", "p95_ms", "p99_ms")
    if latency is None:
        return dict.fromkeys((*names, "fps"))
    values = asdict(latency)
    return {**{name: round(values[name], 4) for name in names}, "fps": round(latency.fps, 2)}


def _size_of(forms: Sequence[Form]) -> tuple[int | None, int | None]:
    """(params, MACs) of the float graph: the same for every form of one network."""
    graph = next((f.file for f in forms if f.backend in ("onnxruntime", "auto") and Path(f.file).exists()), None)
    if graph is None or graph.endswith(".efas") or find_spec("onnx") is None:
        return None, None
    from edgefas.benchmarks.onnx_size import count_onnx

    path = Path(graph)
    return count_onnx(path / MODEL_FILE if path.is_dir() else path)


def _live_fps(form: Form, camera: str | None, threads: int) -> float | None:
    """Decisions a second of `edgefas live`; None where it cannot load the form."""
    path = Path(form.file)
    if camera is None or form.backend == "openvino" or not path.exists():
        return None
    if form.backend == "onnxruntime" and (path / MODEL_FILE).is_file():
        path /= MODEL_FILE  # the folder's name stands for the TensorRT engine, where one was built of it
    return round(measure_live(camera, path, LIVE_SECONDS, threads).decisions_per_s, 2)


def trtexec_lines(models: Sequence[str]) -> list[str]:
    """For every folder of `edgefas quantize`: the commands that time its stock copies with TensorRT's own tool."""
    from edgefas.engines.runtime import load_engine

    lines = []
    for name in models:
        copies = sorted(Path(name).glob("tensorrt/*-stock.onnx")) if Path(name).is_dir() else []
        if copies:
            spec = load_engine(name, "onnxruntime").spec
            shapes = {m.value: spec.shape(m) for m in spec.modalities}
            lines += [jetson.trtexec_line(copy, shapes) for copy in copies]
    return lines
