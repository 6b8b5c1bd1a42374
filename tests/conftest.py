"""For all tests: repeatable hypothesis runs without timing, one thread per library, and where the repository is."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

# Before numpy or torch are imported: the suite shares few cores, and one thread gives the same sums each time.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import hypothesis
import pytest

hypothesis.settings.register_profile("edgefas", deadline=None, derandomize=True)
hypothesis.settings.load_profile("edgefas")


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository."""
    return Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def tracked(root: Path) -> list[Path]:
    """Every file and link under version control that is still there, relative to the repository."""
    names = subprocess.run(["git", "ls-files", "-z"], cwd=root, capture_output=True, check=True).stdout.decode()
    paths = [Path(name) for name in names.split("\0") if name]
    return [path for path in paths if (root / path).exists()]


Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs edgefas as a user types it; gives (exit code, stdout, stderr). A traceback fails the test."""
    from edgefas.cli import main as cli

    def call(*words: object) -> tuple[int, str, str]:
        code = cli.run([str(word) for word in words])
        shown = capsys.readouterr()
        assert "Traceback" not in shown.err
        assert "internal error" not in shown.err
        return code, shown.out, shown.err

    return call
