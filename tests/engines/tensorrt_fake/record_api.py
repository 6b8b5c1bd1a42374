"""Records what the Python API of one TensorRT release is: names, parameters, defaults, enum members. No prose.

    python tests/engines/tensorrt_fake/record_api.py OUT.json

needs the bindings alone (`pip install --no-deps tensorrt-cu12-bindings==10.3.0`). Without libnvinfer, ten empty
symbols in its place let them import, since only constructors reach the library and none is called here:

    for s in createInferBuilder createInferRefitter createInferRuntime createNvOnnxParserRefitter createNvOnnxParser; do
      echo "void* ${s}_INTERNAL(){return 0;}"; done > stub.c
    for s in getBuilderPluginRegistry getPluginRegistry initLibNvInferPlugins; do
      echo "void* $s(){return 0;}"; done >> stub.c
    for s in getNvOnnxParserVersion getInferLibVersion; do echo "int $s(){return 0;}"; done >> stub.c
    for l in nvinfer nvinfer_plugin nvonnxparser; do
      gcc -shared -fPIC -Wl,-soname,lib$l.so.10 -o stubs/lib$l.so.10 stub.c; done   # .11 for TensorRT 11
    LD_LIBRARY_PATH=stubs python tests/engines/tensorrt_fake/record_api.py tests/engines/tensorrt_fake/api/10.3.json
"""

from __future__ import annotations

import importlib
import json
import re
import sys
from pathlib import Path
from typing import Any

CLASSES = (
    *("ILogger", "Logger", "Builder", "IBuilderConfig", "IOptimizationProfile", "INetworkDefinition", "ITensor"),
    *("OnnxParser", "ParserError", "Runtime", "ICudaEngine", "IExecutionContext", "EngineInspector", "Dims"),
    *("IHostMemory", "ITimingCache", "IPluginRegistry", "IProgressMonitor", "IProfiler"),
)
"""What a program that builds and runs plans from ONNX can meet; `add_*` of networks (layers by hand) is left out."""
ENUMS = (
    *("BuilderFlag", "DataType", "HardwareCompatibilityLevel", "LayerInformationFormat", "MemoryPoolType"),
    *("NetworkDefinitionCreationFlag", "OnnxParserFlag", "ProfilingVerbosity", "TensorIOMode", "TensorLocation"),
    *("ErrorCode", "ExecutionContextAllocationStrategy"),
)
FUNCTIONS = ("get_plugin_registry", "get_builder_plugin_registry", "init_libnvinfer_plugins")
PREFIXES = re.compile(
    r"\b(?:tensorrt_bindings|tensorrt|nvinfer1|nvonnxparser|typing|typing_extensions|collections|abc)(?:\.|::)"
)


def main(out: Path) -> None:
    trt = importlib.import_module("tensorrt_bindings")
    api = {
        "version": trt.__version__,
        "classes": {name: record_class(getattr(trt, name)) for name in CLASSES},
        "enums": {name: record_enum(getattr(trt, name)) for name in ENUMS}
        | {"Severity": record_enum(trt.ILogger.Severity)},
        "functions": {name: overloads(name, getattr(trt, name).__doc__, bound=False) for name in FUNCTIONS},
    }
    out.write_text(json.dumps(api, separators=(",", ":"), sort_keys=True).replace("},", "},\n") + "\n")


def record_enum(kind: Any) -> dict[str, int]:
    return {name: int(value) for name, value in kind.__members__.items()}


def record_class(kind: Any) -> dict[str, Any]:
    """Methods with overloads, properties with whether they can be set, aliases of enum members, the base."""
    methods: dict[str, Any] = {}
    properties: dict[str, bool] = {}
    aliases: dict[str, str] = {}
    for name in dir(kind):
        value = getattr(kind, name)
        if isinstance(value, property):
            properties[name] = value.fset is not None
        elif hasattr(type(value), "__members__"):
            aliases[name] = f"{type(value).__name__}.{value.name}"
        elif name == "__init__" or (name[0] != "_" and callable(value) and not isinstance(value, type)):
            if kind.__name__ == "INetworkDefinition" and name.startswith("add_"):
                continue
            found = overloads(name, value.__doc__, bound=True)
            if found:
                methods[name] = found
    base = kind.__mro__[1].__name__
    return {"base": base if base in CLASSES else None, "methods": methods, "properties": properties, "aliases": aliases}


def overloads(name: str, doc: str | None, *, bound: bool) -> list[list[list[Any]]]:
    """Per overload its parameters: [name, type, has a default]."""
    found = []
    for line in (doc or "").splitlines():
        match = re.match(rf"\s*(?:\d+\. )?{re.escape(name)}\((.*)\) -> ", line)
        if match and "*args" not in match[1]:
            parameters = [parameter(text) for text in split(match[1])]
            found.append(parameters[1:] if bound else parameters)
    return found


def parameter(text: str) -> list[Any]:
    name, _, rest = text.partition(":")
    kind, default, _ = rest.partition(" = ")
    return [name.strip(), PREFIXES.sub("", kind).strip(), bool(default)]


def split(text: str) -> list[str]:
    """At commas outside of brackets."""
    parts, depth = [""], 0
    for letter in text:
        depth += (letter in "[(<{") - (letter in "])>}")
        if letter == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return [part.strip() for part in parts if part.strip()]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
