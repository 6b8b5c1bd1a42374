"""RealSenseSource as a live camera, through the real librealsense and a software D435."""

from __future__ import annotations

import threading
from collections import Counter

import numpy as np
import pytest

from edgefas.sensors.realsense import source as source_module
from edgefas.sensors.realsense.camera import find_serial, open_camera
from edgefas.sensors.realsense.moments import MomentBuilder
from edgefas.sensors.realsense.sdk import load
from edgefas.sensors.realsense.software import SoftwareBus, SoftwareD435
from edgefas.sensors.realsense.source import Patience, RealSenseSource, Running
from edgefas.sensors.source import CameraError, CameraLost, CameraTimeout
from tests.sensors.scenes import SMALL, moment
from tests.sensors.soft_camera import SIZE, soft_rig, wait_until


def test_a_frame_is_what_the_camera_saw():
    with soft_rig() as rig:
        rig.push(1)
        sent = rig.push(2)
        while (got := rig.source.read(10)).number < 2:
            pass
    assert np.array_equal(got.color, sent.color)
    assert np.array_equal(got.ir_lit, sent.ir_lit)
    assert np.array_equal(got.depth, sent.depth)
    assert got.ir_unlit is None
    assert (got.device_ns, got.clock, got.camera) == (66_666_000, "hardware", "SOFT1")
    assert got.ir_lit_exposure == sent.ir_lit_exposure
    assert got.depth_scale_m == pytest.approx(0.001)


def test_calibration_survives_librealsense():
    with soft_rig() as rig:
        rig.push(1)
        got = rig.source.read(10).calibration
    for ours, given in ((got.depth, SMALL.depth), (got.color, SMALL.color)):
        assert (ours.fx_px, ours.fy_px, ours.ppx_px, ours.ppy_px) == pytest.approx(
            (given.fx_px, given.fy_px, given.ppx_px, given.ppy_px)
        )
    assert got.depth_to_color.rotation == pytest.approx(SMALL.depth_to_color.rotation)
    assert got.depth_to_color.translation_mm == pytest.approx(SMALL.depth_to_color.translation_mm, rel=1e-5)
    assert got.baseline_mm == pytest.approx(49.95)


def test_forty_frames_may_be_held():
    """A held librealsense buffer, even as a view, stops delivery after 16: nothing of it may escape."""
    held = []
    with soft_rig() as rig:
        for number in range(1, 41):
            rig.push(number)
            held.append(rig.source.read(10))
    assert [frame.number for frame in held] == list(range(1, 41))
    assert all(np.array_equal(frame.depth, moment(frame.number).depth) for frame in held)


def test_newest_wins_and_the_lost_are_counted():
    with soft_rig() as rig:
        for number in range(1, 11):
            rig.push(number)
            assert wait_until(lambda number=number: rig.source.stats().overwritten >= number - 1)
        got = rig.source.read(10)
        assert (got.number, got.dropped) == (10, 0)
        assert rig.source.stats().overwritten == 9


def test_a_gap_in_the_numbers_is_told():
    with soft_rig() as rig:
        rig.push(1)
        assert rig.source.read(10).dropped == 0
        rig.push(5)
        assert rig.source.read(10).dropped == 3
        assert rig.source.stats().dropped == 3


def test_colour_of_another_moment_is_refused():
    with soft_rig() as rig:
        first, second = rig.push(1, color=None), moment(2)
        rig.camera.push(1, first.device_ns - 25_000_000, depth=None, ir=None, color=first.color)
        assert wait_until(lambda: rig.source.stats().unpaired == 1)
        rig.camera.push(2, first.device_ns + 10_000_000, depth=None, ir=None, color=second.color)
        got = rig.source.read(10)
    assert got.number == 1
    assert np.array_equal(got.color, second.color)


def test_infrared_of_another_moment_is_refused():
    """librealsense then repeats the old infrared picture beside the new depth.

    Its queue holds one frameset, so the whole one behind may overtake the broken one: tried until one was seen.
    """
    with soft_rig() as rig:
        for broken in range(2, 302, 3):
            rig.push(broken - 1)
            assert rig.source.read(10).number == broken - 1
            rig.push(broken, ir=None)
            sent = rig.push(broken + 1)
            got = rig.source.read(10)
            assert (got.number, got.dropped) == (broken + 1, 1)
            assert np.array_equal(got.ir_lit, sent.ir_lit)
            if rig.source.stats().unpaired:
                break
        assert rig.source.stats().unpaired == 1


def test_a_moment_is_never_given_twice():
    rs = load()
    bus = SoftwareBus()
    camera = SoftwareD435(bus, SMALL, serial="SOFT1")
    pipeline, config, counts = rs.pipeline(bus.context), rs.config(), Counter()
    config.enable_device("SOFT1")
    builder = MomentBuilder(counts)
    builder.use(pipeline.start(config))
    try:
        first = moment(1)
        camera.push(1, first.device_ns, depth=first.depth, ir=first.ir_lit, color=first.color)
        frameset = pipeline.wait_for_frames(10_000)
        assert builder.add(frameset) is not None
        assert builder.add(frameset) is None
    finally:
        pipeline.stop()
    assert counts["duplicates"] == 1


def test_alternating_emitter_marries_lit_to_the_unlit_before():
    with soft_rig(emitter="alternate") as rig:
        unlit = rig.push(1, lit=False)
        lit = rig.push(2, lit=True)
        got = rig.source.read(10)
        assert got.number == 2
        assert np.array_equal(got.ir_lit, lit.ir_lit)
        assert np.array_equal(got.ir_unlit, unlit.ir_lit)
        assert np.array_equal(got.depth, lit.depth)
        assert np.array_equal(got.color, lit.color)
        assert got.ir_unlit_exposure is not None

        rig.push(3, lit=False)
        rig.push(5, lit=False)  # the lit one between was lost: not adjacent to the next lit either way round
        rig.push(7, lit=True)
        got = rig.source.read(10)
        assert (got.number, got.ir_unlit, got.dropped) == (7, None, 2)


def test_emitter_off_gives_unlit_frames():
    with soft_rig() as rig:
        rig.push(1, lit=False)
        sent = rig.push(2, lit=False)
        got = rig.source.read(10)
        assert got.number == 2
        assert got.ir_lit is None
        assert np.array_equal(got.ir_unlit, sent.ir_lit)


def test_silence_is_a_timeout():
    with soft_rig() as rig, pytest.raises(CameraTimeout, match=r"SOFT1: no new frame in 0\.05 s"):
        rig.source.read(0.05)


def test_a_stalled_camera_is_started_again():
    with soft_rig(patience=Patience(stall_s=0.3, give_up_s=60)) as rig:
        rig.push(1)
        rig.source.read(10)
        assert wait_until(lambda: rig.source.stats().restarts >= 1)
        number = 1

        def pushed_and_seen() -> bool:
            nonlocal number
            number += 1
            rig.push(number, seen_within_s=0)  # lost while the pipeline is being started
            try:
                return rig.source.read(0.1).number > 1
            except CameraTimeout:
                return False

        assert wait_until(pushed_and_seen)


def test_an_unplugged_camera_is_lost():
    with soft_rig(patience=Patience(stall_s=0.3, give_up_s=1.5, backoff_max_s=0.3)) as rig:
        rig.push(1)
        rig.source.read(10)
        rig.camera = None
        rig.bus.unplug_all()
        with pytest.raises(CameraLost, match="check cable and power"):
            rig.source.read(30)
        with pytest.raises(CameraLost):
            rig.source.read(0)


def test_close_twice_and_read_after():
    with soft_rig() as rig:
        rig.push(1)
    rig.source.close()
    with pytest.raises(CameraLost, match="closed"):
        rig.source.read(0)
    assert not rig.source._thread.is_alive()


def test_close_does_not_hang_with_librealsense(monkeypatch):
    """pipeline.stop() has been seen to block for ever."""
    monkeypatch.setattr(source_module, "_CLOSE_S", 0.2)
    let_go = threading.Event()

    class Wedged:
        def __init__(self, pipeline):
            self.try_wait_for_frames, self._pipeline = pipeline.try_wait_for_frames, pipeline

        def stop(self):
            let_go.wait(60)
            self._pipeline.stop()

    rs, bus = load(), SoftwareBus()
    camera = SoftwareD435(bus, SMALL, serial="SOFT1")

    def start() -> Running:
        pipeline, config = rs.pipeline(bus.context), rs.config()
        config.enable_device(camera.serial)
        profile = pipeline.start(config)
        return Running(Wedged(pipeline), profile)

    source = RealSenseSource("wedged", start, live=True)
    source.close()
    still_stopping = [thread for thread in threading.enumerate() if thread.name == "edgefas stop wedged"]
    assert len(still_stopping) == 1
    let_go.set()
    still_stopping[0].join(20)


def test_no_camera_names_the_ways_out():
    with pytest.raises(CameraError, match=r"--camera simulated.*FILE\.db3"):
        find_serial(SoftwareBus().context, None)


def test_two_cameras_need_a_serial_and_can_run_together():
    bus = SoftwareBus()
    cameras = [SoftwareD435(bus, SMALL, serial=serial) for serial in ("AAA", "BBB")]
    with pytest.raises(CameraError, match=r"2 RealSense cameras.*AAA, BBB.*--camera realsense:AAA"):
        find_serial(bus.context, None)
    with pytest.raises(CameraError, match=r"serial 'CCC'; connected: AAA, BBB"):
        find_serial(bus.context, "CCC")
    sources = [open_camera(camera.serial, size_px=SIZE, color_size_px=SIZE, context=bus.context) for camera in cameras]
    try:
        for number, camera in enumerate(cameras, start=1):
            frame = moment(number)
            camera.push(number, frame.device_ns, depth=frame.depth, ir=frame.ir_lit, color=frame.color)
        got = [source.read(10) for source in sources]
    finally:
        for source in sources:
            source.close()
    assert [(frame.camera, frame.number) for frame in got] == [("AAA", 1), ("BBB", 2)]


def test_streams_the_camera_cannot_give():
    bus = SoftwareBus()
    camera = SoftwareD435(bus, SMALL, serial="SOFT1")
    assert camera.serial == "SOFT1"
    with pytest.raises(CameraError, match=r"camera SOFT1: cannot stream depth 640x480.*USB 3"):
        open_camera(context=bus.context)


def test_a_camera_that_cannot_alternate_says_so():
    bus = SoftwareBus()
    camera = SoftwareD435(bus, SMALL, serial="SOFT1", fps=60, alternating=False)
    assert camera.serial == "SOFT1"
    with pytest.raises(CameraError, match="emitter_on_off must be 1: this camera does not have it"):
        open_camera(emitter="alternate", size_px=SIZE, color_size_px=SIZE, context=bus.context)


def test_the_emitter_can_be_switched_while_streaming():
    with soft_rig() as rig:
        assert rig.camera.emitter_enabled
        rig.push(1)
        assert rig.source.set_emitter(False)
        assert not rig.camera.emitter_enabled
        assert rig.source.set_emitter(True)
        assert rig.camera.emitter_enabled
    assert not rig.source.set_emitter(False)  # closed
