"""What `edgefas build` may build: the lowered ONNX files of a model, each by precision and kind of plugins."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from edgefas.contracts import InputSpec
from edgefas.engines.precision import Plugins, Precision
from edgefas.engines.runtime import EngineError
from edgefas.engines.runtime.metadata import MODEL_NAME_KEY
from edgefas.engines.runtime.onnx_file import OnnxFile, check_network, read_onnx_file
from edgefas.engines.runtime.tensorrt_engine import lowered_files
from edgefas.errors import UsageError

Choice = Literal["fp32", "fp16", "int8", "int8+fp16", "best"]
FILE_NAME = re.compile(r"(fp32|fp16|int8|int8-fp16)-(own|stock)\.onnx")


@dataclass(frozen=True)
class Candidate:
    """One file, checked; nothing of it was handed to a native parser yet."""

    file: OnnxFile
    spec: InputSpec
    precision: Precision
    plugins: Plugins

    @property
    def name(self) -> str:
        """As its file is called in a folder of `edgefas quantize`."""
        return f"{self.precision.replace('+', '-')}-{self.plugins}"

    @property
    def model(self) -> str:
        """The network's registered name, if the file gives one."""
        return self.file.metadata.get(MODEL_NAME_KEY) or self.file.path.stem

    @property
    def needs_library(self) -> bool:
        """Whether it has nodes of our own plugins: many networks have neither BTE nor DCNv2."""
        return bool(self.file.own_ops)


def find_candidates(model: Path, precision: Choice, plugins: Plugins | None) -> list[Candidate]:
    """The files that fit, `stock` before `own`; equal files count once.

    Args:
        model: a folder of `edgefas quantize`, or one lowered `.onnx`.
        precision: "best" takes all there are.
        plugins: None takes both.

    Raises:
        UsageError: no such path, or nothing in it fits.
        EngineError: a file is not a network of edgefas, see `check_network`.
    """
    if not model.exists():
        raise UsageError(f"no such file or folder: {model}; write one with: edgefas quantize")
    if not (model.is_dir() or (model.is_file() and model.suffix == ".onnx")):
        raise UsageError(
            f"{model} cannot be built from; give a bundle, a folder written by `edgefas quantize`, or an .onnx of it"
        )
    files = lowered_files(model)
    if not files:
        raise UsageError(f"{model} has no tensorrt/*.onnx; write it again with: edgefas quantize")
    found = [_candidate(path) for path in files]
    fitting = [
        candidate
        for candidate in sorted(found, key=lambda c: (get_args(Precision).index(c.precision), c.plugins == "own"))
        if precision in ("best", candidate.precision) and plugins in (None, candidate.plugins)
    ]
    unique = list({candidate.file.sha256(): candidate for candidate in reversed(fitting)}.values())[::-1]
    if not unique:
        raise UsageError(
            f"{model} has nothing for --precision {precision}{f' --plugins {plugins}' if plugins else ''}; "
            f"there is: {', '.join(f'{c.precision} ({c.plugins})' for c in found)}"
        )
    return unique


def _candidate(path: Path) -> Candidate:
    file = read_onnx_file(path)
    spec = check_network(file)
    named = FILE_NAME.fullmatch(path.name)
    precision = named[1].replace("-", "+") if named else file.precision
    plugins = named[2] if named else "own" if file.own_ops else "stock"
    if plugins == "stock" and file.own_ops:
        raise EngineError(f"{path} is named stock, and needs {', '.join(sorted(file.own_ops))}; lower it again")
    return Candidate(file, spec, precision, plugins)  # type: ignore[arg-type]
