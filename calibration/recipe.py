"""Quantisation recipes: per network, what becomes INT8 and what stays float, as YAML with the reasons beside it."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Literal

import yaml
from pydantic import Field

from edgefas.calibration.scale_table import Method
from edgefas.contracts import Contract
from edgefas.errors import UsageError

QuantizableOp = Literal["Conv", "Gemm", "MatMul", "Add", "Mul", "Concat", "GlobalAveragePool", "AveragePool"]


class Recipe(Contract):
    """The last layer, BTE and DCNv2 stay float whatever a recipe says."""

    method: Method = "minmax"
    quantize: tuple[QuantizableOp, ...] = Field(("Conv", "Add"), description="ONNX operators that become INT8")
    float_first_convs: int = Field(0, ge=0, le=8, description="per input, convolutions from the input on left float")
    float_weights: tuple[str, ...] = Field((), description="glob patterns; a node with such a weight stays float")


def load_recipe(name_or_path: str) -> Recipe:
    """A shipped recipe by name, or a YAML file by path.

    Raises:
        UsageError: no such recipe, or not YAML.
        ContractError: an unknown key (with a suggestion) or a value out of range.
    """
    shipped = files("edgefas.calibration") / "recipes" / f"{name_or_path}.yaml"
    source = shipped if name_or_path in recipe_names() else Path(name_or_path)
    if not source.is_file():
        raise UsageError(
            f"no recipe {name_or_path!r}; give a .yaml file or one of the shipped: {', '.join(recipe_names())}"
        )
    try:
        data = yaml.safe_load(source.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"{source} is not YAML: {str(error).splitlines()[0]}") from None
    if not isinstance(data, dict):
        raise UsageError(f"{source} must hold keys and values, such as `method: minmax`")
    return Recipe.from_dict(data)


def recipe_names() -> list[str]:
    """Names of the shipped recipes."""
    folder = files("edgefas.calibration") / "recipes"
    return sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml"))
