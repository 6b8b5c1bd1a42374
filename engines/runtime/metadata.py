"""What an ONNX file of edgefas says about itself."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from edgefas.contracts import ContractError, InputSpec
from edgefas.engines.runtime.engine import EngineError

INPUT_SPEC_KEY = "edgefas.input_spec"
"""ONNX metadata key of the InputSpec (JSON)."""
MODEL_NAME_KEY = "edgefas.model"
"""ONNX metadata key of the network's registered name."""


def input_spec_from(path: Path, metadata: Mapping[str, str]) -> InputSpec:
    """The InputSpec of a file with this metadata.

    Raises:
        EngineError: none inside, or a broken one: nobody then knows what pictures the network wants.
    """
    text = metadata.get(INPUT_SPEC_KEY)
    if text is None:
        raise EngineError(
            f"{path} carries no InputSpec (metadata key {INPUT_SPEC_KEY!r}), so nobody knows what pictures it wants; "
            "write it with: edgefas export"
        )
    try:
        return InputSpec.from_json(text)
    except ContractError as error:
        raise EngineError(f"{path} carries a broken InputSpec: {error}; write it again with: edgefas export") from None
