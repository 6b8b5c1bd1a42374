"""`v4l2:N` against a stand-in for OpenCV's reader: no machine of ours has such a camera."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edgefas.errors import UsageError
from edgefas.sensors import webcam
from edgefas.sensors.open import open_source, parse_webcam
from edgefas.sensors.source import CameraError, CameraLost, CameraTimeout
from edgefas.sensors.webcam import Patience, WebcamOptions, WebcamSource, owners
from tests.sensors.soft_camera import wait_until
from tests.sensors.sysfs import UVC, WEBCAM, add_loopback, add_node


class FakeCapture:
    """What `cv2.VideoCapture` is to the source; `script` says what each read gives."""

    script: Callable[[int], np.ndarray | None]
    opens = True
    takes = True
    """Whether it takes what is asked for."""
    made: list[FakeCapture]

    def __init__(self, path: str, api: int) -> None:
        assert api == cv2.CAP_V4L2
        self.made.append(self)
        self.path, self.reads, self.released, self.set_in_order = path, 0, False, []
        self.facts: dict[int, float] = {
            cv2.CAP_PROP_FRAME_WIDTH: 64,
            cv2.CAP_PROP_FRAME_HEIGHT: 48,
            cv2.CAP_PROP_FPS: 30,
            cv2.CAP_PROP_FOURCC: cv2.VideoWriter.fourcc(*"YUYV"),
        }

    def isOpened(self) -> bool:
        return self.opens

    def set(self, key: int, value: float) -> bool:
        self.set_in_order.append(key)
        if self.takes:
            self.facts[key] = value
        return self.takes

    def get(self, key: int) -> float:
        if key == cv2.CAP_PROP_POS_MSEC:
            return (time.monotonic_ns() - 2_000_000) / 1e6  # taken 2 ms ago
        return self.facts[key]

    def read(self) -> tuple[bool, Any]:
        if self.released:
            return False, None
        self.reads += 1
        picture = type(self).script(self.reads)
        return picture is not None, picture

    def release(self) -> None:
        self.released = True


@pytest.fixture
def rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> type[FakeCapture]:
    """/dev/video0 is a webcam, /dev/video7 a loopback."""
    sysfs, dev = tmp_path / "sys", tmp_path / "dev"
    dev.mkdir()
    add_node(sysfs, 0, UVC, driver="uvcvideo", name="HD Pro Webcam C920", usb=WEBCAM)
    add_loopback(sysfs, 7)
    for number in (0, 7):
        (dev / f"video{number}").symlink_to("/dev/null")  # a character device that anybody may open

    class Capture(FakeCapture):
        @staticmethod
        def script(read: int) -> np.ndarray | None:
            time.sleep(0.005)
            return np.full((48, 64, 3), read % 200, np.uint8)

    Capture.made = []
    monkeypatch.setattr(webcam.cv2, "VideoCapture", Capture)
    monkeypatch.setattr(webcam, "DEV", dev)
    monkeypatch.setattr(webcam, "why_not", lambda path: "it is busy")
    return Capture


def source(tmp_path: Path, device: str = "0", *, patience: Patience = Patience(), **options: Any) -> WebcamSource:
    return WebcamSource(device, WebcamOptions(**options), sysfs=tmp_path / "sys", patience=patience)


def read_all(camera: WebcamSource, numbers: list[int] | None = None) -> None:
    while True:
        number = camera.read(20).number
        if numbers is not None:
            numbers.append(number)


def test_frames_have_one_stream_and_the_drivers_time(tmp_path: Path, rig: type[FakeCapture]) -> None:
    with source(tmp_path) as camera:
        first, second = camera.read(20), camera.read(20)
        now_ns = time.monotonic_ns()
    assert camera.live
    assert first.color.shape == (48, 64, 3)
    assert (first.ir_lit, first.ir_unlit, first.depth) == (None, None, None)
    assert second.number > first.number
    assert first.device_ns == first.host_ns < second.host_ns < now_ns - 1_000_000
    assert first.camera == camera.identity().serial == "046d:082d:A1B2C3D4"
    assert camera.identity().driver == "v4l2"


def test_infrared(tmp_path: Path, rig: type[FakeCapture]) -> None:
    with source(tmp_path, role="ir") as camera:
        frame = camera.read(20)
    assert frame.color is None
    assert frame.ir_lit.shape == (48, 64)


def test_the_newest_wins(tmp_path: Path, rig: type[FakeCapture]) -> None:
    with source(tmp_path) as camera:
        camera.read(20)
        assert wait_until(lambda: camera.stats().overwritten > 5)
        assert camera.read(20).number > 5


def test_a_virtual_camera_is_refused_unless_allowed(tmp_path: Path, rig: type[FakeCapture]) -> None:
    with pytest.raises(CameraError, match=r"no physical camera \(virtual device .*: --camera v4l2:7,allow_virtual"):
        source(tmp_path, "7")
    assert rig.made == []  # not even opened
    with source(tmp_path, "7", allow_virtual=True) as camera:
        assert camera.read(20).number >= 1


def test_no_such_device_names_those_there_are(tmp_path: Path, rig: type[FakeCapture]) -> None:
    with pytest.raises(CameraError, match=r"no such camera: .*video3; there are: /dev/video0, /dev/video7"):
        source(tmp_path, "3")


def test_no_permission(tmp_path: Path, rig: type[FakeCapture], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webcam.os, "access", lambda path, mode: False)
    with pytest.raises(CameraError, match=r"sudo usermod -aG video \$USER"):
        source(tmp_path)


def test_a_file_is_no_camera(tmp_path: Path, rig: type[FakeCapture]) -> None:
    (tmp_path / "a").write_text("x")
    with pytest.raises(CameraError, match="is no camera; write v4l2:0"):
        source(tmp_path, str(tmp_path / "a"))


def test_busy(tmp_path: Path, rig: type[FakeCapture]) -> None:
    rig.opens = False
    with pytest.raises(CameraError, match="cannot be opened; it is busy"):
        source(tmp_path)
    assert all(capture.released for capture in rig.made)


def test_the_format_is_asked_for_first(tmp_path: Path, rig: type[FakeCapture]) -> None:
    with source(tmp_path, size_px=(320, 240), fps=15, pixel_format="MJPG"):
        pass
    assert rig.made[0].set_in_order[0] == cv2.CAP_PROP_FOURCC
    assert rig.made[0].facts[cv2.CAP_PROP_FRAME_WIDTH] == 320


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size_px": (320, 240)}, "gives 64x48, not 320x240; see what it offers: v4l2-ctl"),
        ({"pixel_format": "GREY"}, "gives pixel format YUYV, not GREY"),
        ({"fps": 60}, "gives 30 frames a second, not 60"),
    ],
)
def test_it_takes_no_other_answer(
    tmp_path: Path, rig: type[FakeCapture], options: dict[str, Any], message: str
) -> None:
    rig.takes = False
    with pytest.raises(CameraError, match=message):
        source(tmp_path, **options)


def test_unplugged(tmp_path: Path, rig: type[FakeCapture], monkeypatch: pytest.MonkeyPatch) -> None:
    pulled = threading.Event()
    monkeypatch.setattr(
        rig, "script", staticmethod(lambda read: None if pulled.is_set() else np.zeros((48, 64, 3), np.uint8))
    )
    with source(tmp_path) as camera:
        camera.read(20)
        (tmp_path / "dev" / "video0").unlink()
        pulled.set()
        with pytest.raises(CameraLost, match="is gone: unplugged"):
            read_all(camera)


def test_silence_reopens_and_then_gives_up(
    tmp_path: Path, rig: type[FakeCapture], monkeypatch: pytest.MonkeyPatch
) -> None:
    def script(read: int) -> np.ndarray | None:  # each opening gives one picture, the third and later none
        return np.zeros((48, 64, 3), np.uint8) if read == 1 and len(rig.made) < 3 else None

    monkeypatch.setattr(rig, "script", staticmethod(script))
    with source(tmp_path, patience=Patience(give_up_s=0.5, backoff_max_s=0.1)) as camera:
        numbers: list[int] = []
        with pytest.raises(CameraLost, match=r"no frame for 0\.5 s; it is busy"):
            read_all(camera, numbers)
        assert camera.stats().restarts >= 2
    assert numbers == [1, 2]  # numbered on, none twice
    assert all(capture.released for capture in rig.made)


def test_a_read_that_never_returns_is_a_timeout_and_closes(
    tmp_path: Path, rig: type[FakeCapture], monkeypatch: pytest.MonkeyPatch
) -> None:
    stuck = threading.Event()
    monkeypatch.setattr(webcam, "_CLOSE_S", 0.1)
    monkeypatch.setattr(rig, "script", staticmethod(lambda read: stuck.wait(60) or None))
    with source(tmp_path) as camera, pytest.raises(CameraTimeout):
        camera.read(0.05)
    stuck.set()


def test_another_size_in_the_middle_ends_it(
    tmp_path: Path, rig: type[FakeCapture], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rig, "script", staticmethod(lambda read: np.zeros((24, 64, 3), np.uint8)))
    with source(tmp_path) as camera, pytest.raises(CameraLost, match=r"\(24, 64, 3\), the calibration says"):
        camera.read(20)


def test_who_holds_a_device(tmp_path: Path) -> None:
    device = tmp_path / "video0"
    device.write_text("")
    for pid, name in ((12, "cheese"), (13, "bash")):
        (tmp_path / "proc" / str(pid) / "fd").mkdir(parents=True)
        (tmp_path / "proc" / str(pid) / "comm").write_text(f"{name}\n")
    (tmp_path / "proc" / "12" / "fd" / "3").symlink_to(device)
    assert owners(device, tmp_path / "proc") == ["cheese (12)"]


def test_without_a_device_open_source_says_so() -> None:
    with pytest.raises(CameraError, match="no such camera: /dev/video97"):
        open_source("v4l2:97")


def test_options() -> None:
    device, options = parse_webcam("/dev/video2,role=ir,fov=80,size=640x480,fps=30,format=GREY,allow_virtual")
    assert device == "/dev/video2"
    assert options == WebcamOptions("ir", 80.0, (640, 480), 30, "GREY", True)


@pytest.mark.parametrize("part", ["role=depth", "fov=0", "size=640", "fps=0", "format=Z16", "allow", "x=1", ""])
def test_a_wrong_option_names_the_allowed(part: str) -> None:
    with pytest.raises(UsageError, match=r"allowed: |degrees"):
        parse_webcam(f"0,{part}")
