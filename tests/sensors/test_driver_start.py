"""Cameras that do not start, or not as asked; several at once, and which is which."""

from __future__ import annotations

import logging
import time
from dataclasses import replace

import numpy as np
import pytest

from edgefas.sensors.folder import FolderSource, write_folder
from edgefas.sensors.open import open_source
from edgefas.sensors.realsense import camera as camera_module
from edgefas.sensors.realsense import source as source_module
from edgefas.sensors.realsense.camera import open_camera
from edgefas.sensors.realsense.failures import Cause, cause_of, start_failed
from edgefas.sensors.realsense.profile import load_profile
from edgefas.sensors.realsense.sdk import load, shared_context
from edgefas.sensors.realsense.software import SoftwareBus, SoftwareD435, SoftwareModel
from edgefas.sensors.realsense.source import Patience, RealSenseSource, Running
from edgefas.sensors.simulated import SimulatedSource
from edgefas.sensors.source import CameraError, CameraIdentity
from tests.sensors.driving import HASTY, one_camera, opened, started
from tests.sensors.pump import Pump, frames_until
from tests.sensors.scenes import SMALL, moment, render_moment
from tests.sensors.soft_camera import SIZE, record_moments, wait_until


class Stubborn:
    """Fails to start so many times."""

    def __init__(self, bus: SoftwareBus, failures: int, text: str) -> None:
        self.bus, self.failures, self.text, self.starts, self.resets = bus, failures, text, 0, 0

    def start(self) -> Running:
        self.starts += 1
        if self.starts <= self.failures:
            raise start_failed(RuntimeError(self.text))
        return started(self.bus)

    def reset(self, wait):
        self.resets += 1

    def open(self) -> RealSenseSource:
        return RealSenseSource("SOFT1", self.start, live=True, reset=self.reset)


@pytest.fixture
def no_pause(monkeypatch):
    monkeypatch.setattr(source_module, "_RETRY_S", 0.01)


@pytest.mark.parametrize(
    ("failures", "text", "starts", "resets"),
    [
        (0, "", 1, 0),
        (1, "hwmon command failed", 2, 0),
        (2, "hwmon command failed", 3, 1),
        (2, "xioctl(VIDIOC_S_FMT) failed, errno=16 Last Error: Device or resource busy", 3, 0),
    ],
)
def test_the_ladder(no_pause, failures, text, starts, resets):
    bus, camera = one_camera()
    stubborn = Stubborn(bus, failures, text)
    with stubborn.open() as source:
        assert (stubborn.starts, stubborn.resets) == (starts, resets)
        assert source.stats().resets == resets
    assert camera.serial == "SOFT1"


@pytest.mark.parametrize(
    ("text", "cause", "starts", "way_out"),
    [
        ("failed to set power state", Cause.BUSY, 3, "close realsense-viewer"),
        ("xioctl(VIDIOC_STREAMON) failed, errno=16 Last Error: Device or resource busy", Cause.BUSY, 3, "fuser -v"),
        ("failed to open /dev/video2, errno=13 Permission denied", Cause.FORBIDDEN, 1, "udev rules"),
        ("Couldn't resolve requests", Cause.STREAMS, 1, "USB 3"),
        ("No device connected", Cause.GONE, 3, "cable and power"),
        ("get_xu(ctrl=1) failed! Last Error: Input/output error", Cause.WEDGED, 3, "unplug the camera"),
    ],
)
def test_a_camera_that_does_not_start_tells_the_way_out(no_pause, text, cause, starts, way_out):
    assert cause_of(text) is cause
    stubborn = Stubborn(SoftwareBus(), 99, text)
    with pytest.raises(CameraError, match=way_out):
        stubborn.open()
    assert stubborn.starts == starts
    assert stubborn.resets == (cause is Cause.WEDGED)


def test_streams_that_are_not_offered_are_listed():
    bus, camera = one_camera()
    with pytest.raises(CameraError, match=r"SOFT1: cannot stream depth 640x480 at 30 fps; it offers: 160x120 at 30"):
        open_camera(context=bus.context)
    with pytest.raises(CameraError, match=r"cannot stream colour 320x240 at 30 fps; it offers: 160x120 at 30"):
        open_camera(context=bus.context, size_px=SIZE, color_size_px=(320, 240))
    assert camera.serial == "SOFT1"


def test_on_usb_2_the_rate_goes_down_and_is_said(caplog):
    bus, camera = one_camera(fps=15, model=SoftwareModel(usb="2.1"))
    with caplog.at_level(logging.WARNING), opened(camera, bus) as source:
        assert source._running.profile.get_stream(load().stream.depth).fps() == 15
    assert "SOFT1 is on USB 2.1: down to 160x120 at 15 fps; use a USB 3 cable" in caplog.text


def test_alternating_needs_usb_3():
    bus, camera = one_camera(fps=15, alternating=True, model=SoftwareModel(usb="2.1"))
    with pytest.raises(CameraError, match=r"on USB 2\.1, too slow to alternate the emitter: use a USB 3"):
        open_camera(context=bus.context, emitter="alternate")
    assert camera.serial == "SOFT1"


@pytest.mark.parametrize(
    ("name", "message"),
    [("Intel RealSense D405", "D405 cannot be used: it has no projector"), ("RealSense D421", "depth only")],
)
def test_a_model_that_cannot_serve_is_refused(name, message):
    bus, camera = one_camera(model=SoftwareModel(name=name))
    for profile in (None, "d435i"):
        with pytest.raises(CameraError, match=message):
            open_camera(context=bus.context, profile=profile)
    assert camera.serial == "SOFT1"


def test_a_d415_cannot_alternate_and_stays_lit(caplog):
    wide = replace(SMALL, depth=replace(SMALL.depth, width_px=848, height_px=480))
    wide = replace(wide, color=replace(SMALL.color, width_px=640, height_px=480))
    model = SoftwareModel(name="Intel RealSense D415", product_id="0AD3")
    bus = SoftwareBus()
    camera = SoftwareD435(bus, wide, serial="SOFT1", model=model)
    with caplog.at_level("WARNING"), open_camera(context=bus.context, emitter="alternate"):
        assert camera.emitter_enabled
    assert "a d415 cannot alternate its projector, which stays on" in caplog.text


def test_a_profile_sets_size_and_rate():
    bus, camera = one_camera(fps=15)
    profile = load_profile("d435i").model_copy(
        update={"fps": 15, "depth": {}, "color": {}}
        | {key: type(load_profile("d435i").depth)(width_px=160, height_px=120) for key in ("depth", "color")}
    )
    with open_camera(context=bus.context, profile=profile, patience=HASTY) as source, Pump(camera):
        assert source.read(20).depth.shape == (120, 160)


def test_a_kernel_without_metadata_is_said_once(caplog):
    bus, camera = one_camera()
    with caplog.at_level(logging.WARNING), opened(camera, bus) as source:
        for number in (1, 2, 3):
            frame = moment(number)
            camera.push(
                number,
                frame.device_ns,
                depth=frame.depth,
                ir=frame.ir_lit,
                color=frame.color,
                lit=None,
                clock="system",
            )
            assert source.read(20).clock == "system"
    said = [record for record in caplog.records if "patch-realsense-ubuntu-L4T.sh" in record.getMessage()]
    assert len(said) == 1
    assert "-DFORCE_RSUSB_BACKEND=ON" in said[0].getMessage()


def test_two_cameras_at_once():
    bus = SoftwareBus()
    cameras = [SoftwareD435(bus, SMALL, serial=serial) for serial in ("LEFT", "RIGHT")]
    with opened(cameras[0], bus) as a, opened(cameras[1], bus) as b, Pump(cameras[0], seed=1), Pump(cameras[1], seed=2):
        for source, serial, seed in ((a, "LEFT", 1), (b, "RIGHT", 2)) * 5:
            frame = source.read(20)
            assert frame.camera == serial
            assert np.array_equal(frame.depth, moment(frame.number % 50, seed=seed).depth)


def test_one_of_two_cameras_is_unplugged():
    (left_bus, left), (right_bus, right) = one_camera(), one_camera()
    with opened(left, left_bus) as a, opened(right, right_bus) as b, Pump(left), Pump(right):
        frames_until(a, lambda frame: True)
        left.unplug()
        assert wait_until(lambda: a.stats().restarts >= 1, 40)
        frames_until(b, lambda frame: True)
        left.plug()
        frames_until(a, lambda frame: True)


def test_every_source_says_who_it_is(tmp_path):
    bus, camera = one_camera(model=SoftwareModel(name="Intel RealSense D435I", firmware="5.17.0.10"))
    known = CameraIdentity("SOFT1", "D400", "Intel RealSense D435I", "5.17.0.10", "librealsense")
    with opened(camera, bus) as source:
        assert source.identity() == known
    record_moments(tmp_path / "a.db3", 2)
    with open_source(str(tmp_path / "a.db3")) as source:
        recorded = source.identity()
    assert (recorded.serial, recorded.product_line, recorded.driver) == ("SOFT1", "D400", "file")
    assert (recorded.name, recorded.firmware) == ("Software D435", "5.16.0.1")
    write_folder(tmp_path / "b", [moment(1)])
    assert FolderSource(tmp_path / "b").identity() == CameraIdentity(serial="TEST", driver="folder")
    with SimulatedSource("noise", render=render_moment, frames=2) as source:
        assert source.identity().serial == "TEST"
        assert source.identity().driver == "simulated"


def test_one_context_per_process():
    assert shared_context() is shared_context()


def test_the_machines_cameras_are_looked_for_in_the_shared_context(monkeypatch):
    bus, camera = one_camera()
    monkeypatch.setattr(camera_module, "shared_context", lambda: bus.context)
    with open_camera(size_px=SIZE, color_size_px=SIZE) as source:
        assert source.identity().serial == camera.serial


def test_a_profile_is_for_realsense_cameras():
    with pytest.raises(CameraError, match="no RealSense camera is connected"):
        open_source("realsense", profile="d435i")
    for text in ("simulated", "a.db3", "dir:b"):
        with pytest.raises(Exception, match="a profile sets up a RealSense camera, and"):
            open_source(text, profile="d435i")


def test_queued_frames_are_old_and_not_new():
    """The camera's clock says how long a frame waited; the host's arrival time alone would call it fresh."""
    bus, camera = one_camera()
    with opened(camera, bus, patience=Patience()) as source:
        begin_ns = time.monotonic_ns()

        def push(number: int, at_ns: int) -> None:
            frame = moment(number)
            camera.push(number, at_ns, depth=frame.depth, ir=frame.ir_lit, color=frame.color)

        push(1, 1_000_000_000)
        first = source.read(20)
        time.sleep(0.5)
        push(2, 1_033_000_000)  # of 33 ms later by the camera's clock, and it comes half a second late
        second = source.read(20)
    assert first.host_ns >= begin_ns
    assert (time.monotonic_ns() - second.host_ns) / 1e6 > 400
