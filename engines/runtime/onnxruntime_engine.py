"""ONNX Runtime on the CPU: the default engine, on a desk and on a board without TensorRT."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edgefas.contracts import InputSpec
from edgefas.engines.runtime.engine import F32, Engine, EngineError
from edgefas.engines.runtime.metadata import input_spec_from
from edgefas.errors import require

MODEL_FILE = "model.onnx"
GRID_SAMPLE_FILE = "model.gridsample.onnx"
"""The same network for ONNX Runtime < 1.25, which has no DeformConv kernel."""
WEIGHTS_FILE = "weights.bin"
"""The constants of both."""


class OnnxRuntimeEngine(Engine):
    """A session on the CPU."""

    backend = "onnxruntime"

    def __init__(self, path: Path, session: Any) -> None:
        self.spec = input_spec_from(path, metadata_of(path, session))
        self.outputs = tuple(output.name for output in session.get_outputs())
        self._session = session
        _check_graph(path, session, self.spec)

    def _run(self, inputs: dict[str, F32], outputs: tuple[str, ...]) -> dict[str, F32]:
        try:
            return dict(zip(outputs, self._session.run(list(outputs), inputs), strict=True))
        except Exception as error:  # onnxruntime has no common base for its exceptions
            raise EngineError(f"ONNX Runtime failed: {_first_line(error)}") from error


def load_onnxruntime(path: Path, threads: int, reference: bool) -> OnnxRuntimeEngine:
    """Open an `.onnx` file, or the file of a folder that this ONNX Runtime can run."""
    ort = require("onnxruntime", "cpu")
    files = [path / MODEL_FILE, path / GRID_SAMPLE_FILE] if path.is_dir() else [path]
    options = _session_options(ort, threads, reference)
    for file in files:
        if not file.is_file():
            raise EngineError(f"{path} has no {file.name}; write it again with: edgefas quantize")
        try:
            network = _as_reference(file) if reference else str(file)
            session = ort.InferenceSession(network, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime has no common base for its exceptions
            if not reference and "is not a registered function/op" in str(error):
                raise EngineError(
                    f"{path} has nodes that ONNX Runtime does not know: {_first_line(error)}; a copy for TensorRT runs "
                    "as written only: edgefas compare --reference, or load_engine(…, reference=True)"
                ) from error
            if type(error).__name__ != "NotImplemented":
                raise EngineError(f"{file} is not a network ONNX Runtime can read: {_first_line(error)}") from error
            missing = error
        else:
            return _checked(file, session)
    raise EngineError(
        f"ONNX Runtime {ort.__version__} cannot run {path}: {_first_line(missing)}; install onnxruntime>=1.25, "
        f"or give a folder written by `edgefas quantize`, which holds {GRID_SAMPLE_FILE} for older ones"
    )


def _checked(path: Path, session: Any) -> OnnxRuntimeEngine:
    try:
        return OnnxRuntimeEngine(path, session)
    except UnicodeDecodeError:
        raise EngineError(f"{path} has names that are no text; write it again with: edgefas export") from None


def metadata_of(path: Path, session: Any) -> dict[str, str]:
    """What the file says about itself.

    Raises:
        EngineError: it is not UTF-8.
    """
    try:
        return dict(session.get_modelmeta().custom_metadata_map)
    except UnicodeDecodeError:
        raise EngineError(f"{path} has damaged metadata; write it again with: edgefas export") from None


def open_session(ort: Any, path: Path, threads: int) -> Any:
    """A session on one file, whatever is in it.

    Raises:
        EngineError: ONNX Runtime cannot read or run it.
    """
    try:
        return ort.InferenceSession(
            str(path), _session_options(ort, threads, reference=False), providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # onnxruntime has no common base for its exceptions
        raise EngineError(f"{path} is not a network ONNX Runtime can run: {_first_line(error)}") from error


def _session_options(ort: Any, threads: int, reference: bool) -> Any:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # Idle workers otherwise spin after a run and take the cores from the camera (and from other sessions).
    options.add_session_config_entry("session.force_spinning_stop", "1")
    # x86 without VNNI adds uint8 x int8 products in int16, which saturates: exact is the only acceptable answer.
    options.add_session_config_entry("session.x64quantprecision", "1")
    if reference:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    return options


def _as_reference(path: Path) -> str | bytes:
    """The file; or, if it was lowered for TensorRT, bytes of what it means on a CPU. Never on a board: needs onnx."""
    onnx = require("onnx", "export")
    from edgefas.engines.lowering.reference import for_cpu, needs_reference

    try:
        model = onnx.load(path, load_external_data=False)
    except Exception:  # not ONNX: the session says so
        return str(path)
    if not needs_reference(model):
        return str(path)
    data: bytes = for_cpu(model).SerializeToString()
    return data


def _check_graph(path: Path, session: Any, spec: InputSpec) -> None:
    """The graph must take what its InputSpec says and give `score`."""
    wanted = {m.value: list(spec.shape(m)) for m in spec.modalities}
    found = {i.name: list(i.shape[1:]) for i in session.get_inputs() if i.type == "tensor(float)"}
    if found != wanted or len(found) != len(session.get_inputs()):
        raise EngineError(f"{path} takes {found}, its InputSpec says {wanted}; write it again with: edgefas export")
    if "score" not in {output.name for output in session.get_outputs()}:
        raise EngineError(f"{path} has no output 'score'; write it again with: edgefas export")


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:300]
