"""`edgefas live` as a user types it: what it prints, its exit codes, and every wrong argument."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from edgefas.cli.main import run
from edgefas.sensors.folder import write_folder
from edgefas.sensors.frame import Frame
from tests.bundles import mean_depth_network, write_small_bundle
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
