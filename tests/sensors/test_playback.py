"""Recordings, made and played by the real librealsense."""

from __future__ import annotations

import os
import sqlite3
import time
from pathlib import Path

import numpy as np
import pytest

from edgefas.sensors.frame import Frame
from edgefas.sensors.open import open_source
from edgefas.sensors.realsense.playback import open_recording
from edgefas.sensors.realsense.sdk import load
from edgefas.sensors.realsense.software import SoftwareBus, SoftwareD435
from edgefas.sensors.source import CameraError, EndOfStream
from tests.sensors.scenes import SMALL, moment, unlit
from tests.sensors.soft_camera import record_moments

BAG = Path(__file__).with_name("fixtures") / "color_depth.bag"
COUNT = 20


@pytest.fixture(scope="module")
def recording(tmp_path_factory) -> tuple[Path, list[Frame]]:
    path = tmp_path_factory.mktemp("playback") / "a.db3"
    return path, record_moments(path, COUNT)


def _play(path: Path) -> list[Frame]:
    with open_source(str(path)) as source:
        return list(source)


def _record_streams(path: Path, kinds: str) -> None:
    """Three moments of some of the streams: d(epth), i(nfrared), c(olour)."""
    rs, bus = load(), SoftwareBus()
    camera = SoftwareD435(bus, SMALL, serial="SOFT1")
    pipeline, config = rs.pipeline(bus.context), rs.config()
    config.enable_device("SOFT1")
    if "d" in kinds:
        config.enable_stream(rs.stream.depth, 160, 120, rs.format.z16, 30)
    if "i" in kinds:
        config.enable_stream(rs.stream.infrared, 1, 160, 120, rs.format.y8, 30)
    if "c" in kinds:
        config.enable_stream(rs.stream.color, 160, 120, rs.format.rgb8, 30)
    config.enable_record_to_file(str(path))
    pipeline.start(config)
    for number in (1, 2, 3):
        frame = moment(number)
        camera.push(
            number,
            frame.device_ns,
            depth=frame.depth if "d" in kinds else None,
            ir=frame.ir_lit if "i" in kinds else None,
            color=frame.color if "c" in kinds else None,
        )
        pipeline.wait_for_frames(10_000)
    pipeline.stop()


def test_a_recording_gives_back_every_moment_bit_for_bit(recording):
    path, sent = recording
    got = _play(path)
    assert [frame.number for frame in got] == [frame.number for frame in sent]
    assert [frame.device_ns for frame in got] == [frame.device_ns for frame in sent]
    for ours, theirs in zip(got, sent, strict=True):
        assert np.array_equal(ours.color, theirs.color)
        assert np.array_equal(ours.depth, theirs.depth)
        assert np.array_equal(ours.ir_lit, theirs.ir_lit)
        assert ours.ir_lit_exposure == theirs.ir_lit_exposure
        assert (ours.camera, ours.clock, ours.dropped) == ("SOFT1", "hardware", 0)


def test_a_slow_reader_loses_nothing(recording):
    path, sent = recording
    with open_source(str(path)) as source:
        numbers = []
        for frame in source:
            numbers.append(frame.number)
            time.sleep(0.02)
        assert source.stats().overwritten == 0
    assert numbers == [frame.number for frame in sent]


def test_the_end_is_said_again_and_again(recording):
    with open_source(str(recording[0])) as source:
        assert not source.live
        assert len(list(source)) == COUNT
        for _ in range(2):
            with pytest.raises(EndOfStream, match=r"a\.db3: end of the recording"):
                source.read(1)


def test_closing_in_the_middle_does_not_wait_for_the_reader(recording):
    source = open_source(str(recording[0]))
    assert source.read(10).number == 1
    source.close()
    source.close()
    with pytest.raises(CameraError, match="closed"):
        source.read(1)


def test_in_real_time_a_recording_is_live(recording):
    with open_source(str(recording[0]), realtime=True) as source:
        assert source.live
        numbers = [frame.number for frame in source]
    assert numbers == sorted(set(numbers))
    assert numbers[-1] == COUNT


def test_unlit_and_lit_are_found_by_metadata(tmp_path):
    from tests.sensors.soft_camera import soft_rig

    with soft_rig(emitter="alternate", record_to=tmp_path / "a.db3") as rig:
        for number in range(1, 9):
            rig.push(number, lit=number % 2 == 0)
            if number % 2 == 0:
                rig.source.read(10)
    got = _play(tmp_path / "a.db3")
    assert [frame.number for frame in got] == [2, 4, 6, 8]
    for frame in got:
        assert np.array_equal(frame.ir_lit, moment(frame.number).ir_lit)
        assert np.array_equal(frame.ir_unlit, unlit(frame.number - 1))


def test_an_old_bag_of_colour_and_depth_plays():
    got = _play(BAG)
    assert [frame.number for frame in got] == list(range(1, 11))
    for frame in got:
        k = frame.number
        assert frame.ir_lit is None
        assert frame.ir_unlit is None
        assert (frame.color == (20 * k, 100, 200 - 10 * k)).all()
        assert (frame.depth[:, 8:] == 500 + k).all()
        assert not frame.depth[:, :8].any()
    assert got[0].calibration.depth_to_color.translation_mm == pytest.approx((14.75, 0, 0), abs=1e-4)
    assert BAG.stat().st_size <= 500_000


@pytest.mark.parametrize(
    ("kinds", "missing"), [("dc", {"ir_lit", "ir_unlit"}), ("ic", {"depth", "ir_unlit"}), ("di", {"color", "ir_unlit"})]
)
def test_a_stream_that_was_not_recorded_is_none(tmp_path, kinds, missing):
    _record_streams(tmp_path / "a.db3", kinds)
    got = _play(tmp_path / "a.db3")
    assert [frame.number for frame in got] == [1, 2, 3]
    for frame in got:
        assert {name for name in ("color", "depth", "ir_lit", "ir_unlit") if getattr(frame, name) is None} == missing


def test_colour_alone_is_refused(tmp_path):
    _record_streams(tmp_path / "a.db3", "c")
    with pytest.raises(CameraError, match=r"a\.db3: found Color: a source needs depth or left infrared"):
        _play(tmp_path / "a.db3")


def test_a_missing_recording(tmp_path):
    with pytest.raises(CameraError, match=r"no such recording: .*a\.db3; make one with: edgefas record"):
        open_recording(tmp_path / "a.db3")


@pytest.mark.parametrize("suffix", [".db3", ".bag"])
@pytest.mark.parametrize("content", [b"", b"hello\n", b"#ROSBAG V1.2\n", b"SQLite format 2\0" + bytes(200)])
def test_a_file_of_something_else(tmp_path, suffix, content):
    path = tmp_path / f"a{suffix}"
    path.write_bytes(content)
    with pytest.raises(CameraError, match="is not a recording: its first bytes"):
        open_recording(path)


@pytest.mark.parametrize("share", [0.001, 0.3, 0.9, 0.999])
@pytest.mark.parametrize("suffix", [".db3", ".bag"])
def test_a_truncated_recording(tmp_path, recording, suffix, share):
    whole = (recording[0] if suffix == ".db3" else BAG).read_bytes()
    path = tmp_path / f"a{suffix}"
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(CameraError, match=r"a\.(db3|bag)"):
        list(open_recording(path))


def test_a_bag_that_was_not_closed(tmp_path):
    data = BAG.read_bytes()
    at = data.index(b"index_pos=") + len(b"index_pos=")
    (tmp_path / "a.bag").write_bytes(data[:at] + bytes(8) + data[at + 8 :])
    with pytest.raises(CameraError, match="was not closed when it was recorded"):
        open_recording(tmp_path / "a.bag")


def test_a_database_of_something_else(tmp_path):
    with sqlite3.connect(tmp_path / "a.db3") as file:
        file.execute("CREATE TABLE shopping (item TEXT)")
    file.close()
    with pytest.raises(CameraError, match=r"librealsense cannot play .*a\.db3"):
        open_recording(tmp_path / "a.db3")


def test_a_folder_named_like_a_recording(tmp_path):
    os.mkdir(tmp_path / "a.db3")
    with pytest.raises(CameraError, match=r"cannot read .*: Is a directory"):
        open_recording(tmp_path / "a.db3")


def test_a_recording_has_no_emitter_to_switch(recording):
    with open_source(str(recording[0])) as source:
        assert not source.set_emitter(False)
