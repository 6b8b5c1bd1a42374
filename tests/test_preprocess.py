"""The preprocessing contract against block means in float64, which use nothing of edgefas."""

from __future__ import annotations

import numpy as np
import pytest

from edgefas.contracts import BoxCrop, DepthInput, IREncoding, IRInput, MetricCrop, Modality, RGBInput
from edgefas.errors import EdgefasError
from edgefas.preprocess import MissingModality, active_ir, crop_box, inside_share, missing_modalities, preprocess
from edgefas.sensors.frame import Exposure
from tests.scenes import GRID, face, noise_frame, spec

# The face's centre is (320, 240); 224 px about it:
ROWS, COLS = slice(128, 352), slice(208, 432)


def blocks(picture: np.ndarray) -> np.ndarray:
    """Means of 2x2 blocks, float64."""
    p = picture.astype(np.float64)
    return (p[0::2, 0::2] + p[1::2, 0::2] + p[0::2, 1::2] + p[1::2, 1::2]) / 4


def test_colour_is_block_mean_then_normalised() -> None:
    frame = noise_frame()
    got = preprocess(frame, face(), spec())["rgb"]
    assert got.shape == (1, 3, 112, 112)
    assert got.dtype == np.float32
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    for channel in range(3):
        want = (blocks(frame.color[ROWS, COLS, channel]) / 255 - mean[channel]) / std[channel]
        # the resize rounds to uint8, colour is sampled at exact pixels: half a grey level
        np.testing.assert_allclose(got[0, channel], want, atol=0.51 / 255 / min(std))


def test_bgr_swaps_the_first_and_last_channel() -> None:
    plain = RGBInput(height_px=112, width_px=112, mean=(0, 0, 0), std=(1, 1, 1))
    rgb = preprocess(noise_frame(), face(), spec(rgb=plain))["rgb"]
    bgr = preprocess(noise_frame(), face(), spec(rgb=plain.model_copy(update={"order": "bgr"})))["rgb"]
    np.testing.assert_array_equal(bgr, rgb[:, ::-1])
    assert not np.array_equal(bgr, rgb)


@pytest.mark.parametrize("encoding", [IREncoding.LIT, IREncoding.UNLIT])
def test_infrared_takes_the_stream_it_names(encoding: IREncoding) -> None:
    frame = noise_frame()
    got = preprocess(frame, face(), spec(ir=IRInput(height_px=112, width_px=112, encoding=encoding)))["ir"]
    source = frame.ir_lit if encoding is IREncoding.LIT else frame.ir_unlit
    want = (blocks(source[ROWS, COLS]) / 255 - 0.5) / 0.25
    np.testing.assert_allclose(got[0, 0], want, atol=0.51 / 255 / 0.25)


def test_depth_is_relief_towards_the_camera_without_holes() -> None:
    frame = noise_frame()
    got = preprocess(frame, face(z_mm=500), spec())["depth"][0, 0]
    depth = frame.depth[ROWS, COLS].astype(np.float64)
    returned = depth > 0
    relief = np.where(returned, np.clip((500 - depth) / 60, -1, 1), 0)
    share = blocks(returned)
    with np.errstate(invalid="ignore"):
        want = np.where(share >= 0.5, blocks(relief) / share, -1.0)
    np.testing.assert_allclose(got, want, atol=1e-5)
    assert (got == -1).any()
    assert got.max() > 0.2  # bumps towards the camera are positive


def test_crop_beyond_the_picture_is_black_and_without_return() -> None:
    corner = face(x=-70, y=-70)  # centre (0, 0): three quarters of the crop are outside
    got = preprocess(noise_frame(), corner, spec(depth=DepthInput(height_px=112, width_px=112, no_return=0.25)))
    assert (got["depth"][0, 0, :56, :] == 0.25).all()
    black = (0 - 0.5) / 0.25
    np.testing.assert_allclose(got["ir"][0, 0, :, :56], black)
    assert not np.allclose(got["ir"][0, 0, 56:, 56:], black)
    assert inside_share(crop_box(corner, spec(), GRID), GRID) == pytest.approx(0.25)


def test_metric_crop_shrinks_with_distance_and_box_crop_does_not() -> None:
    near, far = crop_box(face(z_mm=500), spec(), GRID), crop_box(face(z_mm=1000), spec(), GRID)
    assert (near.width_px, far.width_px) == (224, 112)
    boxed = spec(crop=BoxCrop(scale=1.5))
    assert crop_box(face(z_mm=1000), boxed, GRID).width_px == 210


def test_shift_down_moves_the_window_down() -> None:
    shifted = spec(crop=MetricCrop(width_mm=280, height_mm=280, shift_down_mm=25))
    assert crop_box(face(), shifted, GRID).y_px - crop_box(face(), spec(), GRID).y_px == 20


def test_active_is_lit_minus_matched_unlit() -> None:
    unlit = np.full((100, 100), 40, np.uint8)
    lit = np.full((100, 100), 180, np.uint8)
    lit_exposure, unlit_exposure = Exposure(2000, 16), Exposure(1000, 16)  # twice the light: 180 - 2 * 40
    assert (active_ir(lit, unlit, (lit_exposure, unlit_exposure), 400) == 100).all()
    assert (active_ir(lit, unlit, (None, None), 400) == 140).all()
    assert (active_ir(unlit, lit, (None, None), 400) == 0).all()


def test_active_smooths_the_dots_away() -> None:
    lit = np.full((200, 200), 50, np.uint8)
    lit[::9, ::9] = 250
    smooth = active_ir(lit, np.full_like(lit, 20), (None, None), 400)[40:160, 40:160].astype(float)
    assert smooth.std() < 2
    assert smooth.mean() == pytest.approx(30 + 200 / 81, abs=1)


def test_a_missing_stream_is_an_error_not_a_black_picture() -> None:
    frame = noise_frame(ir_lit=None)
    assert missing_modalities(frame, spec()) == (Modality.IR,)
    with pytest.raises(MissingModality, match="has no ir"):
        preprocess(frame, face(), spec())
    unlit = spec(ir=IRInput(height_px=112, width_px=112, encoding=IREncoding.UNLIT))
    assert missing_modalities(frame, unlit) == ()
    active = spec(ir=IRInput(height_px=112, width_px=112, encoding=IREncoding.ACTIVE))
    assert missing_modalities(noise_frame(ir_unlit=None), active) == (Modality.IR,)
    assert missing_modalities(noise_frame(depth=None, color=None), spec()) == (Modality.RGB, Modality.DEPTH)


def test_a_crop_fully_outside_is_an_error() -> None:
    with pytest.raises(EdgefasError, match="outside the picture"):
        preprocess(noise_frame(), face(x=-900), spec())


def test_enlarging_interpolates() -> None:
    got = preprocess(noise_frame(z_mm=1000), face(z_mm=1000), spec(side_px=224))
    assert got["rgb"].shape == (1, 3, 224, 224)
    assert np.isfinite(got["depth"]).all()
