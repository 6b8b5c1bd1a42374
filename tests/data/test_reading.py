"""Pictures, videos and HDF5 within bounds: what is broken or too large is refused by name, before it is decoded."""

from __future__ import annotations

import struct
import sys
import zlib
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgefas.contracts import Label
from edgefas.data import DataError, Sample, Split, load, load_frames
from edgefas.data.hdf5 import Hdf5Clip
from edgefas.data.pictures import MAX_PIXELS, Video, picture_size, read_picture
from edgefas.errors import MissingExtra
from tests.data import trees


def sample_of(upside_down: bool = False, **paths: Path) -> Sample:
    return Sample("a sample", "", "", "", Label.ATTACK, "unknown", Split.TEST, paths, upside_down)


def png_of(width_px: int, height_px: int) -> bytes:
    """A well-formed PNG whose header promises a size, with data for a single row: what a bomb looks like."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width_px, height_px, 8, 0, 0, 0, 0)
    rows = zlib.compress(bytes(1 + min(width_px, 1 << 20)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def jpeg_of(width_px: int, height_px: int) -> bytes:
    """A JPEG whose frame header has another size than its data."""
    data = bytearray(trees.picture(50))
    at = data.index(b"\xff\xc0") + 5
    data[at : at + 4] = struct.pack(">HH", height_px, width_px)
    return bytes(data)


def bmp_of(width_px: int, height_px: int) -> bytes:
    data = bytearray(trees.picture(50, ".bmp"))
    data[18:26] = struct.pack("<ii", width_px, height_px)
    return bytes(data)


BOMBS = {
    "png": png_of(40_000, 40_000),
    "wide png": png_of(2**31 - 1, 1),
    "jpg": jpeg_of(10_000, 10_000),
    "flat jpg": jpeg_of(8, 0),
    "bmp": bmp_of(20_000, -20_000),
}


@pytest.mark.parametrize("data", BOMBS.values(), ids=BOMBS)
def test_what_is_too_large_is_refused_before_it_is_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: bytes
) -> None:
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("decoded"))
    path = tmp_path / "bomb é.png"
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"bomb é.png: a picture of \d+x\d+ pixels; from 1 to 50 million are read"):
        read_picture(path, "rgb")


def test_a_picture_at_the_limit_is_decoded(tmp_path: Path) -> None:
    side = 1000
    assert side * side < MAX_PIXELS
    path = tmp_path / "a.png"
    path.write_bytes(png_of(side, 1))
    assert read_picture(path, "ir").shape == (1, side)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "no JPEG, PNG or BMP picture"),
        (b"GIF89a" + bytes(100), "no JPEG, PNG or BMP picture"),
        (b"\xff\xd8" + b"\xff\xe0\xff\xff", "its header is broken"),
        (b"\x89PNG\r\n\x1a\n" + bytes(20), "no JPEG, PNG or BMP picture"),
        (trees.picture(40)[:-30], "is cut short"),
        (trees.picture(40, ".png")[:-30], "is cut short"),
        (trees.picture(40, ".png").replace(b"IDAT", b"IDAX"), "cannot be decoded"),
    ],
)
@pytest.mark.parametrize("modality", ["rgb", "depth"])
def test_broken_pictures_are_refused_by_name(tmp_path: Path, data: bytes, said: str, modality: str) -> None:
    path = tmp_path / "x.jpg"
    path.write_bytes(data)
    with pytest.raises(DataError, match=said) as caught:
        read_picture(path, modality)
    assert str(path) in str(caught.value)


def test_missing_files_are_named(tmp_path: Path) -> None:
    for name in ("a.jpg", "a.avi", "a.h5", "folder"):
        with pytest.raises(DataError, match=f"cannot read .*{name}"):
            load(sample_of(rgb=tmp_path / name))


def test_a_file_too_large_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgefas.data.pictures.MAX_BYTES", 100)
    path = tmp_path / "a.jpg"
    path.write_bytes(trees.picture(40))
    with pytest.raises(DataError, match="more than 100 bytes"):
        read_picture(path, "rgb")


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp"])
def test_size_by_the_header_is_that_of_the_picture(suffix: str) -> None:
    ok, data = cv2.imencode(suffix, np.zeros((13, 37, 3), np.uint8))
    assert ok
    assert picture_size(data.tobytes()) == (37, 13)


def test_a_thumbnail_in_a_jpeg_is_not_its_size() -> None:
    """Exif holds a whole JPEG of its own before the frame header."""
    inner = trees.picture(9)
    exif = b"\xff\xe1" + struct.pack(">H", 2 + len(inner)) + inner
    ok, data = cv2.imencode(".jpg", np.zeros((40, 50, 3), np.uint8))
    assert ok
    assert picture_size(b"\xff\xd8" + exif + data.tobytes()[2:]) == (50, 40)


def test_colours_are_in_the_order_red_green_blue(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.full((2, 2, 3), (3, 2, 1), np.uint8))  # OpenCV writes blue first
    assert read_picture(tmp_path / "a.png", "rgb")[0, 0].tolist() == [1, 2, 3]


def test_sixteen_bits_of_depth_stay(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.full((2, 2), 54321, np.uint16))
    assert read_picture(tmp_path / "a.png", "depth").tolist() == [[54321] * 2] * 2


def test_videos_that_are_none_or_break_off(tmp_path: Path) -> None:
    path = tmp_path / "a.avi"
    path.write_bytes(b"RIFF" + bytes(500))
    with pytest.raises(DataError, match=r"a.avi is no video, or says that it has 0 frames"):
        Video(path)
    whole = trees.video(".avi")
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"breaks off at frame|is no video"):
        list(load_frames(sample_of(rgb=path), 10))


def test_frames_of_a_video_are_those_that_were_written(tmp_path: Path) -> None:
    for suffix in (".avi", ".mp4", ".mov"):
        path = tmp_path / f"a{suffix}"
        path.write_bytes(trees.video(suffix))
        video = Video(path)
        assert len(video.keys) == trees.VIDEO_FRAMES
        greys = [round(float(np.median(video.read(number)[:20])) / 10) for number in (3, 4, 11, 19)]
        assert greys == [3, 4, 11, 19]
        video.close()


def test_a_video_too_large_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.avi"
    path.write_bytes(trees.video(".avi"))
    monkeypatch.setattr("edgefas.data.pictures.MAX_PIXELS", 100)
    with pytest.raises(DataError, match="a picture of 64x48 pixels"):
        Video(path)
    monkeypatch.setattr("edgefas.data.pictures.MAX_FRAMES", 5)
    with pytest.raises(DataError, match="20 frames; 1 to 5 are read"):
        Video(path)


def test_moments_are_those_that_every_modality_has(tmp_path: Path) -> None:
    """Clips of face sets: each picture is cut to its face, so sizes differ."""
    for frame, side in ((1, 8), (2, 10), (3, 12)):
        for modality in ("color", "ir"):
            if (frame, modality) != (2, "ir"):
                ok, data = cv2.imencode(".jpg", np.full((side, side), 10 * frame, np.uint8))
                assert ok
                trees.put(tmp_path / modality / f"{frame:04}.jpg", data.tobytes())
    sample = sample_of(rgb=tmp_path / "color", ir=tmp_path / "ir")
    assert [moment["ir"].shape for moment in load_frames(sample, 9)] == [(8, 8), (12, 12)]
    (tmp_path / "ir" / "0001.jpg").rename(tmp_path / "ir" / "0009.jpg")
    (tmp_path / "ir" / "0003.jpg").unlink()
    with pytest.raises(DataError, match=r"a sample: no frame is there in every modality \(rgb 3, ir 1 frames\)"):
        load(sample)


def test_an_empty_clip(tmp_path: Path) -> None:
    trees.put(tmp_path / "color" / "notes.txt", b"x")
    with pytest.raises(DataError, match="color has no pictures"):
        load(sample_of(rgb=tmp_path / "color"))


def write_hdf5(path: Path, **datasets: np.ndarray) -> Path:
    import h5py

    with h5py.File(path, "w") as out:
        for name, array in datasets.items():
            out[name.replace("__", "/")] = array
    return path


@pytest.mark.parametrize(
    ("datasets", "modality", "said"),
    [
        ({}, "rgb", "has no groups Frame_<k> and no dataset 'rgb'"),
        ({"Frame_1__array": np.zeros((5, 4, 4), np.uint8)}, "rgb", r"shape \(5, 4, 4\); expected \(3 or 4, H, W\)"),
        ({"Frame_1__array": np.zeros((4, 4, 4), np.uint8)}, "rgb", "are the folders of RGB and CDIT swapped"),
        ({"Frame_1__array": np.zeros((3, 4, 4), np.uint8)}, "ir", "are the folders of RGB and CDIT swapped"),
        ({"Frame_1__array": np.zeros((3, 4, 4), np.float64)}, "rgb", "is float64; expected uint8 or uint16"),
        ({"Frame_1__array": np.zeros((3, 4, 4), np.uint16)}, "rgb", "is uint16; expected"),
        ({"Frame_1__other": np.zeros((3, 4, 4), np.uint8)}, "rgb", "array is missing, or a link"),
        ({"ir": np.zeros((2, 4), np.uint8)}, "ir", "has no groups Frame_<k> and no dataset 'ir'"),
        ({"ir": np.zeros((2, 4, 4, 3), np.uint8)}, "ir", r"ir is \(2, 4, 4, 3\); expected \(T, H, W\)"),
        ({"rgb": np.zeros((2, 4, 4), np.uint8)}, "rgb", r"rgb is \(2, 4, 4\); expected \(T, H, W, 3\)"),
        ({"rgb__x": np.zeros((2, 4, 4), np.uint8)}, "rgb", "rgb is no dataset of this file"),
    ],
)
def test_hdf5_of_another_layout(tmp_path: Path, datasets: dict[str, np.ndarray], modality: str, said: str) -> None:
    path = write_hdf5(tmp_path / "a.h5", **datasets)
    with pytest.raises(DataError, match=said):
        load(sample_of(**{modality: path}))


def test_hdf5_does_not_follow_links_or_make_up_what_is_not_there(tmp_path: Path) -> None:
    import h5py

    other = write_hdf5(tmp_path / "other.h5", Frame_1__array=np.zeros((3, 4, 4), np.uint8), ir=np.zeros((2, 4, 4)))
    (tmp_path / "secret").write_bytes(bytes(range(48)))
    with h5py.File(tmp_path / "a.h5", "w") as out:
        out["Frame_1"] = h5py.ExternalLink(str(other), "/Frame_1")
        out["ir"] = h5py.ExternalLink(str(other), "/ir")
        out.create_dataset("depth", (3, 4, 4), "u1", external=[(str(tmp_path / "secret"), 0, 48)])
        space = h5py.VirtualLayout((3, 4, 4), "u1")
        space[:] = h5py.VirtualSource(str(other), "Frame_1/array", (3, 4, 4))
        out.create_virtual_dataset("thermal", space)
        out.create_dataset("ir_lit", (10, 40_000, 40_000), "u1", chunks=(1, 20_000, 20_000))
        out.create_dataset("ir_unlit", (10, 40_000, 40_000), "u1", chunks=(1, 100, 100))
    for modality, said in (
        ("rgb", "missing, or a link"),
        ("ir", "missing, or a link"),
        ("depth", "is no dataset of this file"),
        ("thermal", "is no dataset of this file"),
        ("ir_lit", "too large for pictures"),
        ("ir_unlit", "a picture of 40000x40000 pixels"),
    ):
        with pytest.raises(DataError, match=said):
            load(sample_of(**{modality: tmp_path / "a.h5"}))


def test_damaged_hdf5_is_refused_by_name(tmp_path: Path) -> None:
    """Every byte of a small file in turn: a picture or a DataError, nothing else."""
    whole = write_hdf5(tmp_path / "a.hdf5", Frame_1__array=np.zeros((3, 4, 4), np.uint8)).read_bytes()
    path = tmp_path / "b.hdf5"
    refused = 0
    for at in range(0, len(whole), 7):
        data = bytearray(whole)
        data[at] ^= 0xFF
        path.write_bytes(data)
        with suppress(DataError):
            assert load(sample_of(rgb=path))["rgb"].shape == (4, 4, 3)
            continue
        refused += 1
    assert 10 < refused < len(whole) // 7


def test_without_h5py_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_hdf5(tmp_path / "a.h5", ir=np.zeros((2, 4, 4), np.uint8))
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(MissingExtra, match=r"pip install 'edgefas\[data\]'"):
        Hdf5Clip(path, "ir")


def test_nothing_of_it_imports_torch(root: Path) -> None:
    import subprocess

    program = "import edgefas.data, edgefas.cli.data, sys; assert not {'torch', 'h5py', 'onnx'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", program], cwd=root, check=True)
