"""What an ONNX file of edgefas says about itself."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from edgefas.contracts import ContractError, InputSpec, Modality
from edgefas.engines.runtime.engine import EngineError

INPUT_SPEC_KEY = "edgefas.input_spec"
"""ONNX metadata key of the InputSpec (JSON)."""
MODEL_NAME_KEY = "edgefas.model"
"""ONNX metadata key of the network's registered name."""
BRANCH_KEY = "edgefas.branch"
"""ONNX metadata key of a part of a network: rgb, ir, depth or fusion. Files of whole networks lack it."""
SOURCE_KEY = "edgefas.source_sha256"
"""ONNX metadata key of the float network a copy or a part was made from."""
FEATURES_KEY = "edgefas.features"
"""ONNX metadata key of a fusion: its inputs' shapes without N (JSON), in the place of an InputSpec."""


def feature_name(modality: Modality) -> str:
    """The tensor between a branch and the fusion: the one's output, the other's input."""
    return f"{modality.value}_features"


def input_spec_from(path: Path, metadata: Mapping[str, str]) -> InputSpec:
    """The InputSpec of a file with this metadata.

    Raises:
        EngineError: none inside, or a broken one: nobody then knows what pictures the network wants; or the file is
            only a part of a network.
    """
    if BRANCH_KEY in metadata:
        raise EngineError(
            f"{path} is only the {metadata[BRANCH_KEY]} part of a network; open the folder with all its parts with "
            "edgefas.engines.runtime.branches.load_branches, or give a whole network"
        )
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
