"""What is run with `python -m` tells errors as `edgefas` does: one text, an exit code, no traceback."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from edgefas.cli.guard import run_script
from edgefas.errors import CheckFailed

FOLDERS = ("benchmarks", "edgefas", "engines", "sensors", "calibration")


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (CheckFailed("three of four hold; see: edgefas data check"), 3, "error: three of four hold; see: edgefas data"),
        (FileNotFoundError(2, "No such file", "clip.db3"), 1, "error: [Errno 2] No such file: 'clip.db3'"),
        (KeyboardInterrupt(), 130, ""),
        (ZeroDivisionError("by zero"), 1, "internal error: ZeroDivisionError: by zero"),
    ],
)
def test_what_a_script_raises_is_told(
    error: BaseException, code: int, words: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["script"])
    monkeypatch.delenv("EDGEFAS_DEBUG", raising=False)

    def main() -> None:
        raise error

    with pytest.raises(SystemExit) as stopped:
        run_script(main)
    told = capsys.readouterr().err
    assert (stopped.value.code, words in told, "Traceback" in told) == (code, True, False)


def test_every_script_is_run_so(root: Path) -> None:
    scripts = {
        path: text
        for folder in FOLDERS
        for path in sorted((root / folder).rglob("*.py"))
        if "typer" in (text := path.read_text()) and "__main__" in text
    }
    assert len(scripts) > 25
    assert [str(path) for path, text in scripts.items() if "run_script(main)" not in text] == []


@pytest.mark.parametrize(
    ("module", "argument", "words"),
    [
        ("bench_v1", "nowhere", "edgefas train --ablation modalities data.root=ROOT --out nowhere"),
        ("live_pipeline", "nowhere.db3", "edgefas record nowhere.db3"),
    ],
)
def test_a_benchmark_says_what_to_do_first(module: str, argument: str, words: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", f"edgefas.benchmarks.{module}", argument]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=120)
    assert done.returncode in (1, 2)
    assert words in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
