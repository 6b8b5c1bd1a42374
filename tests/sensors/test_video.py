"""Video files written by OpenCV, whole and damaged."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from edgefas.errors import UsageError
from edgefas.sensors.open import open_source
from edgefas.sensors.source import CameraError, CameraIdentity, EndOfStream

CODECS = {".avi": "FFV1", ".mkv": "FFV1", ".mp4": "mp4v", ".mov": "mp4v"}


def pictures(count: int) -> list[np.ndarray]:
    """BGR; each with its own colour."""
    return [np.full((48, 64, 3), (20 * n, 255 - 20 * n, 100), np.uint8) for n in range(count)]


def write(path: Path, frames: list[np.ndarray], fps: float = 20.0) -> Path:
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*CODECS[path.suffix]), fps, (64, 48))
    assert writer.isOpened()
    for frame in frames:
        writer.write(frame)
    writer.release()
    return path


@pytest.mark.parametrize("suffix", CODECS)
def test_there_and_back(tmp_path: Path, suffix: str) -> None:
    sent = pictures(8)
    with open_source(str(write(tmp_path / f"clip{suffix}", sent))) as source:
        assert not source.live
        got = list(source)
        with pytest.raises(EndOfStream):
            source.read()
    assert [frame.number for frame in got] == list(range(1, 9))
    assert [frame.device_ns for frame in got] == [n * 50_000_000 for n in range(8)]
    for frame, picture in zip(got, sent, strict=True):
        apart = np.abs(frame.color.astype(int) - picture[..., ::-1].astype(int)).max()
        assert apart <= 6  # of the codec; a swap of red and blue is 100 and more
        assert (frame.ir_lit, frame.ir_unlit, frame.depth) == (None, None, None)


def test_infrared_and_the_stated_field_of_view(tmp_path: Path) -> None:
    grey = [np.full((48, 64, 3), 7 * n, np.uint8) for n in range(3)]
    path = write(tmp_path / "a,b.avi", grey)
    frames = list(open_source(f"video:{path},role=ir,fov=90"))
    assert [int(frame.ir_lit[0, 0]) for frame in frames] == [0, 7, 14]
    assert frames[0].color is None
    assert frames[0].calibration.depth.fx_px == pytest.approx(32.0)  # half the width at 90 degrees


def test_who_it_is(tmp_path: Path) -> None:
    source = open_source(str(write(tmp_path / "clip.avi", pictures(1))))
    assert source.identity() == CameraIdentity(serial="clip.avi", name="clip.avi", driver="file")
    assert source.read().camera == "clip.avi"


@pytest.mark.parametrize("suffix", [".avi", ".mov", ".mp4"])
def test_a_cut_file_is_not_played_as_a_short_one(tmp_path: Path, suffix: str) -> None:
    rng = np.random.default_rng(0)
    path = write(tmp_path / f"clip{suffix}", [rng.integers(0, 256, (48, 64, 3), np.uint8) for _ in range(20)])
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(CameraError, match=r"breaks off: \d+ frames of \d+|is damaged or cut short"):
        list(open_source(str(path)))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.mp4", b"", "not a video: its first bytes"),
        ("a.mp4", b"#EXTM3U\nhttp://127.0.0.1/x.ts", "not a video"),
        ("a.avi", b"hello", "not a video"),
        ("a.mkv", b"\x1a\x45\xdf\xa3" + b"\0" * 100, "cannot be played"),
        ("a.mp4", b"\0\0\0\x18ftypmp42" + b"\0" * 100, "cannot be played"),
    ],
)
def test_other_content(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(CameraError, match=message):
        open_source(str(tmp_path / name))


def test_no_file_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(CameraError, match="no such video"):
        open_source(str(tmp_path / "none.mp4"))
    (tmp_path / "a.mp4").mkdir()
    with pytest.raises(CameraError, match=r"cannot read .*: Is a directory"):
        open_source(str(tmp_path / "a.mp4"))
    with pytest.raises(CameraError, match=r"allowed: \.mp4, \.mov"):
        open_source("video:a.txt")


@pytest.mark.parametrize("text", ["video:a.mp4,role=depth", "video:a.mp4,fov=1"])
def test_wrong_options(text: str) -> None:
    with pytest.raises(UsageError, match=r"allowed: rgb, ir|20 to 150"):
        open_source(text)


def test_the_containers_time_counts_where_it_goes_forward(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Phones film at a varying rate; some containers have no time, or one that stands still."""
    stated_ms = iter([0.0, 40.0, 140.0, 140.0, 100.0, 300.0])
    real = cv2.VideoCapture

    class Varying:
        def __init__(self, *arguments: object) -> None:
            self._video = real(*arguments)

        def get(self, key: int) -> float:
            return next(stated_ms) if key == cv2.CAP_PROP_POS_MSEC else self._video.get(key)

        def __getattr__(self, name: str) -> object:
            return getattr(self._video, name)

    path = write(tmp_path / "clip.avi", pictures(6), fps=20.0)
    monkeypatch.setattr(cv2, "VideoCapture", Varying)
    assert [frame.device_ns // 1_000_000 for frame in open_source(str(path))] == [0, 40, 140, 190, 240, 300]
