"""Equal arguments give equal frames, in any order; identities, sites and versions are what they say."""

from __future__ import annotations

import numpy as np
import pytest

from edgefas.errors import UsageError
from edgefas.sensors.simulator import (
    Presentation,
    face_window,
    parse_options,
    render,
    sample_episode,
    subject_skin_group,
    true_face,
)
from tests.sensors.simulator.pictures import shown

STREAMS = ("color", "ir_lit", "ir_unlit", "depth")


def test_a_frame_depends_on_episode_and_index_alone() -> None:
    episode = sample_episode(Presentation.FLAT_PRINT, 3, 1, 8)
    late, early = render(episode, 7), render(episode, 2)
    render(sample_episode(Presentation.BONA_FIDE, 1, 0, 1), 0)
    again = render(sample_episode(Presentation.FLAT_PRINT, 3, 1, 8), 7)
    for name in STREAMS:
        np.testing.assert_array_equal(getattr(late, name), getattr(again, name))
        assert (getattr(late, name) != getattr(early, name)).any()


def test_people_are_told_apart() -> None:
    one, other = shown("bona_fide", 0)[0], shown("bona_fide", 6)[0]
    assert subject_skin_group(0) == subject_skin_group(6)
    assert np.abs(one.color.astype(int) - other.color).mean() > 1


def test_sites_have_cameras_of_their_own() -> None:
    frames = [render(sample_episode(Presentation.EMPTY, 0, site, 0), 0) for site in (0, 1)]
    assert frames[0].calibration != frames[1].calibration
    assert frames[0].camera != frames[1].camera


def test_an_empty_scene_has_no_face() -> None:
    assert true_face(sample_episode(Presentation.EMPTY, 0, 0, 0), 0) is None


def test_the_face_is_where_the_depth_says() -> None:
    frame, face = shown("bona_fide", 2)
    middle = frame.depth[
        round(face.y_px + 0.4 * face.height_px) : round(face.y_px + 0.6 * face.height_px),
        round(face.x_px + 0.4 * face.width_px) : round(face.x_px + 0.6 * face.width_px),
    ]
    assert abs(np.median(middle[middle > 0]) * frame.depth_scale_m * 1000 - face.median_z_mm) < 30


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("species=mask", "rigid_mask"),
        ("subjet=3", "did you mean 'subject'"),
        ("subject=-1", "whole number"),
        ("distance_mm=nan", "a number from 250 to 1500"),
        ("subject", "has no value"),
        ("subject=1,subject=2", "given twice"),
    ],
)
def test_a_wrong_option_is_named(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_options(text)


def test_nothing_said_is_the_first_subject() -> None:
    assert parse_options("") == sample_episode(Presentation.BONA_FIDE, 0, 0, 0)


def test_a_window_shows_what_the_whole_picture_shows_there() -> None:
    """The same face at the same place; noise and automatic exposure are its own."""
    episode = sample_episode(Presentation.BONA_FIDE, 3, 0, 4, distance_mm=600)
    window = face_window(episode, 4, around_mm=60)
    whole, part = render(episode, 2), render(episode, 2, window)
    x0, y0, x1, y1 = window.depth_px
    assert part.depth.shape == (y1 - y0, x1 - x0)
    cut = whole.depth[y0:y1, x0:x1].astype(float)
    both = (cut > 0) & (part.depth > 0)
    assert abs(np.median((cut - part.depth)[both])) < 1
    assert ((cut > 0) == (part.depth > 0)).mean() > 0.9  # 3 % of the wall are holes, drawn twice
    u0, v0, u1, v1 = window.color_px
    here, there = part.color.astype(float).ravel(), whole.color[v0:v1, u0:u1].astype(float).ravel()
    assert np.corrcoef(here, there)[0, 1] > 0.98
    face, in_window = true_face(episode, 2), true_face(episode, 2, window)
    assert face.x_px - x0 == pytest.approx(in_window.x_px)
    assert face.y_px - y0 == pytest.approx(in_window.y_px)
