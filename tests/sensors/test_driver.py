"""The driver in a bad world: plugs pulled, wedged, blank, frozen; through the real librealsense where it can."""

from __future__ import annotations

import contextlib
import threading
import time

import pytest

from edgefas.sensors.frame import Flaw
from edgefas.sensors.open import open_source
from edgefas.sensors.realsense import source as source_module
from edgefas.sensors.realsense.camera import _hardware_reset
from edgefas.sensors.realsense.failures import StartFailed, start_failed
from edgefas.sensors.realsense.software import SoftwareBus, SoftwareD435, SoftwareModel
from edgefas.sensors.realsense.source import Patience, RealSenseSource, Running
from edgefas.sensors.source import CameraLost, CameraTimeout
from tests.sensors.driving import BAG, HASTY, one_camera, opened, started
from tests.sensors.pump import Pump, frames_until
from tests.sensors.scenes import moment
from tests.sensors.soft_camera import record_moments, wait_until


@pytest.mark.parametrize(("black", "flaw"), [("color", Flaw.BLANK), ("ir", Flaw.BLANK), ("depth", Flaw.DEPTH_EMPTY)])
def test_black_streams_are_marked_and_counted(black, flaw):
    bus, camera = one_camera()
    with opened(camera, bus, patience=Patience()) as source, Pump(camera) as pump:
        frames_until(source, lambda frame: not frame.flaws)
        pump.black = (black,)
        frames_until(source, lambda frame: frame.flaws == (flaw,))
        pump.black = ()
        frames_until(source, lambda frame: not frame.flaws)
        stats = source.stats()
    assert (stats.blank > 0, stats.depth_empty > 0) == (flaw is Flaw.BLANK, flaw is Flaw.DEPTH_EMPTY)


def test_a_frozen_stream_is_marked_restarted_and_heals():
    bus, camera = one_camera()
    with opened(camera, bus) as source, Pump(camera) as pump:
        frames_until(source, lambda frame: not frame.flaws)
        pump.frozen = True
        frames_until(source, lambda frame: Flaw.FROZEN in frame.flaws)
        assert wait_until(lambda: source.stats().restarts >= 1, 40)
        pump.frozen = False
        frames_until(source, lambda frame: not frame.flaws)
        assert source.stats().frozen > 1


def test_a_frozen_recording_is_marked_and_played_once(tmp_path):
    still = moment(1)
    sent = record_moments(tmp_path / "a.db3", 6, color=still.color, ir=still.ir_lit, depth=still.depth)
    with open_source(str(tmp_path / "a.db3")) as source:
        got = []
        for frame in source:
            got.append(frame)
            time.sleep(0.1)  # a slow reader is no stalled camera, and a restart would begin the file anew
        assert source.stats().frozen == 5
        assert source.stats().restarts == 0
    assert [frame.number for frame in got] == [frame.number for frame in sent]
    assert [frame.flaws for frame in got] == [()] + [(Flaw.FROZEN,)] * 5


def test_a_sound_bag_has_no_flaws():
    with open_source(str(BAG)) as source:
        assert all(frame.flaws == () for frame in source)


def test_what_cannot_be_read_is_counted():
    bus, camera = one_camera()
    with opened(camera, bus) as source, Pump(camera):
        frames_until(source, lambda frame: True)
        add = source._builder.add
        broken = iter([RuntimeError("null pointer passed"), ValueError("depth is uint8")])

        def fails_twice(frameset):
            error = next(broken, None)
            if error is not None:
                raise error
            return add(frameset)

        source._builder.add = fails_twice
        assert wait_until(lambda: source.stats().corrupt == 2)
        frames_until(source, lambda frame: not frame.flaws)


def test_unplugged_and_plugged_in_again():
    bus, camera = one_camera(model=SoftwareModel(firmware="5.16.0.1"))
    with opened(camera, bus) as source, Pump(camera):
        frames_until(source, lambda frame: True)
        camera.unplug()
        assert wait_until(lambda: source.stats().restarts >= 1, 40)
        assert wait_until(lambda: source._running is None, 40)
        with contextlib.suppress(CameraTimeout):
            source.read(0.1)  # what came before
        with pytest.raises(CameraTimeout):
            source.read(0.3)
        camera.plug()
        frames_until(source, lambda frame: not frame.flaws)
        assert source.identity().firmware == "5.16.0.1"


def test_a_stall_that_restarts_do_not_cure_is_reset():
    bus, camera = one_camera()
    resets = []

    def reset(wait):
        resets.append(source.stats().restarts)
        pump.silent = False

    with Pump(camera) as pump:
        source = RealSenseSource("SOFT1", lambda: started(bus), live=True, patience=HASTY, reset=reset)
        with source:
            frames_until(source, lambda frame: True)
            before, pump.silent = source.stats().restarts, True
            assert wait_until(lambda: bool(resets), 60)
            frames_until(source, lambda frame: not frame.flaws)
            assert resets == [before + 3]  # the third restart; two plain ones came first
            assert source.stats().resets == 1


def test_a_camera_that_another_program_took_is_not_reset():
    bus, camera = one_camera()
    starts = []

    def start() -> Running:
        starts.append(1)
        if 1 < len(starts) < 6:  # past the restart that would reset it
            raise start_failed(RuntimeError("Device or resource busy"))
        return started(bus)

    def reset(wait):
        raise AssertionError("it was taken away from another program")

    with Pump(camera), RealSenseSource("SOFT1", start, live=True, patience=HASTY, reset=reset) as source:
        frames_until(source, lambda frame: True)
        stuck, source._running = source._running, None
        assert wait_until(lambda: len(starts) >= 6, 40)
        stuck.pipeline.stop()
        assert source.stats().resets == 0
        assert source.stats().restarts >= 5


class Bench:
    """An `rs.context` whose camera can be reset, is away for some looks, and comes back or not."""

    def __init__(self, bus: SoftwareBus, camera: SoftwareD435, comes_back: bool = True) -> None:
        self.bus, self.camera, self.comes_back, self.looks = bus, camera, comes_back, None

    def query_devices(self):
        if self.looks is not None:
            self.looks += 1
            if self.looks == 3:
                self.camera.unplug()
            if self.looks == 6 and self.comes_back:
                self.camera.plug()
        return [self._Resettable(device, self) for device in self.bus.context.query_devices()]

    class _Resettable:
        def __init__(self, device, bench):
            self._device, self._bench = device, bench

        def __getattr__(self, name):
            return getattr(self._device, name)

        def hardware_reset(self):
            self._bench.looks = 0


def test_a_reset_camera_is_looked_for_until_it_is_back():
    bench = Bench(*one_camera())
    waits = []
    _hardware_reset(bench, "SOFT1", lambda seconds: waits.append(seconds))
    assert bench.looks == 6
    assert len(waits) == 4
    assert bench.camera.option("laser_power") == 150


def test_a_camera_that_does_not_come_back_is_said():
    bench = Bench(*one_camera(), comes_back=False)
    waits = []
    with pytest.raises(StartFailed, match="did not come back within 10 s"):
        _hardware_reset(bench, "SOFT1", lambda seconds: waits.append(seconds))
    assert sum(waits) == pytest.approx(10, abs=1)


def test_a_software_camera_cannot_be_reset_and_says_so():
    bus, camera = one_camera()
    with pytest.raises(StartFailed, match="hardware_reset is not implemented"):
        _hardware_reset(bus.context, camera.serial, lambda seconds: False)
    with pytest.raises(StartFailed, match="not connected"):
        _hardware_reset(bus.context, "OTHER", lambda seconds: False)


def test_a_stop_that_blocks_while_restarting_does_not_keep_frames_away(monkeypatch):
    monkeypatch.setattr(source_module, "_CLOSE_S", 0.2)
    bus, camera = one_camera()
    let_go, blocking = threading.Event(), iter([True])

    class Wedged:
        def __init__(self, pipeline):
            self.try_wait_for_frames, self._pipeline = pipeline.try_wait_for_frames, pipeline

        def stop(self):
            self._pipeline.stop()
            if next(blocking, False):
                let_go.wait(60)

    def start() -> Running:
        running = started(bus)
        return Running(Wedged(running.pipeline), running.profile)

    with Pump(camera) as pump, RealSenseSource("wedged", start, live=True, patience=HASTY) as source:
        frames_until(source, lambda frame: True)
        pump.silent = True
        assert wait_until(lambda: source.stats().stops_left_behind == 1, 40)
        pump.silent = False
        frames_until(source, lambda frame: not frame.flaws)
        let_go.set()


def test_close_interrupts_a_reset(monkeypatch):
    bus, camera = one_camera()
    waiting = threading.Event()

    def reset(wait):
        waiting.set()
        assert wait(60), "nobody said that the source was closed"

    source = RealSenseSource("SOFT1", lambda: started(bus), live=True, patience=HASTY, reset=reset)
    assert waiting.wait(60)
    source.close()
    assert not source._thread.is_alive()
    with pytest.raises(CameraLost, match="closed"):
        source.read(0)
    assert camera.serial == "SOFT1"
