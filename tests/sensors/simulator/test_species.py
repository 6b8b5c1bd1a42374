"""What tells each species from a live face is in the pictures, and nothing that a species must share is lost."""

from __future__ import annotations

import numpy as np
import pytest

from edgefas.contracts import FaceBox
from edgefas.sensors.frame import Frame
from edgefas.sensors.simulator import Presentation, render, sample_episode, true_face
from edgefas.sensors.simulator.episode import MAX_SEED
from tests.sensors.simulator.pictures import ellipse, mean_in, relief_rms_mm, shown

EYES_MM = (-32.0, 32.0)


def depth_at(frame: Frame, face: FaceBox, x_mm: float, y_mm: float, radius_mm: float = 5.0) -> float:
    """Median depth of a disc at a place of the face, mm from its middle."""
    k = frame.calibration.depth
    scale = k.fx_px / face.median_z_mm
    rows, cols = np.mgrid[: k.height_px, : k.width_px]
    x, y = face.x_px + face.width_px / 2 + x_mm * scale, face.y_px + face.height_px / 2 + (y_mm - 5) * scale
    z = frame.depth * frame.depth_scale_m * 1000
    disc = ((cols - x) ** 2 + (rows - y) ** 2 < (radius_mm * scale) ** 2) & (z > 0)
    return float(np.median(z[disc]))


def curvature(frame: Frame, face: FaceBox) -> tuple[float, float]:
    """Second-order coefficients across and down of the face's depth, 1/mm."""
    k = frame.calibration.depth
    inside = ellipse(frame, face, 90, 110) & (frame.depth > 0)
    rows, cols = np.nonzero(inside)
    z = frame.depth[inside] * frame.depth_scale_m * 1000
    x, y = (cols - k.ppx_px) / k.fx_px * z, (rows - k.ppy_px) / k.fy_px * z
    terms = np.stack([x**2, y**2, x, y, np.ones_like(x)], 1)
    across, down = np.linalg.lstsq(terms, z, rcond=None)[0][:2]
    return float(across), float(down)


@pytest.mark.parametrize("kind", list(Presentation))
def test_every_species_can_be_drawn_with_the_highest_seed(kind: Presentation) -> None:
    """A print's photograph has a seed of its own."""
    frame = render(sample_episode(kind, 1, 0, MAX_SEED), 0)
    assert frame.depth.any()


def test_a_bent_print_curves_about_one_axis() -> None:
    """A radius of 70 to 150 mm is 1/(2 r) = 0.0033 to 0.0071 / mm across, and nothing down."""
    for subject in (0, 1):
        across, down = curvature(*shown("bent_print", subject))
        assert 0.002 < across < 0.009
        assert abs(down) < 0.25 * across


@pytest.mark.parametrize("cut", ["eyes", "eyes_nose", "eyes_nose_mouth"])
def test_through_a_cut_print_the_wearer_is_seen_at_real_depth(cut: str) -> None:
    frame, face = shown("cut_print", 0, cut=cut)
    forehead = depth_at(frame, face, 0, -70)
    assert min(depth_at(frame, face, x, -39) for x in EYES_MM) - forehead > 8
    nose = depth_at(frame, face, 0, -8, 3)
    if cut == "eyes":
        assert abs(nose - forehead) < 4  # paper
    else:
        assert depth_at(frame, face, 28, -8, 4) - nose > 4  # a nose


def test_a_cut_print_is_held_as_it_is_asked_for() -> None:
    """A radius of 110 to 200 mm is 1/(2 r) = 0.0025 to 0.0045 / mm across, beside what the holes show."""
    flat, bent = (curvature(*shown("cut_print", 0, cut="eyes", bend=bend))[0] for bend in ("flat", "bent"))
    assert 0.002 < bent - flat < 0.005


def test_a_paper_mask_is_paper_within_the_face_and_a_person_beside_it() -> None:
    frame, face = shown("paper_mask", 2, camera="irpass", light="tungsten")
    sheet = mean_in(frame.ir_unlit, ellipse(frame, face, 60, 20, 20))
    below = ellipse(frame, face, 40, 16, 110)
    assert sheet > 1.2 * mean_in(frame.ir_unlit, below)


@pytest.mark.parametrize("species", ["flexible_mask", "mannequin", "funny_eyes"])
def test_heads_have_the_relief_of_heads(species: str) -> None:
    assert 6 <= relief_rms_mm(*shown(species, 1)) <= 16


def test_silicone_and_plastic_are_flatter_at_850_nm_than_in_the_visible() -> None:
    for species in ("flexible_mask", "mannequin"):
        frame, face = shown(species, 5, camera="irpass", light="tungsten")  # subject 5: skin group VI
        live, _ = shown("bona_fide", 5, camera="irpass", light="tungsten")
        cheeks = ellipse(frame, face, 90, 30, 10)
        exposure, live_exposure = frame.ir_unlit_exposure, live.ir_unlit_exposure
        assert exposure is not None
        assert live_exposure is not None
        bright = mean_in(frame.ir_unlit, cheeks) / (exposure.time_us * exposure.gain)
        assert bright > mean_in(live.ir_unlit, cheeks) / (live_exposure.time_us * live_exposure.gain)


def test_a_mannequin_stands_still() -> None:
    def travel_px(species: str) -> float:
        episode = sample_episode(Presentation(species), 4, 0, 9)
        boxes = [true_face(episode, index) for index in range(0, 90, 6)]
        centres = np.array([box.centre_px for box in boxes if box is not None])
        return float(np.ptp(centres, axis=0).max())

    assert travel_px("mannequin") < 0.25 * travel_px("bona_fide")


def test_funny_eyes_are_flat_and_before_the_face() -> None:
    frame, face = shown("funny_eyes", 3)
    live, live_face = shown("bona_fide", 3)
    cheek = depth_at(frame, face, 32, -5)
    for x in EYES_MM:
        assert cheek - depth_at(frame, face, x, -37) > depth_at(live, live_face, 32, -5) - depth_at(
            live, live_face, x, -37
        )


def test_glasses_cost_depth_and_darken_the_eyes_and_nothing_else() -> None:
    bare, face = shown("bona_fide", 1)
    worn, _ = shown("bona_fide", 1, eyewear="clear")
    tinted, _ = shown("bona_fide", 1, eyewear="tinted")
    eyes = ellipse(bare, face, 110, 26, -39)
    mouth = ellipse(bare, face, 60, 20, 32)
    assert (worn.depth[eyes] == 0).mean() > (bare.depth[eyes] == 0).mean() + 0.03
    assert mean_in(tinted.color[..., 1], eyes) < mean_in(worn.color[..., 1], eyes) < mean_in(bare.color[..., 1], eyes)
    assert abs(mean_in(worn.color[..., 1], mouth) - mean_in(bare.color[..., 1], mouth)) < 4


def test_expressions_move_the_face_and_not_the_head() -> None:
    rest, face = shown("bona_fide", 0)
    inside, hair = ellipse(rest, face, 110, 130), ellipse(rest, face, 60, 20, -110)
    for expression in ("smile", "open_mouth", "squint", "raised_brows"):
        moved, _ = shown("bona_fide", 0, expression=expression)
        change = np.abs(moved.ir_unlit.astype(int) - rest.ir_unlit) > 12
        assert change[inside].mean() > 0.004, expression
        assert change[hair].mean() < 0.002, expression


def test_the_sun_drowns_the_dots_and_the_dark_shows_nothing_else() -> None:
    def dots(lux: float, light: str) -> float:
        frame, face = shown("bona_fide", 0, illuminance_lx=lux, light=light)
        inside = ellipse(frame, face, 60, 80)
        return mean_in(frame.ir_lit, inside) / max(mean_in(frame.ir_unlit, inside), 1.0)

    assert dots(50_000.0, "daylight") < 1.05
    assert dots(300.0, "led") > 1.2
    frame, face = shown("bona_fide", 0, illuminance_lx=0.05)
    assert mean_in(frame.color, ellipse(frame, face, 60, 80)) < 12


def test_twice_the_baseline_halves_the_noise() -> None:
    def noise_mm(rig: str) -> float:
        a, b = (shown("flat_print", 0, index, distance_mm=900.0, rig=rig) for index in (0, 1))
        inside = ellipse(*a, 60, 80) & (a[0].depth > 0) & (b[0].depth > 0)
        return float((b[0].depth.astype(float) - a[0].depth)[inside].std())

    assert 0.35 < noise_mm("d455") / noise_mm("d435") < 0.75


def test_sites_are_offices_and_homes_with_units_of_their_own() -> None:
    frames = {site: render(sample_episode(Presentation.EMPTY, 0, site, 1), 0) for site in (0, 1, 2, 3)}
    assert len({frame.calibration.depth.fx_px for frame in frames.values()}) == 4
    assert {sample_episode(Presentation.EMPTY, 0, site, 1).light for site in (0, 2, 4)} == {"led"}
    assert {sample_episode(Presentation.EMPTY, 0, site, 1).light for site in (1, 3, 5)} <= {"tungsten", "daylight"}
