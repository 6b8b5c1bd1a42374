"""`edgefas data synth` as a command: wrong wishes, interruptions and full disks leave nothing behind."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from edgefas.data.synth import LAYOUTS, Clip, bench, products
from tests.conftest import Run


def test_out_must_not_exist(tmp_path: Path, run: Run) -> None:
    code, _, err = run("data", "synth", tmp_path, "--layout", "folder")
    assert (code, "exists; choose another name" in " ".join(err.split())) == (2, True)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--layout", "casia-suf"), "did you mean 'casia-surf'? allowed:"),
        (("--layout", "casia-surf", "--subjects", 2), "--subjects 2: 3 to 999 are allowed"),
        (("--layout", "casia-fasd", "--subjects", 6), "--subjects 6: only 50 is allowed"),
        (("--layout", "bench-v1", "--seed", 3), "bench-v1 is frozen: leave --seed away"),
    ],
)
def test_a_wrong_wish_is_named(tmp_path: Path, run: Run, words: tuple[object, ...], said: str) -> None:
    code, _, err = run("data", "synth", tmp_path / "t", *words)
    assert code == 2
    assert said in " ".join(err.split())
    assert not list(tmp_path.iterdir())


def test_bench_v1_of_another_simulator_is_refused(tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "SIMULATOR_VERSION", 2)
    code, _, err = run("data", "synth", tmp_path / "t", "--layout", "bench-v1")
    assert code == 1
    assert "made by simulator version 1, this is 2" in " ".join(err.split())


@pytest.mark.parametrize("trouble", [KeyboardInterrupt(), OSError(errno.ENOSPC, "No space left on device")])
def test_what_is_not_complete_leaves_nothing(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch, trouble: BaseException
) -> None:
    written: list[Path] = []

    def write(root: Path, clip: Clip) -> None:
        if len(written) == 2:
            raise trouble
        written.append(root / clip.name)
        products.put(written[-1], b"picture")

    monkeypatch.setitem(LAYOUTS, "hq-wmca", replace(LAYOUTS["hq-wmca"], write=write))
    code, out, err = run("data", "synth", tmp_path / "t", "--layout", "hq-wmca", "--subjects", 3, "--workers", 1)
    assert len(written) == 2
    assert not list(tmp_path.iterdir())
    assert out == ""
    if isinstance(trouble, OSError):
        assert code == 1
        assert "No space left on device; choose another place" in " ".join(err.split())
    else:
        assert code == 130


def test_a_command_says_what_it_made(tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(LAYOUTS, "hq-wmca", replace(LAYOUTS["hq-wmca"], write=lambda root, clip: None))
    words = ("data", "synth", tmp_path / "t", "--layout", "hq-wmca", "--subjects", 3, "--frames", 2, "--workers", 1)
    code, out, err = run(*words, "--json")
    said = json.loads(out)
    assert (code, err, said["pictures"], said["clips"], said["seed"]) == (0, "", 66, 33, 0)
    code, out, _ = run(*(tmp_path / "u" if word == tmp_path / "t" else word for word in words))
    assert code == 0
    assert "No person was photographed" in out
    assert f"next: edgefas data check {tmp_path / 'u'} --dataset hq-wmca" in out


@pytest.mark.slow
def test_ctrl_c_ends_all_workers_and_leaves_nothing(tmp_path: Path) -> None:
    code = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "  # a shell's `&` ignores it
        "from edgefas.cli.main import run; sys.exit(run(sys.argv[1:]))"
    )
    words = ["data", "synth", str(tmp_path / "t"), "--layout", "casia-surf", "--workers", "2"]
    process = subprocess.Popen([sys.executable, "-c", code, *words], start_new_session=True, stderr=subprocess.PIPE)
    try:
        while not list(tmp_path.rglob("*.jpg")):
            assert process.poll() is None
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGINT)
        _, err = process.communicate()
    finally:
        process.kill()
    assert process.returncode == 130
    assert b"Traceback" not in err
    assert not list(tmp_path.iterdir())


def _die(*_: object) -> int:
    os._exit(9)


@pytest.mark.slow
def test_a_killed_worker_is_told(tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgefas.data.synth.pool._make", _die)
    code, _, err = run("data", "synth", tmp_path / "t", "--layout", "hq-wmca", "--subjects", 3, "--workers", 2)
    assert code == 1
    assert "try fewer --workers" in " ".join(err.split())
    assert not list(tmp_path.iterdir())
