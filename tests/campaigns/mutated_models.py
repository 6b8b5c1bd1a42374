"""Damaged networks and scale tables through the public functions: always a result or an EdgefasError, never a crash.

    python -m tests.campaigns.mutated_models --count 50000 -o tests/campaigns/results/mutated_models.json

One worker runs many cases, with a limit on its memory; it is started again after a crash or a case that takes longer
than `LIMIT_S`, both of which are failures. A case loads the file as an engine and scores with it; a network that is
accepted is also lowered for ONNX Runtime and TensorRT; a copy for TensorRT goes through the checks that stand before
TensorRT's parser.
"""

from __future__ import annotations

import json
import os
import resource
import selectors
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any
from unittest.mock import patch

import numpy as np
import typer

from edgefas.errors import EdgefasError
from tests.campaigns.mutations import damage_bytes, damage_fields, damage_json
from tests.campaigns.report import finish

LIMIT_S = 20.0
MEMORY_BYTES = 6 * 2**30
SEED = 181
KINDS = ("source", "int8 folder", "tensorrt copy", "dcnv2", "scales")


@dataclass(frozen=True)
class Outcome:
    """What one case did; `problem` is None when it was as it should be."""

    case: int
    kind: str
    result: str
    """accepted, or the name of the error."""
    problem: str | None = None


@dataclass(frozen=True)
class _Originals:
    source: bytes
    folder: dict[str, bytes]
    copy: bytes
    dcnv2: bytes
    scales: str


def _originals(scratch: Path) -> _Originals:
    from edgefas.calibration.ranges import collect_ranges
    from edgefas.calibration.recipe import Recipe
    from edgefas.engines.lowering.files import save_ort_files
    from edgefas.engines.lowering.ort import lower_ort
    from edgefas.engines.lowering.tensorrt import lower_tensorrt
    from tests.engines.graphs import noise, saved, small_net

    model, recipe = small_net(), Recipe(quantize=("Conv", "Gemm", "Add"))
    scales = collect_ranges(saved(model, scratch / "source.onnx"), [noise(8, 0)])
    folder = scratch / "folder"
    folder.mkdir()
    with patch("edgefas.engines.lowering.files.EXTERNAL_FROM_BYTES", 32):  # else so small a network has no weights.bin
        save_ort_files(lower_ort(model, scales, recipe), folder)
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    copy = lower_tensorrt(model, "int8", "stock", scales, recipe).SerializeToString()
    return _Originals(model.SerializeToString(), files, copy, _dcnv2_net().SerializeToString(), scales.to_json())


def _dcnv2_net() -> Any:
    """A deformable convolution whose offsets and mask are constants, as a network of edgefas."""
    import onnx
    from onnx import helper, numpy_helper

    from tests.engines.graphs import IR_SPEC, finished

    rng = np.random.default_rng(5)
    shapes = {"weight": (4, 1, 3, 3), "offset": (1, 18, 16, 16), "mask": (1, 9, 16, 16), "bias": (4,)}
    constants = [numpy_helper.from_array(rng.normal(size=s).astype(np.float32), n) for n, s in shapes.items()]
    constants.append(numpy_helper.from_array(np.array([1, 2, 3]), "axes"))
    nodes = [
        helper.make_node("DeformConv", ["ir", "weight", "offset", "bias", "mask"], ["y"], "deform", pads=[1] * 4),
        helper.make_node("ReduceMean", ["y", "axes"], ["score"], "mean", keepdims=0),
    ]
    model: onnx.ModelProto = finished(nodes, constants, {"ir": (1, 1, 16, 16)}, {"score": (1,)}, IR_SPEC)
    return model


def run_case(case: int, originals: _Originals, scratch: Path) -> Outcome:
    """Damage, use, judge."""
    rng = np.random.default_rng([SEED, case])
    what = KINDS[case % len(KINDS)]
    target: Callable[[], None]
    if what == "scales":
        how, data = damage_json(originals.scales, rng)
        target = lambda: _use_scales(data, originals.source)  # noqa: E731
    else:
        path = scratch / ("folder" if what == "int8 folder" else "m.onnx")
        how = _write_damaged(what, path, originals, rng)
        target = lambda: _use_network(path, originals.scales, copy=what == "tensorrt copy")  # noqa: E731
    kind = f"{what}: {how}"
    try:
        target()
    except EdgefasError as error:
        text = str(error)
        clear = 0 < len(text) < 3000 and "Traceback" not in text
        return Outcome(case, kind, type(error).__name__, None if clear else f"{len(text)} characters: {text[:200]}")
    except BaseException as error:  # what a user would meet as "internal error"
        return Outcome(case, kind, "defect", f"{type(error).__name__}: {str(error)[:300]}")
    return Outcome(case, kind, "accepted")


def _write_damaged(what: str, path: Path, originals: _Originals, rng: np.random.Generator) -> str:
    if what == "int8 folder":
        files = dict(originals.folder)
        name = str(rng.choice(sorted(files)))
        damage = damage_bytes if name.endswith(".bin") or rng.random() < 0.5 else damage_fields
        how, files[name] = damage(files[name], rng)
        path.mkdir(exist_ok=True)
        for file, content in files.items():
            (path / file).write_bytes(content)
        return how
    data = {"source": originals.source, "tensorrt copy": originals.copy, "dcnv2": originals.dcnv2}[what]
    how, damaged = (damage_bytes if rng.random() < 0.5 else damage_fields)(data, rng)
    path.write_bytes(damaged)
    return how


def _use_network(path: Path, scales: str, *, copy: bool) -> None:
    from edgefas.engines.lowering.check import load_graph
    from edgefas.engines.runtime import load_engine
    from edgefas.engines.runtime.onnx_file import check_network, read_onnx_file
    from tests.engines.graphs import noise

    if copy:
        check_network(read_onnx_file(path))
    with load_engine(path, "onnxruntime", threads=1, reference=copy) as engine:
        engine.score(noise(1, 0))
    if path.suffix == ".onnx" and not copy:
        _lower(load_graph(path), scales)


def _use_scales(data: bytes, source: bytes) -> None:
    import onnx

    from edgefas.calibration.scale_table import ScaleTable

    table = ScaleTable.from_json(data)
    _lower(onnx.ModelProto.FromString(source), table.to_json())


def _lower(model: Any, scales: str) -> None:
    """With a table that is said to be this network's: the hash alone would refuse most."""
    from edgefas.calibration.recipe import Recipe
    from edgefas.calibration.scale_table import ScaleTable
    from edgefas.engines.lowering.graph import source_sha256
    from edgefas.engines.lowering.ort import lower_ort
    from edgefas.engines.lowering.tensorrt import lower_tensorrt

    recipe = Recipe(quantize=("Conv", "Gemm", "Add"))
    table = ScaleTable.from_json(scales).model_copy(update={"source_sha256": source_sha256(model)})
    lower_ort(model, table, recipe)
    lower_ort(model, table, recipe, asymmetric=True)
    lower_tensorrt(model, "int8+fp16", "stock", table, recipe)


def work(first: int, count: int) -> None:
    """The worker: one JSON line per case on the descriptor that was stdout."""
    results = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # native libraries print there
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        originals = _originals(scratch)
        for case in range(first, first + count):
            print(json.dumps(asdict(run_case(case, originals, scratch))), file=results, flush=True)


def run_campaign(first: int, count: int) -> Iterator[Outcome]:
    """Cases `first` to `first + count - 1`, in workers."""
    case, end = first, first + count
    while case < end:
        command = [sys.executable, "-m", "tests.campaigns.mutated_models", "--first", str(case)]
        command += ["--count", str(end - case), "--worker"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as worker:
            for outcome in _lines(worker):
                yield outcome
                case = outcome.case + 1
            if worker.poll() is None:
                worker.kill()
                worker.wait()
                ending = f"still running after {LIMIT_S:g} s"
            else:
                ending = f"the process ended with {worker.returncode}"
        if case < end:
            yield Outcome(case, KINDS[case % len(KINDS)], "crash", ending)
            case += 1


def _lines(worker: subprocess.Popen[bytes]) -> Iterator[Outcome]:
    """Until the worker ends or is silent for `LIMIT_S` (longer at the start: imports)."""
    assert worker.stdout is not None
    descriptor, buffer, patience_s = worker.stdout.fileno(), b"", 4 * LIMIT_S
    with selectors.DefaultSelector() as selector:
        selector.register(descriptor, selectors.EVENT_READ)
        while selector.select(patience_s):
            block = os.read(descriptor, 65536)
            if not block:
                worker.wait()
                return
            *lines, buffer = (buffer + block).split(b"\n")
            for line in lines:
                yield Outcome(**json.loads(line))
                patience_s = LIMIT_S


def main(
    count: Annotated[int, typer.Option(min=1)] = 50_000,
    first: Annotated[int, typer.Option(min=0)] = 0,
    out: Annotated[Path | None, typer.Option("-o", "--out")] = None,
    worker: Annotated[bool, typer.Option("--worker", hidden=True)] = False,
) -> None:
    """Run the campaign; exits 1 if a case failed."""
    if worker:
        work(first, count)
        return
    results: Counter[str] = Counter()
    failed: list[dict[str, Any]] = []
    for number, outcome in enumerate(run_campaign(first, count)):
        results[f"{outcome.kind.partition(':')[0]}: {outcome.result}"] += 1
        if outcome.problem:
            failed.append(asdict(outcome))
        if number % 1000 == 999:
            print(f"{number + 1} of {count}, {len(failed)} failed", file=sys.stderr, flush=True)
    limits = {"seconds": LIMIT_S, "memory_bytes": MEMORY_BYTES}
    kinds = dict(sorted(results.items()))
    finish("mutated_models", out, failed, seed=SEED, limits=limits, cases=count, by_file_and_result=kinds)


if __name__ == "__main__":
    typer.run(main)
