"""A skip that nobody wrote down fails the run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize(
    ("body", "code", "words"),
    [
        ("assert True", 0, "1 passed"),
        ("pytest.skip('no camera here')", 1, "UNEXPECTED SKIP (not in expected_skips.txt)"),
        ("pytest.xfail('known')", 0, "1 xfailed"),
        ("...\n\npytest.skip('no camera here', allow_module_level=True)", 5, "UNEXPECTED SKIP"),
    ],
)
@pytest.mark.parametrize("processes", [0, 2])
def test_an_unlisted_skip_fails_the_run(
    root: Path, tmp_path: Path, body: str, code: int, words: str, processes: int
) -> None:
    (tmp_path / "test_one.py").write_text(f"import pytest\n\ndef test_one():\n    {body}\n")
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "tests.skip_ledger",
        "-p",
        "no:cacheprovider",
        "--rootdir",
        tmp_path,
        "-n",
        str(processes),
    ]
    done = subprocess.run([*command, tmp_path], cwd=root, capture_output=True, text=True)
    assert done.returncode == code, done.stdout
    assert done.stdout.count(words) == 1
