"""Hypothesis strategies for the contracts, made from the bounds their fields declare."""

from __future__ import annotations

import math
from typing import Annotated, Any, TypeVar

from hypothesis import strategies as st

from edgefas.contracts import (
    BoxCrop,
    CameraPin,
    Contract,
    Decision,
    DepthInput,
    FaceBox,
    InputSpec,
    IRInput,
    MetricCrop,
    Policy,
    QualityGates,
    Reason,
    RGBInput,
    ScoreCalibration,
    SprtRule,
    TamperRule,
    TemporalRule,
    Verdict,
)

T = TypeVar("T", bound=Contract)


def fields(model: type[Contract], **given: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Keyword arguments for `model`, each within its bounds."""
    free = {name: info for name, info in model.model_fields.items() if name not in given}
    drawn = {name: st.from_type(Annotated[(info.annotation, *info.metadata, name)]) for name, info in free.items()}
    return st.fixed_dictionaries({**drawn, **given})


def instances(model: type[T], **given: st.SearchStrategy[Any]) -> st.SearchStrategy[T]:
    return fields(model, **given).map(lambda values: model(**values))


def _opening(values: dict[str, Any]) -> float:
    return math.log((1 - values["max_bpcer"]) / values["max_apcer"])


def per_channel(low: float, high: float) -> st.SearchStrategy[tuple[float, float, float]]:
    return st.tuples(*[st.floats(low, high)] * 3)


crops = instances(MetricCrop) | instances(BoxCrop)
input_specs = (
    fields(
        InputSpec,
        crop=crops,
        rgb=st.none() | instances(RGBInput, mean=per_channel(0, 1), std=per_channel(1e-3, 1e3)),
        ir=st.none() | instances(IRInput),
        depth=st.none() | instances(DepthInput),
    )
    .filter(lambda values: any(values[name] is not None for name in ("rgb", "ir", "depth")))
    .map(lambda values: InputSpec(**values))
)
gates = (
    fields(QualityGates)
    .filter(lambda values: values["min_distance_mm"] < values["max_distance_mm"])
    .filter(lambda values: values["min_face_mm"] < values["max_face_mm"])
    .map(lambda values: QualityGates(**values))
)
tamper_rules = (
    fields(TamperRule, camera=st.none() | instances(CameraPin))
    .filter(lambda values: values["challenge_every_s"] <= values["challenge_valid_s"])
    .map(lambda values: TamperRule(**values))
)
tests = (
    fields(SprtRule)
    .map(lambda values: values | {"max_frame_evidence": min(values["max_frame_evidence"], _opening(values) / 2)})
    .filter(lambda values: values["max_gap_ms"] < values["forget_ms"] and values["max_frame_evidence"] > 0)
    .map(lambda values: SprtRule(**values))
)
calibrations = instances(ScoreCalibration, model_sha256=st.just("0" * 64), data_sha256=st.none() | st.just("1" * 64))
policies = instances(
    Policy,
    gates=gates,
    temporal=instances(TemporalRule, sprt=tests),
    calibration=st.none() | calibrations,
    tamper=tamper_rules,
)
points = st.tuples(st.floats(-1e5, 1e5), st.floats(-1e5, 1e5))
face_boxes = instances(FaceBox, landmarks_px=st.none() | st.lists(points, max_size=5).map(tuple))
undecided = st.builds(
    Decision,
    verdict=st.just(Verdict.NO_DECISION),
    reason=st.sampled_from(sorted(set(Reason) - {Reason.SCORE_ABOVE_THRESHOLD, Reason.SCORE_BELOW_THRESHOLD})),
    score=st.none() | st.floats(allow_nan=False, allow_infinity=False),
)
decisions = undecided | st.builds(Decision.from_score, st.floats(), st.floats(-100, 100))
