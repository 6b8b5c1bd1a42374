"""What the fake's methods do; named as TensorRT's classes, called with arguments that passed the recorded signatures.

A plan is a line of JSON (what it is tied to) and the ONNX, which ONNX Runtime executes. The rules TensorRT has and
breaks silently are assertions here: strongly typed by symbol, profiles for free batches, a current context, addresses
and shapes before a run, own nodes without local functions.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper

from tests.engines.tensorrt_fake.own_nodes import session

MAGIC = b"fake plan\n"
TIMING = b"fake timing cache "


def new(trt: Any, name: str, **state: Any) -> Any:
    made = object.__new__(getattr(trt, name))
    made.__dict__.update(state, trt=trt)
    return made


class ILogger:
    def log(self, severity: Any, msg: str) -> None:
        raise AssertionError("a logger must say what it does with a message")


class Dims:
    def __init__(self, shape: Any = ()) -> None:
        self.__dict__["sides"] = tuple(shape)

    def __iter__(self) -> Any:
        return iter(self.__dict__["sides"])

    def __len__(self) -> int:
        return len(self.__dict__["sides"])


class IHostMemory:
    def __bytes__(self) -> bytes:
        data: bytes = self.__dict__["data"]
        return data

    def get_nbytes(self) -> int:
        return len(self.__dict__["data"])


class Builder:
    def __init__(self, logger: Any) -> None:
        self.__dict__.update(log=logger)

    def create_network(self, flags: int = 0) -> Any:
        d = self.__dict__
        strong = 1 << int(d["trt"].NetworkDefinitionCreationFlag.STRONGLY_TYPED)
        if int(d["trt"].__version__.split(".")[0]) < 11:
            assert flags == strong, "the network is not strongly typed"
        else:
            assert flags == 0, "in TensorRT 11 every bit is another flag"
        return new(d["trt"], "INetworkDefinition", model=None)

    def create_builder_config(self) -> Any:
        return new(self.trt, "IBuilderConfig", profiles=[], flags={"TF32"}, cache=None, pools={})

    def create_optimization_profile(self) -> Any:
        return new(self.trt, "IOptimizationProfile", shapes={})

    def build_serialized_network(self, network: Any, config: Any) -> Any:
        d, c = self.__dict__, config.__dict__
        gpu = d["trt"].gpu
        gpu.need_context()
        gpu.builds += 1
        inputs = {value.name: shape_of(value) for value in network.model.graph.input}
        for name, shape in inputs.items():
            assert None not in shape or c["profiles"], f"{name} has a free side and no profile"
            for profile in c["profiles"]:
                low, opt, high = profile.shapes[name]
                assert all(a <= b <= c for a, b, c in zip(low, opt, high, strict=True))
                assert all(side in (None, a) for side, a in zip(shape, high, strict=True)) or shape[0] is None
                assert tuple(high[1:]) == shape[1:], f"profile of {name}: {high}, the network has {shape}"
        monitor = c.get("_progress_monitor")
        if monitor is not None:
            monitor.phase_start("building", None, 2)
            for step in (1, 2):
                if not monitor.step_complete("building", step):
                    return None
            monitor.phase_finish("building")
        if gpu.refuse_build:
            d["log"].log(d["trt"].ILogger.Severity.ERROR, "no implementation for node mix\n")
            return None
        c["cache"].__dict__["data"] = TIMING + d["trt"].__version__.encode()
        header = {
            "tensorrt": d["trt"].__version__,
            "compute_capability": gpu.compute_capability,
            "profiles": [{n: [list(s) for s in shapes] for n, shapes in p.shapes.items()} for p in c["profiles"]],
            "own": sorted({node.op_type for node in network.model.graph.node if node.domain == "edgefas"}),
            "detailed": c.get("_profiling_verbosity") == d["trt"].ProfilingVerbosity.DETAILED,
            "tf32": "TF32" in c["flags"],
            "sha256": network.sha256,
        }
        data = MAGIC + json.dumps(header).encode() + b"\n" + network.model.SerializeToString()
        return new(d["trt"], "IHostMemory", data=data)


class IBuilderConfig:
    def set_memory_pool_limit(self, pool: Any, pool_size: int) -> None:
        self.__dict__["pools"][pool] = pool_size

    def clear_flag(self, flag: Any) -> None:
        self.__dict__["flags"].discard(flag.name)

    def add_optimization_profile(self, profile: Any) -> int:
        self.__dict__["profiles"].append(profile)
        return len(self.__dict__["profiles"]) - 1

    def create_timing_cache(self, serialized_timing_cache: Any) -> Any:
        return new(self.trt, "ITimingCache", data=bytes(serialized_timing_cache))

    def set_timing_cache(self, cache: Any, ignore_mismatch: bool) -> bool:
        data = cache.__dict__["data"]
        if data not in (b"", TIMING + self.trt.__version__.encode()) and not ignore_mismatch:
            return False
        self.__dict__["cache"] = cache
        return True

    def get_timing_cache(self) -> Any:
        return self.__dict__["cache"]


class ITimingCache:
    def serialize(self) -> Any:
        return new(self.trt, "IHostMemory", data=self.__dict__["data"])


class IOptimizationProfile:
    def set_shape(self, input: str, min: Any, opt: Any, max: Any) -> None:
        self.__dict__["shapes"][input] = (tuple(min), tuple(opt), tuple(max))


class INetworkDefinition:
    def get_num_outputs(self) -> int:
        return len(self.__dict__["model"].graph.output)

    def get_output(self, index: int) -> Any:
        return new(self.trt, "ITensor", _name=self.__dict__["model"].graph.output[index].name)


class OnnxParser:
    def __init__(self, network: Any, logger: Any) -> None:
        self.__dict__.update(network=network, errors=[], log=logger)

    def parse(self, model: Any, path: str | None = None) -> bool:
        d = self.__dict__
        data = bytes(model)
        try:
            parsed = onnx.load_from_string(data)
        except Exception:
            d["log"].log(d["trt"].ILogger.Severity.ERROR, "ModelImporter: cannot parse")
            return False
        if path is not None:
            onnx.load_external_data_for_model(parsed, str(Path(path).parent))
        assert not parsed.functions, "a local function would win over the plugin on 10.3"
        for node in parsed.graph.node:
            if node.domain == "edgefas":
                attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
                key = (node.op_type, attributes["plugin_version"].decode(), attributes["plugin_namespace"].decode())
                if key not in d["trt"].registry.__dict__.get("creators", set()):
                    d["errors"].append((node, "getPluginCreator could not find plugin"))
            elif not onnx.defs.has(node.op_type):
                d["errors"].append((node, "no importer registered for op"))
        d["network"].__dict__.update(model=parsed, sha256=hashlib.sha256(data).hexdigest())
        return not d["errors"]

    def get_num_errors(self) -> int:
        return len(self.__dict__["errors"])

    def get_error(self, index: int) -> Any:
        node, text = self.__dict__["errors"][index]
        return new(self.trt, "ParserError", node=node, text=text)


class ParserError:
    def desc(self) -> str:
        return str(self.__dict__["text"])

    def node_name(self) -> str:
        return str(self.__dict__["node"].name)

    def node_operator(self) -> str:
        return str(self.__dict__["node"].op_type)


class IPluginRegistry:
    def load_library(self, plugin_path: str) -> Any:
        loaded = self.__dict__.setdefault("libraries", {})
        assert plugin_path not in loaded, "a library is registered once"
        try:
            creators = json.loads(Path(plugin_path).read_text())["creators"]
        except (OSError, ValueError):
            return None
        loaded[plugin_path] = object()
        self.__dict__.setdefault("creators", set()).update(map(tuple, creators))
        return loaded[plugin_path]


class Runtime:
    def __init__(self, logger: Any) -> None:
        self.trt.gpu.need_context()
        self.__dict__.update(log=logger, _engine_host_code_allowed=None)

    def deserialize_cuda_engine(self, serialized_engine: Any) -> Any:
        d = self.__dict__
        d["trt"].gpu.need_context()
        assert d["_engine_host_code_allowed"] is False, "host code must be forbidden by name"
        data = bytes(serialized_engine)
        header = json.loads(data[len(MAGIC) :].split(b"\n", 1)[0]) if data.startswith(MAGIC) else {}
        mine = {"tensorrt": d["trt"].__version__, "compute_capability": list(d["trt"].gpu.compute_capability)}
        missing = [
            op
            for op in header.get("own", [])
            if op not in {c[0] for c in d["trt"].registry.__dict__.get("creators", ())}
        ]
        if any(header.get(key) != value for key, value in mine.items()) or missing:
            d["log"].log(d["trt"].ILogger.Severity.ERROR, f"Serialization assertion failed {missing}")
            return None
        model = onnx.load_from_string(data[len(MAGIC) :].split(b"\n", 1)[1])
        return new(d["trt"], "ICudaEngine", model=model, header=header, session=session(model, d["trt"].gpu.plugin_bug))


class ICudaEngine:
    def get_num_io_tensors(self) -> int:
        graph = self.__dict__["model"].graph
        return len(graph.input) + len(graph.output)

    def get_tensor_name(self, index: int) -> str:
        graph = self.__dict__["model"].graph
        return str([*graph.input, *graph.output][index].name)

    def get_tensor_mode(self, name: str) -> Any:
        inputs = {value.name for value in self.__dict__["model"].graph.input}
        return self.trt.TensorIOMode.INPUT if name in inputs else self.trt.TensorIOMode.OUTPUT

    def get_tensor_dtype(self, name: str) -> Any:
        return self.trt.DataType.FLOAT

    def get_tensor_shape(self, name: str) -> Any:
        graph = self.__dict__["model"].graph
        value = next(v for v in [*graph.input, *graph.output] if v.name == name)
        return self.trt.Dims([-1 if side is None else side for side in shape_of(value)])

    def create_execution_context(self, strategy: Any = None) -> Any:
        self.trt.gpu.need_context()
        return new(self.trt, "IExecutionContext", owner=self, shapes={}, addresses={}, profile=None, _profiler=None)

    def create_engine_inspector(self) -> Any:
        return new(self.trt, "EngineInspector", owner=self)


class EngineInspector:
    def get_engine_information(self, format: Any) -> str:
        assert format == self.trt.LayerInformationFormat.JSON
        assert self.__dict__["owner"].header["detailed"], "only a detailed plan tells formats"
        layers = [{"Name": name, "LayerType": kind, "Outputs": [{"Name": "t", "Format/Datatype": form}]}
                  for name, kind, form in LAYERS]  # fmt: skip
        return json.dumps({"Layers": layers, "Bindings": []})


LAYERS = (
    ("stem", "CaskConvolution", "Row major linear FP32"),
    ("reformat before mix", "Reformat", "Thirty-two wide channel vectorized row major Int8 format"),
    ("mix", "CaskConvolution", "Thirty-two wide channel vectorized row major Int8 format"),
    ("head", "Gemm", "Row major linear Half"),
)


class IExecutionContext:
    def set_optimization_profile_async(self, profile_index: int, stream_handle: int) -> bool:
        assert stream_handle in self.trt.gpu.streams
        profiles = self.__dict__["owner"].header["profiles"]
        if profile_index >= len(profiles):
            return False
        self.__dict__["profile"] = profiles[profile_index]
        return True

    def set_tensor_address(self, name: str, memory: int) -> bool:
        self.__dict__["addresses"][name] = memory
        return memory in self.trt.gpu.memory

    def set_input_shape(self, name: str, shape: Any) -> bool:
        low, _, high = self.__dict__["profile"][name]
        if not all(a <= side <= b for a, side, b in zip(low, shape, high, strict=True)):
            return False
        self.__dict__["shapes"][name] = tuple(shape)
        return True

    def execute_async_v3(self, stream_handle: int) -> bool:
        d, gpu = self.__dict__, self.trt.gpu
        owner, shapes, addresses = d["owner"], dict(d["shapes"]), dict(d["addresses"])
        inputs = [value.name for value in owner.model.graph.input]
        outputs = [value.name for value in owner.model.graph.output]
        if set(shapes) != set(inputs) or set(addresses) != {*inputs, *outputs}:
            return False
        profiler = d["_profiler"]

        def work() -> None:
            feed = {
                name: np.frombuffer(bytes(gpu.memory[addresses[name]]), np.float32)[: int(np.prod(shape))].reshape(
                    shape
                )
                for name, shape in shapes.items()
            }
            for name, array in zip(outputs, owner.session.run(outputs, feed), strict=True):
                data = (array + np.float32(gpu.score_offset.get(owner.header["sha256"], 0.0))).tobytes()
                gpu.memory[addresses[name]][: len(data)] = data
            gpu.seconds += gpu.run_ms.get(owner.header["sha256"], 50.0) / 1e3
            for number, (name, _, _) in enumerate(LAYERS if profiler is not None else ()):
                profiler.report_layer_time(name, 0.25 * (number + 1))

        gpu.put(stream_handle, work)
        return True


def shape_of(value: Any) -> tuple[int | None, ...]:
    return tuple(d.dim_value if d.HasField("dim_value") else None for d in value.type.tensor_type.shape.dim)
