"""Alignment against a ray-cast scene and against librealsense's own projection and rs.align."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from edgefas.sensors.alignment import PixelBox, align
from edgefas.sensors.frame import Calibration, Extrinsics, Frame, Intrinsics
from edgefas.sensors.realsense.geometry import to_rs_extrinsics, to_rs_intrinsics
from edgefas.sensors.realsense.sdk import load
from tests.sensors.scenes import turned

# A sphere of 90 mm at 0.5 m before a wall at 0.9 m; the rig is deliberately crooked.
CALIBRATION = Calibration(
    Intrinsics(320, 240, 191.0, 190.2, 159.6, 120.9),
    Intrinsics(400, 300, 307.3, 306.1, 202.9, 148.9, distortion=(0.08, -0.12, 0.002, -0.003, 0.04)),
    Extrinsics(turned((0.2, 1.0, 0.3), 0.03), (14.75, -3.15, 6.3)),
    49.95,
)
_CENTRE, _RADIUS_MM, _WALL_MM = np.array([20.0, -10.0, 500.0]), 90.0, 900.0


def _rays(lens: Intrinsics) -> np.ndarray:
    """(h,w,3) float64 rays of a lens; its distortion is inverted by fixed-point iteration."""
    u, v = np.meshgrid(np.arange(lens.width_px, dtype=float), np.arange(lens.height_px, dtype=float))
    xd, yd = (u - lens.ppx_px) / lens.fx_px, (v - lens.ppy_px) / lens.fy_px
    k1, k2, p1, p2, k3 = lens.distortion
    x, y = xd, yd
    for _ in range(50):
        r2 = x**2 + y**2
        radial = 1 + k1 * r2 + k2 * r2**2 + k3 * r2**3
        x, y = (
            (xd - 2 * p1 * x * y - p2 * (r2 + 2 * x**2)) / radial,
            (yd - 2 * p2 * x * y - p1 * (r2 + 2 * y**2)) / radial,
        )
    return np.stack([x, y, np.ones_like(x)], axis=-1)


def _cast(rays: np.ndarray, origin: np.ndarray) -> np.ndarray:
    """First hit of every ray with the scene, in the depth camera's millimetres."""
    offset = origin - _CENTRE
    a, b, c = (rays**2).sum(-1), 2 * (rays * offset).sum(-1), (offset**2).sum() - _RADIUS_MM**2
    root = b**2 - 4 * a * c
    near = np.where(root > 0, (-b - np.sqrt(np.maximum(root, 0))) / (2 * a), np.inf)
    far = (_WALL_MM - origin[2]) / rays[..., 2]
    return origin + rays * np.minimum(near, far)[..., None]


def _texture(points: np.ndarray) -> np.ndarray:
    """Colour is position: red and green say x and y in millimetres, so a wrong pixel is a wrong number."""
    red, green = 128 + points[..., 0] / 4, 128 + points[..., 1] / 4
    return np.clip(np.rint(np.stack([red, green, np.full_like(red, 60)], -1)), 0, 255).astype(np.uint8)


def _frame(calibration: Calibration = CALIBRATION) -> tuple[Frame, np.ndarray]:
    """The frame, and the true 3-D point seen by every depth pixel."""
    R, t = np.reshape(calibration.depth_to_color.rotation, (3, 3)), np.array(calibration.depth_to_color.translation_mm)
    points = _cast(_rays(calibration.depth), np.zeros(3))
    color = _texture(_cast(_rays(calibration.color) @ R, -t @ R))
    depth = np.rint(points[..., 2] * 4).astype(np.uint16)
    ir = np.full(depth.shape, 90, np.uint8)
    return Frame(color, ir, None, depth, 0.00025, calibration, 1, 0, "hardware", 0, "TEST"), points


def _visible(calibration: Calibration, points: np.ndarray) -> np.ndarray:
    """Depth pixels away from the silhouette, where colour sees the same surface."""
    z = points[..., 2]
    near = z < _WALL_MM - 1
    edge = np.zeros_like(near)
    for dy in range(-12, 13):
        for dx in range(-12, 13):
            edge |= np.roll(near, (dy, dx), (0, 1)) != near
    return ~edge


def test_colour_lands_on_the_depth_pixel_that_sees_the_same_point():
    frame, points = _frame()
    got = align(frame)
    assert got.rgb is not None
    mask = got.valid & _visible(CALIBRATION, points)
    assert mask.mean() > 0.2
    error_mm = 4 * (got.rgb[mask].astype(float) - _texture(points)[mask])[:, :2]
    px = np.abs(error_mm) * CALIBRATION.depth.fx_px / points[mask][:, 2:]
    # 8-bit colour alone is 4 mm coarse, 1.5 px at 0.5 m; its mean over thousands of pixels is not
    assert px.mean() < 0.5
    assert np.abs((error_mm * CALIBRATION.depth.fx_px / points[mask][:, 2:]).mean(axis=0)).max() < 0.1


def test_projection_is_librealsenses_own():
    """Each valid pixel, deprojected and projected by rs2, samples the same colour."""
    rs = load()
    frame, _ = _frame()
    got = align(frame)
    assert got.rgb is not None
    assert frame.color is not None
    depth, color = to_rs_intrinsics(CALIBRATION.depth), to_rs_intrinsics(CALIBRATION.color)
    move = to_rs_extrinsics(CALIBRATION.depth_to_color)
    rng = np.random.default_rng(0)
    ramp = _ramp(frame)
    ramped = align(ramp).rgb
    assert ramped is not None
    checked = 0
    for y, x in rng.integers(0, (240, 320), (600, 2)):
        point = rs.rs2_deproject_pixel_to_point(depth, [float(x), float(y)], float(got.depth_mm[y, x]) / 1000)
        u, v = rs.rs2_project_point_to_pixel(color, rs.rs2_transform_point_to_point(move, point))
        inside = 0 <= u <= 399 and 0 <= v <= 299
        assert got.valid[y, x] == inside or min(abs(u), abs(u - 399), abs(v), abs(v - 299)) < 0.01
        if 72 < u < 326 and 22 < v < 276:
            # half a grey level, and cv2.remap's 1/32 px
            assert np.abs(ramped[y, x, :2] - (u - 72, v - 22)).max() < 0.55
            checked += 1
    assert checked > 100


def _ramp(frame: Frame) -> Frame:
    """The same frame with a colour picture whose pixels say where they are: (u - 72, v - 22)."""
    v, u = np.mgrid[0:300, 0:400]
    return replace(frame, color=np.stack([u - 72, v - 22, u * 0], -1).clip(0, 255).astype(np.uint8))


def _align_by_librealsense(rs: Any, bus: Any, camera_type: Any, frame: Frame) -> np.ndarray:
    """Colour on the depth grid, by rs.align."""
    camera = camera_type(bus, frame.calibration, serial="ALIGN", depth_scale_m=0.00025)
    config = rs.config()
    config.enable_device("ALIGN")
    config.enable_stream(rs.stream.depth, 320, 240, rs.format.z16, 30)
    config.enable_stream(rs.stream.color, 400, 300, rs.format.rgb8, 30)
    pipeline = rs.pipeline(bus.context)
    pipeline.start(config)
    try:
        camera.push(1, 33_000_000, depth=frame.depth, ir=None, color=frame.color)
        frameset = pipeline.wait_for_frames(20_000)
        return np.array(rs.align(rs.stream.depth).process(frameset).get_color_frame().get_data(), copy=True)
    finally:
        pipeline.stop()


def test_agrees_with_rs_align_on_the_wall():
    """librealsense's processing block, nearest neighbour, on a wall where it has no occlusion to get wrong."""
    rs = load()
    from edgefas.sensors.realsense.software import SoftwareBus, SoftwareD435

    straight = replace(CALIBRATION, color=replace(CALIBRATION.color, distortion=(0.0,) * 5))
    frame, _ = _frame(straight)
    wall = replace(_ramp(frame), depth=np.full((240, 320), 3200, np.uint16))  # 800 mm
    theirs = _align_by_librealsense(rs, SoftwareBus(), SoftwareD435, wall)
    ours = align(wall)
    both = ours.valid & theirs.any(axis=-1)
    assert both.mean() > 0.2
    assert ours.rgb is not None
    assert np.abs(ours.rgb[both][:, :2].astype(int) - theirs[both][:, :2]).max() <= 1


def test_a_box_is_the_same_as_the_full_frame_there():
    frame, _ = _frame()
    box = PixelBox(120, 70, 80, 90)
    part, whole = align(frame, box), align(frame)
    assert part.rgb is not None
    assert whole.rgb is not None
    assert part.rgb.shape == (90, 80, 3)
    assert np.array_equal(part.rgb, whole.rgb[box.slices])
    assert np.array_equal(part.depth_mm, whole.depth_mm[box.slices])
    assert np.array_equal(part.valid, whole.valid[box.slices])


def test_infrared_is_the_cameras_own_picture():
    frame, _ = _frame()
    assert np.shares_memory(align(frame, PixelBox(10, 20, 30, 40)).ir_lit, frame.ir_lit)


def test_a_depth_hole_is_invalid_but_not_black():
    frame, _ = _frame()
    assert frame.depth is not None
    depth = frame.depth.copy()
    depth[100:140, 150:190] = 0
    got = align(replace(frame, depth=depth), PixelBox(140, 90, 60, 60))
    assert got.rgb is not None
    assert not got.valid[10:50, 10:50].any()
    assert not got.depth_mm[10:50, 10:50].any()
    assert (got.rgb[10:50, 10:50, 2] == 60).all()


def test_depth_is_in_millimetres():
    frame, points = _frame()
    assert np.abs(align(frame).depth_mm - points[..., 2]).max() < 0.13


def test_without_colour_or_depth():
    frame, _ = _frame()
    no_color = align(replace(frame, color=None))
    assert no_color.rgb is None
    assert no_color.valid.all()
    no_depth = align(replace(frame, depth=None))
    assert no_depth.rgb is None
    assert not no_depth.valid.any()


@pytest.mark.parametrize("box", [(-1, 0, 5, 5), (0, 0, 0, 5), (310, 0, 20, 5), (0, 230, 5, 20)])
def test_a_box_outside_the_grid_is_refused(box):
    frame, _ = _frame()
    with pytest.raises(ValueError, match="not inside the 320x240"):
        align(frame, PixelBox(*box))


def _half_hidden(calibration: Calibration) -> tuple[Frame, np.ndarray, np.ndarray]:
    """A flat square of red 300 mm before a green wall; which depth pixels see the square, and which see wall that the
    square hides from the colour camera."""
    near, far, half = 350.0, 1200.0, 50.0
    R, t = np.reshape(calibration.depth_to_color.rotation, (3, 3)), np.array(calibration.depth_to_color.translation_mm)
    eye = -t @ R

    def on_square(origin: np.ndarray, towards: np.ndarray) -> np.ndarray:
        at = origin + towards * ((near - origin[2]) / towards[..., 2])[..., None]
        return (np.abs(at[..., 0]) < half) & (np.abs(at[..., 1]) < half)

    rays = _rays(calibration.depth)
    square = on_square(np.zeros(3), rays)
    wall_points = rays * (far / rays[..., 2])[..., None]
    hidden = ~square & on_square(eye, wall_points - eye)
    red = on_square(eye, _rays(calibration.color) @ R)[..., None]
    color = np.where(red, (200, 30, 60), (30, 200, 60)).astype(np.uint8)
    depth = np.where(square, 4 * near, 4 * far).astype(np.uint16)
    ir = np.full(depth.shape, 90, np.uint8)
    return Frame(color, ir, None, depth, 0.00025, calibration, 1, 0, "hardware", 0, "TEST"), square, hidden


@pytest.mark.parametrize("side", [1.0, -1.0], ids=["colour camera to the right", "to the left"])
def test_no_edge_is_doubled(side):
    """Wall that only the depth camera sees has no colour of its own, and must not get that of what hides it."""
    move = Extrinsics(turned((0.2, 1.0, 0.3), 0.004), (side * 14.75, 0.15, 0.3))  # as crooked as a D435 is
    frame, square, hidden = _half_hidden(replace(CALIBRATION, depth_to_color=move))
    assert hidden.sum() > 200
    got = align(frame)
    assert got.rgb is not None
    is_red = got.rgb[..., 0] > 115
    sure = np.ones_like(square)
    for dy, dx in ((1, 0), (-1, 0), (0, 1), (0, -1)):  # half a pixel either way is not told
        sure &= np.roll(square, (dy, dx), (0, 1)) == square
    assert is_red[square & sure].all()
    assert (is_red & ~square & sure).sum() <= 0.02 * hidden.sum()
    assert got.valid[hidden & sure].mean() < 0.02
    assert got.valid[square & sure].all()


def test_where_librealsense_doubles_the_edge():
    """Its own align paints the hidden strip with what hides it: what the test above is for."""
    rs = load()
    from edgefas.sensors.realsense.software import SoftwareBus, SoftwareD435

    straight = Calibration(
        CALIBRATION.depth, replace(CALIBRATION.color, distortion=(0.0,) * 5), Extrinsics(translation_mm=(14.75, 0, 0))
    )
    frame, square, hidden = _half_hidden(straight)
    theirs = _align_by_librealsense(rs, SoftwareBus(), SoftwareD435, frame)
    ours = align(frame)
    assert ours.rgb is not None
    assert (theirs[hidden][:, 0] > 115).mean() > 0.8
    assert (ours.rgb[hidden][:, 0] > 115).mean() < 0.02
    seen = ours.valid & theirs.any(axis=-1) & ~hidden
    same = np.abs(ours.rgb[seen].astype(int) - theirs[seen]).max(axis=-1) <= 1
    assert same.mean() > 0.97  # the rest are edges, which only one of the two interpolates
    assert (seen & square).sum() > 1000
