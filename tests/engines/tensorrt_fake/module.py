"""A module `tensorrt` made of a recorded API: what the release does not have, it does not have either."""

from __future__ import annotations

import json
from enum import Enum
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from tests.engines.tensorrt_fake import behaviour
from tests.engines.tensorrt_fake.gpu import Gpu

API = Path(__file__).parent / "api"
NUMBERS = {"int": int, "SupportsInt": int, "float": (int, float), "SupportsFloat": (int, float)}
SEQUENCES = ("tuple", "list", "List[int]", "Sequence[SupportsInt]")
SUBCLASSABLE = ("ILogger", "IProgressMonitor", "IProfiler")


@cache
def recorded(release: str) -> dict[str, Any]:
    api: dict[str, Any] = json.loads((API / f"{release}.json").read_text())
    return api


def make_tensorrt(release: str, gpu: Gpu | None = None) -> ModuleType:
    """The fake of one release, on a GPU."""
    api = recorded(release)
    trt = ModuleType("tensorrt")
    trt.__version__ = api["version"]
    trt.gpu = gpu or Gpu()
    for name, members in api["enums"].items():
        setattr(trt, name, Enum(name, members, type=None, module="tensorrt"))
        getattr(trt, name).__int__ = lambda self: self.value
    made: dict[str, type] = {}
    for name in api["classes"]:
        _make_class(trt, api, name, made)
    for name, overloads in api["functions"].items():
        setattr(trt, name, _function(trt, name, overloads))
    registry = _new(trt, "IPluginRegistry")
    trt.registry = registry
    severity = trt.Severity
    del trt.Severity
    trt.ILogger.Severity = severity
    return trt


def _new(trt: Any, name: str, **state: Any) -> Any:
    """An object of a class that programs cannot construct."""
    made = object.__new__(getattr(trt, name))
    made.__dict__.update(state, trt=trt)
    return made


def _make_class(trt: Any, api: dict[str, Any], name: str, made: dict[str, type]) -> type:
    if name in made:
        return made[name]
    facts = api["classes"][name]
    base = _make_class(trt, api, facts["base"], made) if facts["base"] else object
    body: dict[str, Any] = {"__setattr__": _refusing_setattr}
    acts = getattr(behaviour, name, object)
    for method, overloads in facts["methods"].items():
        body[method] = _method(trt, name, method, overloads, getattr(acts, method, None))
    if "__init__" not in facts["methods"]:
        body["__init__"] = _no_constructor
    for prop, settable in facts["properties"].items():
        body[prop] = _property(name, prop, settable, getattr(acts, f"get_{prop}", None))
    for special in ("__iter__", "__len__", "__getitem__", "__bytes__"):
        if hasattr(acts, special) and special in vars(acts):
            body[special] = vars(acts)[special]
    for alias, target in facts["aliases"].items():
        kind, member = target.split(".")
        body[alias] = getattr(trt, kind)[member]
    made[name] = type(name, (base,), body)
    made[name].native = True
    setattr(trt, name, made[name])
    return made[name]


def _refusing_setattr(self: Any, name: str, value: Any) -> None:
    """As pybind11: an attribute nobody declared cannot be set, except on what Python derived."""
    if "native" in vars(type(self)) and not isinstance(getattr(type(self), name, None), property):
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")
    object.__setattr__(self, name, value)


def _no_constructor(self: Any, *args: Any, **kwargs: Any) -> None:
    raise TypeError(f"{type(self).__name__}: No constructor defined!")


def _method(trt: Any, owner: str, name: str, overloads: Any, act: Any) -> Any:
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        bound = bind(trt, f"{owner}.{name}", overloads, args, kwargs)
        if name == "__init__":
            self.__dict__["trt"] = trt
        if act is None:
            if name == "__init__" or owner in SUBCLASSABLE:
                return None
            raise AssertionError(f"the fake does not do {owner}.{name}")
        return act(self, **bound)

    call.__name__ = name
    return call


def _function(trt: Any, name: str, overloads: Any) -> Any:
    def call(*args: Any, **kwargs: Any) -> Any:
        bind(trt, name, overloads, args, kwargs)
        assert name == "get_plugin_registry", f"the fake does not do {name}"
        return trt.registry

    return call


def _property(owner: str, name: str, settable: bool, getter: Any) -> property:
    def get(self: Any) -> Any:
        if getter is not None:
            return getter(self)
        if f"_{name}" not in self.__dict__:
            raise AssertionError(f"the fake does not give {owner}.{name}")
        return self.__dict__[f"_{name}"]

    def put(self: Any, value: Any) -> None:
        self.__dict__[f"_{name}"] = value

    return property(get, put if settable else None)


def bind(trt: Any, where: str, overloads: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """Arguments by parameter name, of the first overload that takes them; a TypeError as pybind11 gives it."""
    for parameters in overloads:
        names = [name for name, _, _ in parameters]
        if len(args) > len(names) or set(kwargs) - set(names[len(args) :]):
            continue
        given = dict(zip(names, args, strict=False)) | kwargs
        if all(
            fits(trt, given[name], kind, default) if name in given else default for name, kind, default in parameters
        ):
            return given
    forms = "; ".join(str([f"{name}: {kind}" for name, kind, _ in parameters]) for parameters in overloads)
    raise TypeError(f"{where}(): incompatible function arguments {args} {kwargs}; there are: {forms}")


def fits(trt: Any, value: Any, kind: str, has_default: bool) -> bool:
    """Whether pybind11 converts `value` to a parameter of this type."""
    if value is None and has_default:
        return True
    if kind in NUMBERS:
        return isinstance(value, NUMBERS[kind]) and not isinstance(value, Enum)
    if kind in ("str", "bool"):
        return isinstance(value, {"str": str, "bool": bool}[kind])
    if kind in ("buffer", "Buffer"):
        return isinstance(value, (bytes, bytearray, memoryview, trt.IHostMemory))
    if kind == "Dims" or kind in SEQUENCES:
        return isinstance(value, (tuple, list)) and all(isinstance(side, int) for side in value)
    known = trt.ILogger.Severity if kind == "ILogger.Severity" else getattr(trt, kind, None)
    return known is not None and isinstance(value, known)
