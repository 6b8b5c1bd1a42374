"""The camera report through the real librealsense: recordings of a software camera with chosen faults, and one live."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edgefas.cli.main import run
from edgefas.doctor import camera as doctor
from edgefas.doctor.camera import examine, examine_and_keep
from edgefas.doctor.camera_report import CameraReport, emitter_report
from edgefas.sensors.folder import write_folder
from edgefas.sensors.realsense.camera import open_camera
from edgefas.sensors.realsense.sdk import load
from edgefas.sensors.realsense.software import SoftwareBus, SoftwareD435
from edgefas.sensors.source import CameraError
from tests.sensors.scenes import SMALL, moment
from tests.sensors.soft_camera import SIZE, soft_rig, wait_until

DARK = np.full((120, 160), 40, np.uint8)
DOTS = DARK.copy()
DOTS[::4, ::5] = 220  # 5 % of the pixels


def record(path: Path, count: int, said: Callable[[int], bool | None], skip: tuple[int, ...] = ()) -> Path:
    """A recording whose even pictures have dots; `said` is what the metadata says of each."""
    with soft_rig(record_to=path) as rig:
        for number in range(1, count + 1):
            if number not in skip:
                rig.push(number, lit=said(number), ir=DARK if number % 2 else DOTS)
    return path


def lit(number: int) -> bool:
    return number % 2 == 0


def test_a_recording_told_stream_by_stream(tmp_path: Path) -> None:
    report = examine(str(record(tmp_path / "a.db3", 24, lit, skip=(15, 16))), 60)
    streams = {stream.name: stream for stream in report.streams}
    assert set(streams) == {"Depth", "Infrared 1", "Color"}
    ir = streams["Infrared 1"]
    assert (ir.format, ir.width_px, ir.height_px, ir.fps_asked) == ("y8", 160, 120, 30)
    assert 22 - 6 <= ir.frames <= 22  # the first few pass before anybody watches
    assert (ir.gaps, ir.backward) == (2, 0)
    assert ir.longest_gap_ms == pytest.approx(3 * 33.333, abs=0.01)
    assert ir.fps_reached == pytest.approx((ir.frames - 1) / ((ir.frames + 1) * 0.033333), abs=0.01)
    assert ir.clocks == {"hardware_clock": ir.frames}
    assert ir.metadata["frame_emitter_mode"].frames == ir.frames
    assert (ir.metadata["actual_exposure"].low, ir.metadata["gain_level"].high) == (8500, 16)
    assert "actual_exposure" not in streams["Color"].metadata
    assert report.identity.serial == report.info["serial_number"] == "SOFT1"
    assert report.emitter.verdict == "right"
    assert report.stats.dropped == 2
    assert any("2 frames dropped" in finding for finding in report.findings)


@pytest.mark.parametrize(
    ("said", "verdict", "finding"),
    [
        (lambda number: number % 2 == 1, "inverted", "the reverse"),
        (lambda number: None, "no_metadata", "by the picture alone"),
        (lambda number: True, "unclear", "disagree"),
    ],
)
def test_metadata_that_lies(tmp_path: Path, said: Callable[[int], bool | None], verdict: str, finding: str) -> None:
    report = examine(str(record(tmp_path / "a.db3", 16, said)), 60)
    assert report.emitter.verdict == verdict
    assert any(finding in text for text in report.findings)


@pytest.mark.parametrize(
    ("counts", "verdict"),
    [
        ({}, "no_infrared"),
        ({(True, True): 50}, "one_kind"),
        ({(False, False): 50}, "one_kind"),
        ({(True, True): 50, (False, False): 50}, "right"),
        ({(True, True): 50, (False, False): 48, (False, True): 2}, "right"),
        ({(True, True): 50, (False, False): 40, (False, True): 10}, "unclear"),
        ({(True, False): 50, (False, True): 50}, "inverted"),
        ({(True, None): 50, (False, None): 50, (True, True): 3}, "no_metadata"),
    ],
)
def test_verdicts(counts: dict[tuple[bool, bool | None], int], verdict: str) -> None:
    assert emitter_report(counts, None).verdict == verdict


def test_a_live_camera_tells_options_and_temperatures(monkeypatch: pytest.MonkeyPatch) -> None:
    bus = SoftwareBus()
    camera = SoftwareD435(bus, SMALL, serial="SOFT1")
    assert camera._parts is not None
    camera._parts.stereo.add_read_only_option(load().option.asic_temperature, 41.0)

    def opened(text: str, **_: object) -> object:
        return open_camera(size_px=SIZE, color_size_px=SIZE, context=bus.context)

    monkeypatch.setattr(doctor, "open_source", opened)
    seen: list[int] = []
    done = threading.Event()

    def push() -> None:
        number = 0
        while not done.is_set():
            number += 1
            frame = moment(number)
            camera.push(number, frame.device_ns, depth=frame.depth, ir=DOTS, color=frame.color)
            done.wait(0.01)

    pusher = threading.Thread(target=push)
    pusher.start()
    try:
        report = examine("realsense", 120, progress=lambda s, n: seen.append(n), stopped=lambda: len(seen) >= 5)
    finally:
        done.set()
        pusher.join()
    assert report.frames == 5
    assert report.temperatures == {"asic_temperature": (41.0, 41.0)}
    stereo = next(sensor for sensor in report.sensors if sensor.name == "Stereo Module")
    power = stereo.options["laser_power"]
    assert power.value is not None
    assert power.low is not None
    assert power.high is not None
    assert power.low <= power.value <= power.high
    assert stereo.options["asic_temperature"].read_only
    assert report.latency_ms is not None
    assert report.latency_ms.low >= 0
    assert report.emitter.verdict == "one_kind"
    assert report.info["usb_type_descriptor"] == "3.2"


def test_the_report_holds_no_pictures(tmp_path: Path) -> None:
    """Nor anything as long as one: the smallest of ours has 19,200 bytes."""
    text = examine(str(record(tmp_path / "a.db3", 20, lit)), 60).to_json()
    assert len(text) < 19_200
    assert CameraReport.from_json(text).to_json() == text

    def longest(value: object) -> int:
        if isinstance(value, dict):
            return max(map(longest, value.values()), default=0)
        if isinstance(value, list):
            return max(len(value), *map(longest, value), 0)
        return len(value) if isinstance(value, str) else 0

    assert longest(json.loads(text)) < 300


def test_a_folder_is_told_with_less(tmp_path: Path) -> None:
    write_folder(tmp_path / "clip", [moment(n) for n in range(1, 5)])
    report = examine(f"dir:{tmp_path / 'clip'}", 60)
    assert (report.frames, report.streams, report.emitter.verdict) == (4, (), "no_infrared")
    assert report.fps == pytest.approx(30, abs=0.1)
    assert "no librealsense behind this source" in report.findings[0]


def test_a_lost_camera_is_part_of_the_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_folder(tmp_path / "clip", [moment(n) for n in range(1, 5)])
    (tmp_path / "clip" / "color" / "000003.png").write_bytes(b"")
    report = examine(f"dir:{tmp_path / 'clip'}", 60)
    assert report.frames == 2
    assert "000003.png is not a readable PNG" in report.findings[0]


def test_the_command_writes_one_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, out = record(tmp_path / "a.db3", 10, lit), tmp_path / "report.json"
    assert run(["doctor", "--camera", str(path), "--record", "60s", "-o", str(out)]) == 0
    told = capsys.readouterr().out
    assert "emitter metadata: right" in told
    assert CameraReport.from_json(out.read_bytes()).frames > 0
    assert run(["doctor", "--camera", str(path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["emitter"]["verdict"] == "right"


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--record", "0s"], 2, "such as 10s or 2m"),
        (["--record", "11m"], 2, "up to 10m"),
        (["--record", "soon"], 2, "such as 10s"),
        (["--recording", "a.db3"], 2, "only realsense and simulated can be recorded"),
        (["--recording", "a.bag"], 1, "must be a new .db3 file"),
    ],
)
def test_errors(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    code: int,
    message: str,
) -> None:
    write_folder(tmp_path / "clip", [moment(1)])
    monkeypatch.chdir(tmp_path)
    assert run(["doctor", "--camera", "dir:clip", *arguments]) == code
    told = capsys.readouterr()
    assert message in told.err
    assert "Traceback" not in told.err
    assert [entry.name for entry in tmp_path.iterdir()] == ["clip"]


def test_no_frame_at_all_is_a_failed_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_folder(tmp_path / "clip", [moment(1)])
    (tmp_path / "clip" / "depth" / "000001.png").write_bytes(b"")
    out = tmp_path / "report.json"
    assert run(["doctor", "--camera", f"dir:{tmp_path / 'clip'}", "-o", str(out)]) == 3
    assert "cannot be used: " in capsys.readouterr().err
    assert CameraReport.from_json(out.read_bytes()).frames == 0


def test_a_recording_that_exists_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "a.db3").write_bytes(b"precious")
    with pytest.raises(CameraError, match="must be a new"):
        examine_and_keep("simulated", 1, tmp_path / "a.db3")
    assert (tmp_path / "a.db3").read_bytes() == b"precious"


def test_watching_ends_when_told(tmp_path: Path) -> None:
    """`watch(None)`: nothing is shown any more, and the source goes on."""
    shown: list[int] = []
    with soft_rig() as rig:
        assert rig.source.watch(lambda device, frameset: shown.append(frameset.size()))
        rig.push(1)
        assert wait_until(lambda: shown == [3])
        rig.source.watch(None)
        rig.push(2)
        rig.source.read(20)
        assert shown == [3]
