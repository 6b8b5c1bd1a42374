"""Every contract survives JSON, refuses what it does not know by name, and cannot be changed."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from annotated_types import Ge, Gt, Le, Lt
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from edgefas.contracts import (
    BoxCrop,
    CameraPin,
    Contract,
    ContractError,
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
from tests.contracts.strategies import decisions, face_boxes, input_specs, policies

SMALLEST: dict[type[Contract], dict[str, Any]] = {
    BoxCrop: {"scale": 1.5},
    CameraPin: {"serial": "0123"},
    Decision: {"verdict": "no_decision", "reason": "no_face"},
    DepthInput: {"height_px": 112, "width_px": 112},
    FaceBox: {"x_px": 1, "y_px": 2, "width_px": 30, "height_px": 40, "median_z_mm": 500},
    IRInput: {"height_px": 112, "width_px": 112},
    InputSpec: {"crop": {"kind": "box", "scale": 1.5}, "depth": {"height_px": 112, "width_px": 112}},
    MetricCrop: {"width_mm": 200, "height_mm": 240},
    Policy: {},
    QualityGates: {},
    RGBInput: {"height_px": 112, "width_px": 112},
    TamperRule: {},
    ScoreCalibration: {
        "model": "m",
        "model_sha256": "0" * 64,
        "slope": 1,
        "offset": 0,
        "correlation_ms": 100,
        "bona_fide_episodes": 9,
        "attack_episodes": 9,
        "frames": 99,
    },
    SprtRule: {},
    TemporalRule: {},
}


def beyond_bounds() -> list[Any]:
    """For every bounded number of every contract: a value just outside."""
    cases = []
    for model in SMALLEST:
        for name, info in model.model_fields.items():
            for bound in info.metadata:
                outside = {Ge: -1e-3, Gt: 0, Le: 1e-3, Lt: 0}.get(type(bound))
                if outside is not None:
                    limit = next(getattr(bound, side) for side in ("ge", "gt", "le", "lt") if hasattr(bound, side))
                    value = limit + (outside * 1000 if info.annotation is int else outside * max(1, abs(limit)))
                    cases.append(pytest.param(model, name, value, id=f"{model.__name__}.{name}={value:g}"))
    return cases


@given(st.one_of(input_specs, policies, decisions, face_boxes))
def test_json_gives_back_an_equal_contract(contract: Contract) -> None:
    assert type(contract).from_json(contract.to_json()) == contract
    assert type(contract).from_dict(json.loads(contract.to_json(indent=1))) == contract


@pytest.mark.parametrize(("model", "name", "value"), beyond_bounds())
def test_out_of_range_is_refused_by_name(model: type[Contract], name: str, value: float) -> None:
    with pytest.raises(ContractError, match=rf"^{model.__name__}: {name}: .*\(got "):
        model.from_dict({**SMALLEST[model], name: value})


def test_many_bounds_are_checked() -> None:
    assert len(beyond_bounds()) > 50


@pytest.mark.parametrize("word", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_numbers_must_be_finite(word: str) -> None:
    with pytest.raises(ContractError, match=r"threshold: .*finite"):
        Policy.from_json(f'{{"threshold": {word}}}')


@pytest.mark.parametrize("model", SMALLEST)
def test_misspelt_field_is_refused_with_the_right_name(model: type[Contract]) -> None:
    for name in model.model_fields:
        with pytest.raises(ContractError, match=rf"{name}x: unknown field; did you mean '{name}'\?"):
            model.from_dict({**SMALLEST[model], f"{name}x": 1})


@pytest.mark.parametrize("model", SMALLEST)
def test_unknown_field_is_refused_with_the_allowed_names(model: type[Contract]) -> None:
    allowed = ", ".join(sorted(model.model_fields))
    with pytest.raises(ContractError, match=rf"zzzzzz: unknown field; allowed: {re.escape(allowed)}"):
        model.from_dict({**SMALLEST[model], "zzzzzz": 1})


def test_misspelt_field_deep_inside_is_found() -> None:
    with pytest.raises(ContractError, match=r"gates\.max_distanse_mm: unknown field; did you mean 'max_distance_mm'\?"):
        Policy.from_dict({"gates": {"max_distanse_mm": 900}})
    spec = SMALLEST[InputSpec]
    with pytest.raises(ContractError, match=r"depth\.clip_m: unknown field; did you mean 'clip_mm'\?"):
        InputSpec.from_dict({**spec, "depth": {**spec["depth"], "clip_m": 1}})
    with pytest.raises(ContractError, match=r"crop\.metric\.widht_mm: unknown field; did you mean 'width_mm'\?"):
        InputSpec.from_dict({**spec, "crop": {"kind": "metric", "widht_mm": 1, "width_mm": 200, "height_mm": 200}})


def test_every_offending_field_is_named() -> None:
    with pytest.raises(ContractError, match=r"x_px.*width_px.*median_z_mm"):
        FaceBox.from_dict({**SMALLEST[FaceBox], "x_px": "left", "width_px": -1, "median_z_mm": None})


def test_a_rule_between_fields_is_told_once_and_in_its_own_words() -> None:
    with pytest.raises(ContractError) as caught:
        SprtRule.from_dict({"max_frame_evidence": 4.7, "max_apcer": 0.01})
    assert str(caught.value).startswith("SprtRule: max_frame_evidence 4.7 must be below ")
    assert "(got" not in str(caught.value)
    with pytest.raises(ContractError, match=r"^Policy: gates: min_distance_mm 900\.0 must be .* \(got "):
        Policy.from_dict({"gates": {"min_distance_mm": 900, "max_distance_mm": 600}})


@pytest.mark.parametrize("text", ["", "{", "[]", "3", b"\xff\xfe"])
def test_not_a_json_object_is_refused(text: str | bytes) -> None:
    with pytest.raises(ContractError, match=r"^Policy: "):
        Policy.from_json(text)


@pytest.mark.parametrize("model", SMALLEST)
def test_contracts_are_frozen(model: type[Contract]) -> None:
    contract = model.from_dict(SMALLEST[model])
    name = next(iter(model.model_fields))
    with pytest.raises(ValidationError, match="frozen"):
        setattr(contract, name, getattr(contract, name))


def test_a_policy_of_before_the_gates_of_picture_quality_is_read() -> None:
    old = {"min_distance_mm": 300, "max_distance_mm": 1100, "min_depth_share": 0.5, "min_inside_share": 0.85}
    assert Policy.from_dict({"schema_version": 1, "threshold": 0, "gates": old}) == Policy()


def test_the_written_form_is_stable() -> None:
    """Bundles and ONNX files in the field hold these texts: fields may join, all else needs a new version."""
    assert json.loads(Policy().to_json()) == {
        "schema_version": 1,
        "threshold": 0.0,
        "gates": {
            "min_distance_mm": 300.0,
            "max_distance_mm": 1100.0,
            "min_depth_share": 0.5,
            "min_inside_share": 0.85,
            "min_face_px": 40.0,
            "max_off_centre": 0.8,
            "min_face_mm": 100.0,
            "max_face_mm": 200.0,
            "max_turn_deg": 25.0,
            "min_sharpness": 0.06,
            "max_ir_dark_share": 0.5,
            "max_ir_saturated_share": 0.7,
            "max_frame_age_ms": 200.0,
            "max_decision_age_ms": 300.0,
            "max_engine_ms": 250.0,
        },
        "temporal": {
            "window_ms": 500.0,
            "accept_frames": 5,
            "reject_frames": 2,
            "hold_ms": 500.0,
            "min_face_iou": 0.2,
            "sprt": {
                "max_apcer": 0.01,
                "max_bpcer": 0.05,
                "max_frame_evidence": 2.0,
                "min_frames": 5,
                "max_gap_ms": 150.0,
                "forget_ms": 500.0,
                "release_ms": 500.0,
            },
        },
        "faces": "nearest",
        "max_faces": 4,
        "tamper": {
            "camera": None,
            "repeats": "auto",
            "max_clock_step_ms": 250.0,
            "max_clock_drift_ppm": 1000.0,
            "settle_frames": 15,
            "challenge": "off",
            "challenge_every_s": 15.0,
            "challenge_valid_s": 30.0,
            "challenge_pulses": 2,
            "max_emitter_latency_ms": 300.0,
            "emitter_jitter_ms": 25.0,
        },
        "calibration": None,
    }
    assert json.loads(InputSpec.from_dict(SMALLEST[InputSpec]).to_json()) == {
        "schema_version": 1,
        "crop": {"kind": "box", "scale": 1.5},
        "interpolation": "area",
        "rgb": None,
        "ir": None,
        "depth": {"height_px": 112, "width_px": 112, "clip_mm": 60.0, "no_return": -1.0},
    }
    decision = Decision(verdict=Verdict.BONA_FIDE, reason=Reason.SCORE_ABOVE_THRESHOLD, score=1.5)
    assert json.loads(decision.to_json()) == {
        "verdict": "bona_fide",
        "reason": "score_above_threshold",
        "score": 1.5,
    }
