"""The `tensorrt` package: where it comes from, what it logs, and the plugin libraries of this process."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from edgefas.engines.runtime.engine import EngineError
from edgefas.errors import MissingExtra

OLDEST = (10, 3)
"""JetPack 6.1's."""
KEPT_LOG_LINES = 50


def require_tensorrt() -> Any:
    """The module.

    Raises:
        MissingExtra: not here; says where it comes from on a Jetson and on a PC.
        EngineError: older than what edgefas drives.
    """
    try:
        trt = import_module("tensorrt")
    except (ImportError, OSError) as error:  # OSError: the package is there, its libraries are not
        raise MissingExtra(
            f"TensorRT cannot be imported ({error}). On a Jetson it is JetPack's system package: "
            "sudo apt install nvidia-jetpack, and the virtual environment must be made with "
            "python3 -m venv --system-site-packages. On a PC with an NVIDIA GPU: pip install 'edgefas[tensorrt]'. "
            "Without a GPU, ONNX Runtime runs the same network: edgefas live --model FOLDER"
        ) from error
    if version(trt) < OLDEST:
        raise EngineError(f"TensorRT {trt.__version__} is too old; edgefas needs 10.3 (JetPack 6.1) or newer")
    return trt


def version(trt: Any) -> tuple[int, int]:
    """(major, minor)."""
    major, minor = trt.__version__.split(".")[:2]
    return int(major), int(minor)


def make_log(trt: Any) -> Any:
    """A TensorRT logger that keeps errors and warnings in `lines` instead of printing them."""

    class Log(trt.ILogger):
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.lines: list[str] = []

        def log(self, severity: Any, msg: str) -> None:
            if severity in (trt.ILogger.Severity.INTERNAL_ERROR, trt.ILogger.Severity.ERROR):
                self.lines = [*self.lines[1 - KEPT_LOG_LINES :], msg.strip()]

        def first(self) -> str:
            """The first error, which is the cause; the others follow from it."""
            return self.lines[0][:400] if self.lines else "TensorRT gave no reason"

    return Log()


def load_plugins(trt: Any, library: Path) -> None:
    """Register the creators of a plugin library, once in this process.

    Raises:
        EngineError: TensorRT refuses it.
    """
    _load_once(trt, library.resolve())


@cache
def _load_once(trt: Any, library: Path) -> Any:
    handle = trt.get_plugin_registry().load_library(str(library))
    if handle is None:
        raise EngineError(f"TensorRT cannot load the plugins {library}; build them again with: edgefas build MODEL")
    return handle
