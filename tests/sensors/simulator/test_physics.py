"""Rendered pictures show what reflectance, geometry and stereo say they must; the numbers are of published tables."""

from __future__ import annotations

import numpy as np
import pytest

from edgefas.sensors.simulator import subject_skin_group
from edgefas.sensors.simulator.episode import SKIN_GROUPS
from tests.sensors.simulator.pictures import ellipse, mean_in, relief_rms_mm, shown


@pytest.mark.parametrize("subject", [0, 1, 9, 16])
def test_faces_have_the_relief_of_measured_heads(subject: int) -> None:
    """7 to 14 mm from the best plane over 90x110 mm (mean head: 10.3 mm when smoothed)."""
    assert 7 <= relief_rms_mm(*shown("bona_fide", subject)) <= 14


def test_prints_are_flat() -> None:
    assert relief_rms_mm(*shown("flat_print")) < 3.5


def test_screens_are_flat() -> None:
    """Over a third of the ellipse: a face on a phone is about 50 mm wide."""
    assert relief_rms_mm(*shown("phone_replay"), share=1 / 3) < 3.5


def test_a_mask_has_the_relief_of_a_face() -> None:
    assert 7 <= relief_rms_mm(*shown("rigid_mask", 1)) <= 15


def test_depth_noise_grows_with_the_square_of_distance() -> None:
    """rms = z^2 s / (f B) with s of about 0.05 to 0.11 px."""
    fluctuation = {}
    for distance_mm in (400.0, 800.0):
        frames = [shown("flat_print", 0, index, distance_mm=distance_mm) for index in (0, 1)]
        z = [frame.depth.astype(np.float64) for frame, _ in frames]
        inside = ellipse(*frames[0], 60, 80) & (frames[0][0].depth > 0) & (frames[1][0].depth > 0)
        rows, cols = np.nonzero(inside)
        plane = np.stack([rows, cols, np.ones_like(rows)], 1)
        difference = (z[1] - z[0])[inside]  # the hand moves by fractions of a millimetre: a plane
        fluctuation[distance_mm] = (difference - plane @ np.linalg.lstsq(plane, difference, rcond=None)[0]).std()
    assert 2.5 < fluctuation[800.0] / fluctuation[400.0] < 6


def test_skin_evens_out_at_850_nm() -> None:
    """550 nm reflectance spans a factor 4 over the six groups, 850 nm less than 2."""
    visible, nir = {}, {}
    for subject in range(6):
        frame, face = shown("bona_fide", subject)
        cheeks = ellipse(frame, face, 90, 30, 10)
        exposure = frame.ir_lit_exposure
        assert exposure is not None
        assert exposure == frame.ir_unlit_exposure
        light = exposure.time_us * exposure.gain  # exposure adapts to the face
        visible[subject_skin_group(subject)] = mean_in(frame.ir_unlit, cheeks) / light
        added = frame.ir_lit.astype(np.float64) - frame.ir_unlit
        nir[subject_skin_group(subject)] = mean_in(added, cheeks) / light
    assert set(nir) == set(SKIN_GROUPS)
    assert max(nir.values()) / min(nir.values()) < 2
    assert visible["I"] / visible["VI"] > 2


def test_an_imager_without_a_filter_sees_visible_light() -> None:
    """`allpass` unlit is a grey photograph indoors and black in the dark; `irpass` is black under LED at any level."""
    frame, face = shown("bona_fide", 0)
    assert mean_in(frame.ir_unlit, ellipse(frame, face, 90, 110)) > 30
    frame, face = shown("bona_fide", 0, camera="irpass")
    filtered = mean_in(frame.ir_unlit, ellipse(frame, face, 90, 110))
    assert filtered < 0.2 * mean_in(frame.ir_lit, ellipse(frame, face, 90, 110))
    frame, face = shown("bona_fide", 0, illuminance_lx=0.0)
    assert mean_in(frame.ir_unlit, ellipse(frame, face, 90, 110)) < 10


def test_the_projector_adds_dots_and_skin_blurs_them() -> None:
    """Peak of the dots over their mean: skin scatters, paper does not."""

    def contrast(species: str, **overrides: object) -> float:
        frame, face = shown(species, 0, **overrides)
        added = frame.ir_lit.astype(np.float64) - frame.ir_unlit
        part = added[ellipse(frame, face, 60, 80)]
        return float(np.percentile(part, 98) / part.mean())

    assert contrast("bona_fide") < contrast("flat_print", ink="dye")


def test_dye_vanishes_in_infrared_and_toner_stays() -> None:
    """Dye black reflects 0.55 to 0.85 at 850 nm, toner 0.03 to 0.08: hair and pupils fade, or stay."""

    def darkest(ink: str) -> float:
        frame, face = shown("flat_print", 5, ink=ink, camera="irpass", light="tungsten")
        inside = ellipse(frame, face, 130, 150)
        return float(np.percentile(frame.ir_unlit[inside], 2) / np.median(frame.ir_unlit[inside]))

    assert darkest("dye") > 0.6
    assert darkest("toner") < 0.45  # black ink covers 0.6 to 1 of hair and pupils


def test_a_screen_is_seen_by_allpass_and_black_to_irpass() -> None:
    frame, face = shown("phone_replay", 0)
    seen = mean_in(frame.ir_unlit, ellipse(frame, face, 60, 80))
    frame, face = shown("phone_replay", 0, camera="irpass")
    assert seen > 30
    assert np.median(frame.ir_lit[ellipse(frame, face, 60, 80)]) < 0.5 * seen


def test_depth_is_lost_left_of_a_near_edge() -> None:
    """The left imager sees background beside the head that the right one cannot: f B (1/z - 1/z_behind) px wide."""
    frame, face = shown("bona_fide", 0)
    middle = round(face.y_px + face.height_px / 2)
    rows = slice(middle - 20, middle + 20)
    left = frame.depth[rows, round(face.x_px) - 60 : round(face.x_px)] == 0
    right = frame.depth[rows, round(face.x_px + face.width_px) : round(face.x_px + face.width_px) + 60] == 0
    assert left.mean() > right.mean() + 0.05


def test_lit_is_never_darker_than_unlit() -> None:
    for species in ("bona_fide", "flat_print", "rigid_mask"):
        frame, face = shown(species)
        inside = ellipse(frame, face, 90, 110)
        assert mean_in(frame.ir_lit, inside) > mean_in(frame.ir_unlit, inside)
