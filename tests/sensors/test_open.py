"""open_source: what each text means, and that no text ends in a traceback."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgefas.errors import EdgefasError, MissingExtra, UsageError
from edgefas.sensors.open import open_source
from edgefas.sensors.realsense import sdk
from edgefas.sensors.source import CameraError


@pytest.mark.parametrize(
    "text", ["", "webcam", "realsense2", "a.gif", "v4l2:", "video:", "dir:", "dir", "db3", "simulator:"]
)
def test_an_unknown_text_names_the_forms(text):
    with pytest.raises(UsageError, match=r"allowed: realsense, realsense:SERIAL, FILE\.db3, FILE\.bag, simulated"):
        open_source(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("simulated:frames=0", "frames=0: must be a whole number from 1 to 300"),
        ("simulated:frames=301", "from 1 to 300"),
        ("simulated:frames=x", "from 1 to 300"),
        ("simulated:emitter=off", "emitter=off: allowed: on, alternate"),
        ("simulated:colour=red", "colour"),
        ("realsense:emitter=1", "allowed: on, alternate"),
        ("realsense:0123,frames=3", "write realsense:SERIAL"),
        ("realsense:0123,0456", "write realsense:SERIAL"),
    ],
)
def test_a_wrong_option_is_named(text, message):
    with pytest.raises(UsageError, match=message):
        open_source(text)


@pytest.mark.parametrize("text", ["realsense", "realsense:0123", "realsense:0123,emitter=alternate"])
def test_no_camera(text):
    with pytest.raises(CameraError, match="no RealSense camera is connected"):
        open_source(text)


def test_only_cameras_are_recorded(tmp_path):
    for text in ("a.db3", "dir:b"):
        with pytest.raises(UsageError, match="only realsense and simulated can be recorded"):
            open_source(text, record_to=tmp_path / "c.db3")


def test_without_pyrealsense2_the_extra_is_named(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "pyrealsense2", None)
    sdk.load.cache_clear()
    with pytest.raises(MissingExtra, match=r"pip install 'edgefas\[realsense\]'"):
        open_source("realsense")
    monkeypatch.undo()
    assert sdk.load().__name__ == "pyrealsense2"


@given(st.text(max_size=30).filter(lambda text: not text.startswith("simulated") and "\0" not in text))
def test_any_text_is_refused_in_words(text):
    with pytest.raises(EdgefasError):
        open_source(text)


@given(st.text(max_size=30).filter(lambda text: "frames" not in text))
def test_any_simulator_option_is_refused_in_words(text):
    with pytest.raises(UsageError):
        open_source(f"simulated:frames=0,{text}")
