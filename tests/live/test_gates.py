"""Each gate against a scene whose answer is known, and none against a good face."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from edgefas.contracts import FaceBox, InputSpec, IREncoding, IRInput, Policy, QualityGates, Reason
from edgefas.live.gates import TURN_OVER_YAW, failed, gate, measure, sharpness, turn_deg
from edgefas.sensors.frame import Frame
from tests.scenes import GRID, face, noise_frame, spec

POLICY = Policy()


def infrared(encoding: IREncoding) -> InputSpec:
    return spec(ir=IRInput(height_px=112, width_px=112, encoding=encoding))


def plane(yaw_deg: float, z_mm: float = 500, noise_mm: float = 4, holes: float = 0.1) -> Frame:
    """A flat wall through the middle of `face()`, turned by `yaw_deg`: Z = z + X tan(yaw), X = (u - cx) Z / f."""
    rng = np.random.default_rng(5)
    u = np.arange(640)[None] - GRID.ppx_px
    z = np.repeat(z_mm / (1 - u / GRID.fx_px * np.tan(np.radians(yaw_deg))), 480, 0) + rng.normal(
        0, noise_mm, (480, 640)
    )
    z[(rng.random((480, 640)) < holes) | (z < 0) | (z > 5000)] = 0
    return noise_frame(depth=z.astype(np.uint16))


def test_a_good_face_passes_every_gate() -> None:
    for encoding in IREncoding:
        assert gate(noise_frame(), face(), infrared(encoding), POLICY) is None


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (face(z_mm=299), Reason.FACE_TOO_NEAR),
        (face(z_mm=1101), Reason.FACE_TOO_FAR),
        (face(x=-60), Reason.FACE_OUT_OF_VIEW),
        (face(x=301, y=221, size=38, z_mm=1099), Reason.FACE_TOO_SMALL),
        (face(x=540, y=195, size=90, z_mm=800), Reason.FACE_OFF_CENTRE),
        (face(size=76, x=282, y=202), Reason.FACE_SIZE_IMPLAUSIBLE),  # 95 mm
        (face(size=164, x=238, y=158), Reason.FACE_SIZE_IMPLAUSIBLE),  # 205 mm
    ],
)
def test_place_and_size(found: FaceBox, reason: Reason) -> None:
    frame = noise_frame(z_mm=round(found.median_z_mm))
    assert gate(frame, found, spec(crop_mm=200), POLICY) is reason


@pytest.mark.parametrize("yaw_deg", [-35, -20, -5, 0, 5, 20, 35])
def test_turn_of_a_plane_is_its_angle(yaw_deg: float) -> None:
    assert turn_deg(plane(yaw_deg), face()) == pytest.approx(abs(yaw_deg), abs=1.5)


@pytest.mark.parametrize(
    ("yaw_deg", "reason"), [(21, None), (-21, None), (29, Reason.FACE_TURNED), (-29, Reason.FACE_TURNED)]
)
def test_turned_faces_are_told(yaw_deg: float, reason: Reason | None) -> None:
    assert gate(plane(yaw_deg), face(), spec(), POLICY) is reason


@pytest.mark.parametrize("yaw_deg", [-40.0, -20.0, 0.0, 10.0, 30.0])
def test_landmarks_of_a_turned_head(yaw_deg: float) -> None:
    """Eyes 65 mm apart, the nose half as far before them, turned in space and seen by a pinhole."""
    a = np.radians(yaw_deg)
    head = np.array([[-32.5, -30, 0], [32.5, -30, 0], [0, 5, -32.5]])
    turned = head @ np.array([[np.cos(a), 0, -np.sin(a)], [0, 1, 0], [np.sin(a), 0, np.cos(a)]]) + [0, 0, 6000]
    points = tuple((float(4800 * x / z + 320), float(4800 * y / z + 240)) for x, y, z in turned)
    seen = turn_deg(plane(0), face().model_copy(update={"landmarks_px": points}))
    assert seen == pytest.approx(max(TURN_OVER_YAW * abs(yaw_deg), 0), abs=1.0)


def test_a_side_without_depth_is_a_hole_not_a_guess() -> None:
    frame = noise_frame()
    depth = frame.depth.copy()
    depth[:, 250:310] = 0  # the left of the box; 57 % of it returns
    holey = replace(frame, depth=depth)
    assert measure(holey, face(), spec()).depth_share > POLICY.gates.min_depth_share
    assert gate(holey, face(), spec(), POLICY) is Reason.DEPTH_HOLES


@pytest.mark.parametrize(
    ("encoding", "lit", "unlit", "reason"),
    [
        (IREncoding.LIT, 255, 100, Reason.IR_OVEREXPOSED),
        (IREncoding.LIT, 100, 255, None),
        (IREncoding.LIT, 3, 100, Reason.IR_UNDEREXPOSED),
        (IREncoding.LIT, 100, 3, None),
        (IREncoding.UNLIT, 100, 255, Reason.IR_OVEREXPOSED),
        (IREncoding.UNLIT, 100, 3, Reason.IR_UNDEREXPOSED),
        (IREncoding.UNLIT, 255, 100, None),
        (IREncoding.ACTIVE, 100, 3, None),  # in the dark the unlit picture is rightly black
        (IREncoding.ACTIVE, 100, 255, Reason.IR_OVEREXPOSED),  # nothing can be subtracted from white
        (IREncoding.ACTIVE, 3, 3, Reason.IR_UNDEREXPOSED),
    ],
)
def test_exposure_of_the_infrared_that_the_network_sees(
    encoding: IREncoding, lit: int, unlit: int, reason: Reason | None
) -> None:
    frame = noise_frame(ir_lit=np.full((480, 640), lit, np.uint8), ir_unlit=np.full((480, 640), unlit, np.uint8))
    assert gate(frame, face(), infrared(encoding), POLICY) is reason


def test_exposure_is_counted_on_the_face_alone() -> None:
    ir = np.full((480, 640), 255, np.uint8)
    ir[170:310, 250:390] = 90
    assert gate(noise_frame(ir_lit=ir), face(), infrared(IREncoding.LIT), POLICY) is None


def test_a_network_without_infrared_has_no_exposure_gate() -> None:
    white = noise_frame(ir_lit=np.full((480, 640), 255, np.uint8))
    assert gate(white, face(), spec(ir=None), POLICY) is None


def texture(blur_px: float = 0.0, gain: float = 1.0) -> np.ndarray:
    """Coarse and fine structure, as a face has; (480, 640, 3) uint8."""
    rng = np.random.default_rng(3)
    grey = np.full((480, 640), 130.0)
    for sigma_px, contrast in ((16, 40), (2, 16)):
        part = cv2.GaussianBlur(rng.normal(size=(480, 640)), (0, 0), sigma_px)
        grey += contrast * part / part.std()
    grey *= gain
    grey = cv2.GaussianBlur(grey, (0, 0), blur_px) if blur_px else grey
    return np.dstack([np.rint(grey.clip(0, 255)).astype(np.uint8)] * 3)


def test_blur_is_told_and_brightness_is_not_blur() -> None:
    sharp, soft, dim = (noise_frame(color=picture) for picture in (texture(), texture(5), texture(gain=0.3)))
    assert gate(sharp, face(), spec(), POLICY) is None
    assert gate(soft, face(), spec(), POLICY) is Reason.FACE_BLURRED
    assert sharpness(dim, face()) == pytest.approx(sharpness(sharp, face()), rel=0.1)


def test_sharpness_means_the_same_at_any_size() -> None:
    near, half = noise_frame(color=texture()), np.zeros((480, 640, 3), np.uint8)
    half[:240, :320] = cv2.resize(texture(), (320, 240), interpolation=cv2.INTER_AREA)
    small = sharpness(noise_frame(color=half), face(x=125, y=85, size=70, z_mm=1000))
    assert small == pytest.approx(sharpness(near, face()), rel=0.3)


def test_in_the_dark_nobody_is_called_blurred() -> None:
    dark = {"color": np.zeros((480, 640, 3), np.uint8), "ir_unlit": np.zeros((480, 640), np.uint8)}
    assert sharpness(noise_frame(**dark), face()) is None
    assert gate(noise_frame(**dark), face(), infrared(IREncoding.LIT), POLICY) is None
    soft = cv2.GaussianBlur(texture()[..., 0], (0, 0), 5)
    assert gate(noise_frame(**dark | {"ir_unlit": soft}), face(), spec(), POLICY) is Reason.FACE_BLURRED


def test_a_face_half_outside_the_picture_measures_without_error() -> None:
    for found in (face(x=-70), face(x=600), face(y=-100), face(y=430), face(x=5000, y=5000), face(x=-5000)):
        assert gate(noise_frame(), found, spec(), POLICY) is Reason.FACE_OUT_OF_VIEW


def test_a_policy_can_switch_gates_off() -> None:
    loose = QualityGates(
        min_distance_mm=100, max_distance_mm=5000, min_depth_share=0, min_inside_share=0, min_face_px=1,
        max_off_centre=1.5, min_face_mm=10, max_face_mm=1000, max_turn_deg=90, min_sharpness=0, max_ir_dark_share=1,
        max_ir_saturated_share=1,
    )  # fmt: skip
    seen = replace(measure(noise_frame(), face(), spec()), sharpness=0.0, turn_deg=80.0, ir_saturated_share=1.0)
    assert failed(seen, loose) is None
