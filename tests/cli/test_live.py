"""`edgefas live` as a user types it: what it prints, its exit codes, and every wrong argument."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgefas.cli.main import run
from edgefas.sensors.folder import write_folder
from edgefas.sensors.frame import Frame
from tests.bundles import mean_depth_network, write_small_bundle
from tests.faces.test_yunet import blob_frame
from tests.faces.yunet_file import write_blob_finder
from tests.scenes import noise_frame

BAG = Path(__file__).parent.parent / "sensors" / "fixtures" / "color_depth.bag"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_small_bundle(tmp_path_factory.mktemp("bundle") / "small.efas")


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six frames of noise, as a folder."""
    path = tmp_path_factory.mktemp("clip") / "clip"
    write_folder(path, [noise_frame(number, seed=number) for number in range(1, 7)])
    return path


def live(*arguments: str | Path) -> int:
    return run(["live", *map(str, arguments)])


def test_one_json_line_per_frame_twice_the_same(bundle: Path, clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plays = []
    for _ in range(2):
        assert live("--camera", f"dir:{clip}", "--model", bundle, "--allow-unsigned", "--json") == 0
        out, err = capsys.readouterr()
        assert "only a test" in err
        rows = [json.loads(line) for line in out.splitlines()]
        assert all(row.pop("timing") for row in rows)
        plays.append(rows)
    assert plays[0] == plays[1]
    assert len(plays[0]) == 6
    assert {row["trust"] for row in plays[0]} == {"unsigned"}
    assert {row["decision"] for row in plays[0]} == {"no_decision"}


def test_frames_and_seconds_end_the_stream(bundle: Path, clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    common = ("--camera", f"dir:{clip}", "--model", bundle, "--allow-unsigned", "--json")
    assert live(*common, "--frames", "2") == 0
    assert len(capsys.readouterr().out.splitlines()) == 2
    assert live(*common, "--seconds", "0.09") == 0  # the frames are 33 ms apart
    assert len(capsys.readouterr().out.splitlines()) == 4


def test_a_pinned_camera_and_all_checks(bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "loop"
    write_folder(path, [noise_frame(number, seed=number % 3) for number in range(1, 7)])
    common = ("--camera", f"dir:{path}", "--model", bundle, "--allow-unsigned", "--json")

    def reasons(*arguments: str) -> list[str]:
        assert live(*common, *arguments) == 0
        rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        assert {row["source"] for row in rows} == {"folder"}
        return [row["reason"] for row in rows]

    honest = reasons("--pin-camera", "TEST")
    assert not {"camera_changed", "frame_looped"} & set(honest)  # a folder may repeat itself
    assert reasons("--pin-camera", "OTHER") == ["camera_changed"] * 6
    assert reasons("--tamper-checks", "all") == [*honest[:3], *["frame_looped"] * 3]
    assert live(*common, "--pin-camera", "") != 0
    assert "edgefas doctor" in capsys.readouterr().err


def test_without_json_a_summary_goes_to_stderr(bundle: Path, clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert live("--camera", f"dir:{clip}", "--model", bundle, "--allow-unsigned") == 0
    out, err = capsys.readouterr()
    assert out == ""
    assert "6 frames" in err


def test_a_recording_without_infrared_says_so_on_every_line(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert live("--camera", BAG, "--model", bundle, "--allow-unsigned", "--json") == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert rows
    assert {row["reason"] for row in rows} == {"modality_missing"}
    assert {tuple(row["modalities"]) for row in rows} == {("rgb", "depth")}


def _text_db3(tmp: Path) -> list[str]:
    (tmp / "text.db3").write_text("hello")
    return ["--camera", str(tmp / "text.db3")]


def _unequal_folder(tmp: Path) -> list[str]:
    write_folder(tmp / "clip", [noise_frame(1), noise_frame(2)])
    next(iter((tmp / "clip" / "depth").iterdir())).unlink()
    return ["--camera", f"dir:{tmp / 'clip'}"]


def _bare_network(tmp: Path) -> list[str]:
    (tmp / "net.onnx").write_bytes(mean_depth_network().SerializeToString())
    return ["--model", str(tmp / "net.onnx")]


def _network_without_spec(tmp: Path) -> list[str]:
    model = mean_depth_network()
    del model.metadata_props[:]
    (tmp / "net.onnx").write_bytes(model.SerializeToString())
    return ["--model", str(tmp / "net.onnx"), "--allow-unsigned"]


def _text_network(tmp: Path) -> list[str]:
    (tmp / "net.onnx").write_text("hello")
    return ["--model", str(tmp / "net.onnx"), "--allow-unsigned"]


def _text_faces(tmp: Path) -> list[str]:
    (tmp / "faces.onnx").write_text("hello")
    return ["--face-model", str(tmp / "faces.onnx")]


WRONG = {
    "unknown camera": (lambda tmp: ["--camera", "webcam9"], 2, "simulated"),
    "unknown simulator option": (lambda tmp: ["--camera", "simulated:specie=print"], 2, "species"),
    "missing recording": (lambda tmp: ["--camera", str(tmp / "none.db3")], 1, "none.db3"),
    "text recording": (_text_db3, 1, "text.db3"),
    "unequal folder": (_unequal_folder, 1, "depth"),
    "missing folder": (lambda tmp: ["--camera", f"dir:{tmp / 'none'}"], 1, "none"),
    "missing bundle": (lambda tmp: ["--model", str(tmp / "none.efas")], 1, "none.efas"),
    "unknown kind of model": (lambda tmp: ["--model", str(tmp / "net.txt"), "--allow-unsigned"], 1, "net.txt"),
    "bare network": (_bare_network, 2, "--allow-unsigned"),
    "network without InputSpec": (_network_without_spec, 1, "edgefas export"),
    "text network": (_text_network, 1, "net.onnx"),
    "negative seconds": (lambda tmp: ["--seconds", "-1"], 2, "seconds"),
    "no frames": (lambda tmp: ["--frames", "0"], 2, "frames"),
    "face box of three": (lambda tmp: ["--face-box", "1,2,3"], 2, "X,Y,W,H"),
    "face box outside": (lambda tmp: ["--face-box", "600,10,140,140"], 2, "640x480"),
    "missing face model": (lambda tmp: ["--face-model", str(tmp / "none.onnx")], 1, "yunet_2023mar"),
    "text face model": (_text_faces, 1, "yunet_2023mar"),
    "two face detectors": (lambda tmp: ["--face-box", "1,2,30,40", "--face-model", "a.onnx"], 2, "exclude"),
    "unknown choice of faces": (lambda tmp: ["--faces", "nicest"], 2, "nearest"),
    "unknown flag": (lambda tmp: ["--treshold", "1"], 2, "--treshold"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_arguments_are_short_errors(
    case: str, bundle: Path, clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make, code, words = WRONG[case]
    arguments = make(tmp_path)
    if "--camera" not in arguments:
        arguments += ["--camera", f"dir:{clip}"]
    if "--model" not in arguments:
        arguments += ["--model", str(bundle), "--allow-unsigned"]
    assert live(*arguments) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert "Traceback" not in err
    error = err[err.index("error: ") :]
    assert words in error
    assert len(error) < 700


def test_unsigned_bundle_needs_the_flag(bundle: Path, clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert live("--camera", f"dir:{clip}", "--model", bundle) == 1
    assert "--allow-unsigned" in capsys.readouterr().err


def test_no_camera_names_the_way_out_at_once(bundle: Path) -> None:
    command = [sys.executable, "-m", "edgefas", "live", "--camera", "realsense", "--model", str(bundle)]
    done = subprocess.run([*command, "--allow-unsigned"], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "simulated" in done.stderr
    assert ".db3" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_end_the_stream_cleanly(number: signal.Signals, bundle: Path, tmp_path: Path) -> None:
    frame = noise_frame()
    still = Frame(**{**vars(frame), "color": np.zeros_like(frame.color)})
    write_folder(tmp_path / "long", [Frame(**{**vars(still), "number": n, "device_ns": n}) for n in range(1, 200)])
    command = [sys.executable, "-m", "edgefas", "live", "--camera", f"dir:{tmp_path / 'long'}", "--json"]
    with subprocess.Popen(
        [*command, "--model", str(bundle), "--allow-unsigned"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        first = process.stdout.readline()
        process.send_signal(number)
        watchdog = threading.Timer(30, process.kill)
        watchdog.start()
        rest = process.stdout.read().splitlines()
        code = process.wait()
        watchdog.cancel()
    assert json.loads(first)["frame"] == 1
    assert code == 0
    assert len(rest) < 198
    assert all(json.loads(line) for line in rest)  # no half line


def test_a_fixed_box_and_all_faces(bundle: Path, clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    common = ("--camera", f"dir:{clip}", "--model", bundle, "--allow-unsigned", "--json")
    assert live(*common, "--face-box", "250,170,140,140", "--faces", "all") == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {row["face"]["x_px"] for row in rows} == {250}
    assert {row["face"]["id"] for row in rows} == {1}
    assert [(row["faces"], len(row["each"])) for row in rows] == [(1, 1)] * 6
    assert all(row["decision"] == row["each"][0]["decision"] != "no_decision" for row in rows)
    assert live(*common, "--face-box", "250,170,140,140") == 0
    assert {tuple(json.loads(line)["each"]) for line in capsys.readouterr().out.splitlines()} == {()}


def test_a_yunet_file_finds_faces(bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_folder(tmp_path / "clip", [blob_frame(300, 200)])
    model = write_blob_finder(tmp_path / "blobs.onnx")
    common = ("--camera", f"dir:{tmp_path / 'clip'}", "--model", bundle, "--allow-unsigned", "--json")
    assert live(*common, "--face-model", model) == 0
    (row,) = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert row["faces"] == 1
    assert row["score"] is not None


def test_a_video_has_colour_alone_and_decides_nothing(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(tmp_path / "clip.avi")
    writer = cv2.VideoWriter(path, cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*"FFV1"), 20.0, (64, 48))
    for _ in range(3):
        writer.write(np.zeros((48, 64, 3), np.uint8))
    writer.release()
    assert live("--camera", path, "--model", bundle, "--allow-unsigned", "--json") == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(row["reason"], row["modalities"]) for row in rows] == [("modality_missing", ["rgb"])] * 3
