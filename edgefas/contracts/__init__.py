"""What the parts of edgefas say to each other: labels, faces, preprocessing, policy and decisions.

Nothing here knows a model, an engine or a camera. Every contract is frozen, typed, serialises to JSON and back
without loss, and refuses unknown or out-of-range fields by name.
"""

from edgefas.contracts.base import Contract, ContractError
from edgefas.contracts.decision import Decision, Reason, Verdict
from edgefas.contracts.face import FaceBox
from edgefas.contracts.input_spec import (
    BoxCrop,
    DepthInput,
    InputSpec,
    IREncoding,
    IRInput,
    MetricCrop,
    Modality,
    RGBInput,
)
from edgefas.contracts.label import Label
from edgefas.contracts.policy import (
    CameraPin,
    FaceChoice,
    Policy,
    QualityGates,
    ScoreCalibration,
    SprtRule,
    TamperRule,
    TemporalRule,
)

__all__ = [
    "BoxCrop",
    "CameraPin",
    "Contract",
    "ContractError",
    "Decision",
    "DepthInput",
    "FaceBox",
    "FaceChoice",
    "IREncoding",
    "IRInput",
    "InputSpec",
    "Label",
    "MetricCrop",
    "Modality",
    "Policy",
    "QualityGates",
    "RGBInput",
    "Reason",
    "ScoreCalibration",
    "SprtRule",
    "TamperRule",
    "TemporalRule",
    "Verdict",
]
