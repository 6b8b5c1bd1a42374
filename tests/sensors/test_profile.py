"""Camera profiles: the shipped ones, which camera gets which, and what a wrong file is told."""

from __future__ import annotations

import contextlib
import logging

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgefas.errors import UsageError
from edgefas.sensors.realsense.profile import (
    CameraProfile,
    _parse,
    choose_profile,
    load_profile,
    profile_names,
)
from edgefas.sensors.source import CameraError

ALLOWED_LASER = range(0, 361, 30)
"""A D400 takes its laser power in steps of 30 mW."""


def test_the_shipped_profiles():
    assert profile_names() == ["d415", "d435f", "d435i", "d455", "d457"]
    for name in profile_names():
        profile = load_profile(name)
        assert profile.name == name
        assert profile.models
        assert profile.laser_power_mw in ALLOWED_LASER
        assert not profile.auto_exposure_priority
    assert load_profile("d415").alternate_fps is None


@pytest.mark.parametrize(
    ("name", "product_id", "profile"),
    [
        ("Intel RealSense D435I", "0B3A", "d435i"),
        ("RealSense D435", "0B07", "d435i"),
        ("Intel RealSense D435F", "0B07", "d435f"),
        ("Intel RealSense D415", "0AD3", "d415"),
        ("Intel RealSense D455", "0b5c", "d455"),
        ("Intel RealSense D457", "ABCD", "d457"),
        ("something new", "0B5C", "d455"),
    ],
)
def test_a_camera_is_set_up_by_its_model(name, product_id, profile, caplog):
    assert choose_profile(name, product_id).name == profile
    assert not caplog.records


def test_an_unknown_model_is_set_up_as_a_d435i_and_said(caplog):
    with caplog.at_level(logging.WARNING):
        assert choose_profile("Intel RealSense D499", "FFFF").name == "d435i"
    assert "no profile for 'Intel RealSense D499' (product id FFFF): set up as a d435i" in caplog.text


@pytest.mark.parametrize(
    ("name", "product_id", "reason"),
    [
        ("Intel RealSense D405", "", "D405 cannot be used: it has no projector"),
        ("anything", "0B5B", "D405 cannot be used"),
        ("Intel RealSense D421", "1155", "D421 cannot be used: it gives depth only"),
    ],
)
def test_models_that_cannot_serve_are_refused(name, product_id, reason):
    with pytest.raises(CameraError, match=reason):
        choose_profile(name, product_id)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: door\nlaser_powr_mw: 30\n", r"line 2: laser_powr_mw: unknown field; did you mean 'laser_power_mw'"),
        (
            "name: door\n\n# why\nlaser_power_mw: 500\n",
            r"line 4: laser_power_mw: .*less than or equal to 360 \(got 500",
        ),
        ("name: door\ndepth:\n  width_px: 640\n  height_px: 5\n", r"line 4: depth\.height_px: .*\(got 5\)"),
        ("name: door\nproduct_ids:\n  - '0B07'\n  - '0xB07'\n", r"line 4: product_ids\.1: .*pattern.*0xB07"),
        ("name: door\nfps: '30'\n", r"line 2: fps: Input should be a valid integer \(got '30'\)"),
        ("name: door\nfps: true\n", r"line 2: fps: Input should be a valid integer"),
        ("name: door\npower_line_hz: off\n", r"line 2: power_line_hz: .*'disabled'"),
        ("name: door\nfps: 30\nfps: 60\n", r"line 3: fps: given twice"),
        ("fps: 30\n", r"line 1: name: Field required"),
        ("name: [\n", r"line 2: not YAML"),
        ("name: door\n  fps: 30\n", r"line 2: not YAML"),
        ("30\n", r"line 1: must hold keys and values"),
        ("", r"line 1: must hold keys and values"),
        ("!!python/object/apply:os.system ['true']\n", r"line 1: not YAML"),
        ("&a [*a]\n", r"not YAML"),
    ],
)
def test_a_malformed_profile_names_file_line_and_key(tmp_path, text, message):
    path = tmp_path / "door.yaml"
    path.write_text(text)
    with pytest.raises(UsageError, match=rf"door\.yaml.*{message}"):
        load_profile(str(path))


def test_files_that_are_no_profile(tmp_path):
    with pytest.raises(UsageError, match=r"no camera profile 'd436'; .*d415, d435f, d435i, d455, d457"):
        load_profile("d436")
    with pytest.raises(UsageError, match=r"cannot read camera profile .*No such file"):
        load_profile(str(tmp_path / "none.yaml"))
    (tmp_path / "a.yaml").write_bytes(b"name: \xff")
    with pytest.raises(UsageError, match="not UTF-8"):
        load_profile(str(tmp_path / "a.yaml"))
    (tmp_path / "a.yaml").write_bytes(b"#" * 100_000)
    with pytest.raises(UsageError, match="more than 64 kB"):
        load_profile(str(tmp_path / "a.yaml"))


def test_a_profile_of_ones_own(tmp_path):
    path = tmp_path / "door.yaml"
    path.write_text("name: door\nlaser_power_mw: 60\npower_line_hz: 50\nalternate_fps: null\n")
    profile = load_profile(str(path))
    assert (profile.laser_power_mw, profile.power_line_hz, profile.fps) == (60, 50, 30)
    with pytest.raises(CameraError, match="a door cannot alternate its emitter"):
        profile.rate("alternate")


@settings(max_examples=40, deadline=None)
@given(st.text(max_size=80))
def test_any_text_is_refused_in_words(text):
    with contextlib.suppress(UsageError):
        assert isinstance(_parse("a.yaml", f"name: door\n{text}"), CameraProfile)
