"""The linked folders are packages of edgefas and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

LINKED = ("benchmarks", "calibration", "engines", "sensors")


@pytest.mark.parametrize("name", LINKED)
def test_the_link_is_relative(root: Path, name: str) -> None:
    assert os.readlink(root / "edgefas" / name) == f"../{name}"


@pytest.mark.parametrize("name", LINKED)
def test_the_bare_name_is_refused(root: Path, name: str) -> None:
    done = subprocess.run([sys.executable, "-c", f"import {name}"], cwd=root, capture_output=True, text=True)
    assert done.returncode == 1
    assert f"write `import edgefas.{name}`, not '{name}'" in done.stderr


def test_no_module_imports_a_bare_name(root: Path, tracked: list[Path]) -> None:
    starts = tuple(f"{word} {name}{end}" for word in ("import", "from") for name in LINKED for end in (" ", ".", "\n"))
    bad = [
        f"{path}:{number}"
        for path in tracked
        if path.suffix == ".py"
        for number, line in enumerate((root / path).read_text().splitlines(keepends=True), 1)
        if line.startswith(starts)
    ]
    assert bad == []
