"""Frame: streams are checked by name against the calibration, owned, and locked."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, replace
from typing import Any

import numpy as np
import pytest

from edgefas.sensors.frame import Calibration, Frame, Intrinsics

DEPTH_GRID = Intrinsics(8, 6, 7.0, 7.0, 4.0, 3.0)
COLOR_GRID = Intrinsics(10, 4, 9.0, 9.0, 5.0, 2.0)
STREAMS = {"color": (4, 10, 3), "ir_lit": (6, 8), "ir_unlit": (6, 8), "depth": (6, 8)}


def dtype(name: str) -> type[np.generic]:
    return np.uint16 if name == "depth" else np.uint8


def frame(**changes: Any) -> Frame:
    streams = {name: np.ones(shape, dtype(name)) for name, shape in STREAMS.items()}
    rest = {"number": 1, "device_ns": 0, "clock": "system", "host_ns": 0, "camera": "0001", "depth_scale_m": 0.001}
    return Frame(**{**streams, **rest, "calibration": Calibration(depth=DEPTH_GRID, color=COLOR_GRID), **changes})


@pytest.mark.parametrize("name", STREAMS)
def test_wrong_dtype_is_refused_by_name(name: str) -> None:
    with pytest.raises(ValueError, match=rf"^{name} is float32 .*the calibration says uint"):
        frame(**{name: np.ones(STREAMS[name], np.float32)})


@pytest.mark.parametrize("name", STREAMS)
def test_wrong_shape_is_refused_by_name(name: str) -> None:
    height, width, *channels = STREAMS[name]
    for shape in ((width, height, *channels), (1, height, width, *channels), (height, width, *channels, 1)):
        with pytest.raises(ValueError, match=rf"^{name} is "):
            frame(**{name: np.ones(shape, dtype(name))})


@pytest.mark.parametrize("name", STREAMS)
def test_not_an_array_is_refused_by_name(name: str) -> None:
    with pytest.raises(ValueError, match=rf"^{name} is list, the calibration says"):
        frame(**{name: [[0]]})


@pytest.mark.parametrize("name", STREAMS)
def test_a_view_is_copied_and_locked(name: str) -> None:
    driver = np.zeros((2, *STREAMS[name]), dtype(name))
    array = getattr(frame(**{name: driver[0]}), name)
    driver[:] = 7
    assert not array.any()
    assert array.base is None
    assert not np.shares_memory(array, driver)
    with pytest.raises(ValueError, match="read-only"):
        array[0] = 1


@pytest.mark.parametrize("name", STREAMS)
def test_a_strided_view_becomes_contiguous(name: str) -> None:
    height, *rest = STREAMS[name]
    wide = np.arange(2 * height * int(np.prod(rest))).reshape(2 * height, *rest).astype(dtype(name))
    array = getattr(frame(**{name: wide[::2]}), name)
    assert array.flags.c_contiguous
    assert (array == wide[::2]).all()


@pytest.mark.parametrize("name", STREAMS)
def test_a_missing_stream_stays_missing(name: str) -> None:
    assert getattr(frame(**{name: None}), name) is None


@pytest.mark.parametrize("scale", [0.0, -0.001, float("nan"), float("inf"), 1.0])
def test_depth_scale_is_checked(scale: float) -> None:
    with pytest.raises(ValueError, match="depth_scale_m is"):
        frame(depth_scale_m=scale)


def test_a_frame_is_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        frame().number = 2
    assert replace(frame(), number=2).number == 2
