"""The exposure region: when it is asked for, within which bounds, and what a refusal does."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from edgefas.sensors.alignment import PixelBox
from edgefas.sensors.realsense import exposure
from edgefas.sensors.realsense.exposure import Steering, clamp_region, find_region_sensor
from edgefas.sensors.realsense.sdk import load
from edgefas.sensors.realsense.software import SoftwareBus, SoftwareD435
from tests.sensors.pump import Pump, frames_until
from tests.sensors.scenes import SMALL
from tests.sensors.soft_camera import soft_rig, wait_until

FACE = PixelBox(40, 30, 50, 60)


class Imager:
    """A stereo sensor that can be told a region, and refuses the first `refusals`."""

    def __init__(self, refusals: int = 0) -> None:
        self.refusals, self.asked = refusals, []

    def as_roi_sensor(self):
        return self

    def get_stream_profiles(self):
        return [SimpleNamespace(stream_type=lambda: load().stream.depth)]

    def set_region_of_interest(self, region):
        self.asked.append((region.min_x, region.min_y, region.max_x, region.max_y))
        if len(self.asked) <= self.refusals:
            raise RuntimeError("hwmon command 0x44 failed (response -6= Invalid parameter).")


class Clock:
    def __init__(self, monkeypatch) -> None:
        self.now_s = 100.0
        monkeypatch.setattr(exposure.time, "monotonic", lambda: self.now_s)


@pytest.fixture
def clock(monkeypatch):
    return Clock(monkeypatch)


def _steering(imager: Imager, before: Steering | None = None) -> Steering:
    depth = SimpleNamespace(width=lambda: 160, height=lambda: 120)
    return Steering(
        SimpleNamespace(
            get_device=lambda: SimpleNamespace(query_sensors=lambda: [imager]),
            get_stream=lambda kind: SimpleNamespace(as_video_stream_profile=lambda: depth),
        ),
        before,
    )


@pytest.mark.parametrize(
    ("box", "region"),
    [
        (PixelBox(40, 30, 50, 60), (40, 30, 89, 89)),
        (PixelBox(-20, -5, 60, 50), (0, 0, 39, 44)),
        (PixelBox(120, 90, 100, 100), (120, 90, 159, 119)),
        (PixelBox(0, 0, 160, 120), (0, 0, 159, 119)),
        (PixelBox(155, 30, 60, 60), None),
        (PixelBox(300, 30, 60, 60), None),
        (PixelBox(-90, 30, 60, 60), None),
    ],
)
def test_a_region_stays_inside_the_picture(box, region):
    assert clamp_region(box, 160, 120) == region


def test_nothing_is_asked_of_the_first_ten_frames(clock):
    imager = Imager()
    steering = _steering(imager)
    steering.wish(FACE)
    assert [steering.steer() for _ in range(10)] == [None] * 10
    assert steering.steer() is True
    assert imager.asked == [(40, 30, 89, 89)]


def test_a_moving_face_is_followed_at_most_three_times_in_two_seconds(clock):
    imager = Imager()
    steering = _steering(imager)
    for frame in range(310):
        clock.now_s += 1 / 30
        steering.wish(PixelBox(20 + frame % 60, 30, 50, 60))
        steering.steer()
    assert 10 <= len(imager.asked) <= 15  # in 10 s


def test_a_face_that_stays_is_not_asked_for_again(clock):
    imager = Imager()
    steering = _steering(imager)
    for frame in range(100):
        clock.now_s += 1 / 30
        steering.wish(PixelBox(40 + frame % 4, 30, 50, 60))
        steering.steer()
    assert len(imager.asked) == 1


def test_a_refusal_is_tried_again_later(clock):
    imager = Imager(refusals=2)
    steering, results = _steering(imager), []
    steering.wish(FACE)
    for _ in range(100):
        clock.now_s += 1 / 30
        results.append(steering.steer())
    assert [result for result in results if result is not None] == [False, False, True]


def test_a_wish_survives_a_restart(clock):
    first = _steering(Imager())
    first.wish(FACE)
    imager = Imager()
    second = _steering(imager, first)
    for _ in range(11):
        second.steer()
    assert len(imager.asked) == 1


def test_a_sensor_that_cannot_is_left_alone():
    bus = SoftwareBus()
    camera = SoftwareD435(bus, SMALL, serial="SOFT1")
    [device] = list(bus.context.query_devices())
    assert find_region_sensor(device) is None
    with soft_rig() as rig:
        rig.source.set_exposure_region(FACE)
        rig.push(1)
        assert rig.source.read(20).number == 1
        assert rig.source.stats().regions_refused == 0
    assert camera.serial == "SOFT1"


def test_the_source_steers_and_counts(monkeypatch):
    imager = Imager(refusals=1)
    monkeypatch.setattr(exposure, "find_region_sensor", lambda device: imager)
    monkeypatch.setattr(exposure, "_EVERY_S", 0.1)
    with soft_rig() as rig, Pump(rig.camera):
        rig.source.set_exposure_region(FACE)
        frames_until(rig.source, lambda frame: True)
        assert wait_until(lambda: rig.source.stats().regions_set == 1, 40)
        assert rig.source.stats().regions_refused == 1
    assert imager.asked == [(40, 30, 89, 89)] * 2
