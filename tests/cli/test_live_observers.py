"""The flags of `edgefas live` for views and sinks, as a user types them."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from pathlib import Path

import numpy as np
import pytest

from edgefas.cli.main import run
from edgefas.sensors.folder import write_folder
from edgefas.sensors.frame import Calibration, Frame, Intrinsics
from tests.bundles import write_small_bundle
from tests.scenes import noise_frame


@pytest.fixture(scope="module")
def common(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """A small bundle and six frames."""
    folder = tmp_path_factory.mktemp("live")
    write_folder(folder / "clip", [noise_frame(number, seed=number) for number in range(1, 7)])
    bundle = write_small_bundle(folder / "small.efas")
    return ["live", "--camera", f"dir:{folder / 'clip'}", "--model", str(bundle), "--allow-unsigned"]


def test_the_log_holds_what_stdout_holds(common: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*common, "--json", "--log", str(tmp_path / "d.jsonl")]) == 0
    out, err = capsys.readouterr()
    assert (tmp_path / "d.jsonl").read_text() == out
    assert f"{tmp_path / 'd.jsonl'}: 6 lines" in err
    assert [file.name for file in tmp_path.iterdir()] == ["d.jsonl"]  # no picture is stored


def test_a_closed_stdout_ends_the_command_and_the_log_is_whole(common: list[str], tmp_path: Path) -> None:
    command = [sys.executable, "-m", "edgefas", *common, "--json", "--log", str(tmp_path / "d.jsonl")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        process.stdout.close()
        code = process.wait(120)
        assert "Traceback" not in process.stderr.read()
    assert code == 1
    rows = [json.loads(text) for text in (tmp_path / "d.jsonl").read_text().splitlines()]
    assert [row["frame"] for row in rows] == list(range(1, len(rows) + 1))


WRONG = {
    "headless and a view": (["--headless", "--view", "web"], 2, "choose one"),
    "unknown view": (["--view", "hologram"], 2, "window"),
    "port without a page": (["--port", "8000"], 2, "--view web"),
    "host without a page": (["--view", "text", "--host", "0.0.0.0"], 2, "--view web"),
    "port out of range": (["--view", "web", "--port", "70000"], 2, "65535"),
    "foreign address": (["--view", "web", "--host", "192.0.2.1"], 1, "192.0.2.1"),
    "bad web hook": (["--webhook", "ftp://host/"], 2, "http"),
    "password in the web hook": (["--webhook", "https://a:b@host/"], 2, "--webhook-secret"),
    "secret without web hook": (["--webhook-secret", "/none"], 2, "--webhook URL"),
    "all without web hook": (["--webhook-all"], 2, "--webhook URL"),
    "missing secret": (["--webhook", "http://127.0.0.1:9/", "--webhook-secret", "/none"], 2, "No such file"),
    "log in no folder": (["--log", "/none/d.jsonl"], 1, "--log"),
    "log of no size": (["--log", "d.jsonl", "--log-mb", "0"], 2, "log-mb"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_flags_are_short_errors(case: str, common: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    flags, code, words = WRONG[case]
    assert run([*common, "--json", *flags]) == code
    out, err = capsys.readouterr()
    assert out == ""
    error = err[err.index("error: ") :]
    assert words in error.replace("\n", " ")
    assert len(error) < 700


def test_a_port_in_use_is_told_before_the_camera_is_opened(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert run(["live", "--camera", "nothing", "--view", "web", "--port", str(port)]) == 1
    assert f"port {port} is in use" in capsys.readouterr().err.replace("\n", " ")


def test_a_window_without_display_says_what_to_do(
    common: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    assert run([*common, "--view", "window"]) == 1
    assert "use --view web" in capsys.readouterr().err


def test_the_page_is_served_while_it_runs_and_ends_with_it(common: list[str], tmp_path: Path) -> None:
    grid = Intrinsics(64, 48, 40.0, 40.0, 32.0, 24.0)
    black = np.zeros((48, 64), np.uint8)
    small = {"color": np.zeros((48, 64, 3), np.uint8), "ir_lit": black, "ir_unlit": black, "depth": None}
    frame = {**vars(noise_frame()), **small, "calibration": Calibration(depth=grid, color=grid)}
    write_folder(tmp_path / "long", [Frame(**{**frame, "number": n, "device_ns": n}) for n in range(1, 500)])
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    flags = ["--camera", f"dir:{tmp_path / 'long'}", "--view", "web", "--port", str(port), "--json"]
    with subprocess.Popen(
        [sys.executable, "-m", "edgefas", *common, *flags], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        watchdog = threading.Timer(120, process.kill)
        watchdog.start()
        json.loads(process.stdout.readline())
        # the pipe is not read on, and holds fewer than 500 lines: decisions wait, and the page is served all the same
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/events", timeout=60) as events:
            heard = b"".join(events.readline() for _ in range(6))
        assert b"event: about" in heard
        assert b'"reason":' in heard
        process.send_signal(signal.SIGTERM)
        process.stdout.read()
        errors = process.stderr.read()
        assert process.wait() == 0
        watchdog.cancel()
    assert f"watch at http://127.0.0.1:{port}/\n" in errors
    assert "Traceback" not in errors
