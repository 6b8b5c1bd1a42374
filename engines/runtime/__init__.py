"""Running networks. Nothing here imports torch or onnx until a backend is asked for that needs it."""

from edgefas.engines.runtime.engine import Engine, EngineError, Inputs
from edgefas.engines.runtime.load import BACKENDS, load_engine

__all__ = ["BACKENDS", "Engine", "EngineError", "Inputs", "load_engine"]
