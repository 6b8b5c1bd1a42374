"""Options: what librealsense's software sensor refuses is refused in words, what a sick sensor does is tried again."""

from __future__ import annotations

import logging

import pytest

from edgefas.sensors.realsense.camera import open_camera
from edgefas.sensors.realsense.options import Setting, set_option, set_up
from edgefas.sensors.realsense.profile import load_profile
from edgefas.sensors.realsense.sdk import load
from edgefas.sensors.realsense.software import SoftwareBus, SoftwareD435, SoftwareModel
from edgefas.sensors.source import CameraError
from tests.sensors.scenes import SMALL
from tests.sensors.soft_camera import SIZE

LASER = Setting("laser_power", 150.0, "stereo")


def _sensor(camera: SoftwareBus, index: int = 0):
    [device] = list(camera.context.query_devices())
    return device.query_sensors()[index]


def _camera(alternating: bool = True, **model: object) -> tuple[SoftwareBus, SoftwareD435]:
    bus = SoftwareBus()
    return bus, SoftwareD435(bus, SMALL, serial="SOFT1", fps=30, alternating=alternating, model=SoftwareModel(**model))


def test_the_profile_reaches_the_camera():
    bus, camera = _camera()
    profile = load_profile("d435i").model_copy(
        update={"visual_preset": "high_density", "laser_power_mw": 60, "power_line_hz": 50}
    )
    with open_camera(profile=profile, size_px=SIZE, color_size_px=SIZE, context=bus.context) as source:
        assert source.stats().options_refused == 0
    assert camera.option("visual_preset") == 4
    assert camera.option("laser_power") == 60
    assert camera.option("power_line_frequency") == 1
    assert camera.option("auto_exposure_priority") == 0
    assert camera.option("emitter_enabled") == 1
    assert camera.option("emitter_on_off") == 0


def test_alternating_is_switched_on():
    bus, camera = _camera()
    [device] = list(bus.context.query_devices())
    assert set_up(device, load_profile("d435i"), "alternate") == 0
    assert camera.option("emitter_on_off") == 1


def test_a_refused_wish_is_counted_and_said(caplog):
    bus, camera = _camera(fixed=("auto_exposure_priority",), lacking=("power_line_frequency",))
    profile = load_profile("d435i").model_copy(update={"laser_power_mw": 45})
    with (
        caplog.at_level(logging.WARNING),
        open_camera(profile=profile, size_px=SIZE, color_size_px=SIZE, context=bus.context) as source,
    ):
        assert source.stats().options_refused == 3
    assert "laser_power 45: allowed: 0 to 360 in steps of 30" in caplog.text
    assert "auto_exposure_priority 0: fixed at 1" in caplog.text
    assert "power_line_frequency 3: this camera does not have it" in caplog.text
    assert camera.option("laser_power") == 150


@pytest.mark.parametrize(
    ("model", "emitter", "message"),
    [
        ({"lacking": ("emitter_enabled",)}, "on", "emitter_enabled must be 1: this camera does not have it"),
        ({"lacking": ("emitter_on_off",)}, "alternate", "emitter_on_off must be 1: this camera does not have it"),
        ({"fixed": ("emitter_on_off",)}, "alternate", "emitter_on_off must be 1: fixed at 0"),
    ],
)
def test_an_essential_option_is_an_error(model, emitter, message):
    bus, camera = _camera(**model)
    [device] = list(bus.context.query_devices())
    with pytest.raises(CameraError, match=message):
        set_up(device, load_profile("d435i"), emitter)
    assert camera.serial == "SOFT1"


def test_a_value_out_of_range_is_not_sent():
    bus, camera = _camera()
    refusal = set_option(_sensor(bus), load().option.laser_power, Setting("laser_power", 390.0, "stereo"))
    assert refusal == "allowed: 0 to 360"
    assert camera.option("laser_power") == 150


class Sick:
    """A sensor whose transfers fail `failures` times, or that takes a value and keeps another."""

    def __init__(self, failures: int = 0, deaf: bool = False) -> None:
        self.failures, self.deaf, self.value, self.asked = failures, deaf, 0.0, 0

    def supports(self, option):
        return True

    def is_option_read_only(self, option):
        return False

    def get_option(self, option):
        return self.value

    def get_option_range(self, option):
        allowed = load().option_range()
        allowed.min, allowed.max, allowed.step = 0.0, 360.0, 30.0
        return allowed

    def set_option(self, option, value):
        self.asked += 1
        if self.asked <= self.failures:
            raise RuntimeError("hwmon command 0x4f failed")
        if not self.deaf:
            self.value = value


def test_a_failing_transfer_is_tried_three_times():
    twice, always = Sick(failures=2), Sick(failures=99)
    assert set_option(twice, "laser_power", LASER) is None
    assert twice.value == 150
    assert set_option(always, "laser_power", LASER) == "hwmon command 0x4f failed, 3 times"
    assert always.asked == 3


def test_a_value_that_is_not_held_is_refused():
    assert set_option(Sick(deaf=True), "laser_power", LASER) == "the camera took it and holds 0"


def test_disparity_shift_without_advanced_mode_is_refused(caplog):
    bus, camera = _camera()
    [device] = list(bus.context.query_devices())
    profile = load_profile("d435i").model_copy(update={"disparity_shift": 40})
    with caplog.at_level(logging.WARNING):
        assert set_up(device, profile, "on") == 1
    assert "disparity_shift 40" in caplog.text
    assert camera.serial == "SOFT1"
