"""The set-up script: quick when current, and never a CUDA PyTorch by surprise."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

CUDA = [{"metadata": {"name": "torch", "version": "2.13.0"}}, {"metadata": {"name": "nvidia-cublas", "version": "13"}}]
CPU = [{"metadata": {"name": "torch", "version": "2.13.0+cpu"}}, {"metadata": {"name": "sympy", "version": "1.14"}}]

# Stands for pip: logs its arguments; a dry run answers by the index it was pointed at.
FAKE_PIP = """
import json, pathlib, sys
here = pathlib.Path(__file__).parent
answers = json.loads((here / "answers.json").read_text())
with (here / "log").open("a") as log:
    print(*sys.argv[1:], file=log)
if "--dry-run" in sys.argv:
    print(json.dumps({"install": answers["--extra-index-url" in sys.argv]}))
"""


@pytest.fixture
def setup_venv(root: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("setup_venv", root / "scripts" / "setup_venv.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def fake_pip(folder: Path, plain: list[dict], cpu_index: list[dict]) -> list[str]:
    (folder / "fake_pip.py").write_text(FAKE_PIP)
    (folder / "answers.json").write_text(json.dumps([plain, cpu_index]))
    return [sys.executable, str(folder / "fake_pip.py")]


def installed(folder: Path) -> list[str]:
    return [line for line in (folder / "log").read_text().splitlines() if "--dry-run" not in line]


def test_cpu_build_is_installed_from_where_pip_points(setup_venv: ModuleType, tmp_path: Path) -> None:
    setup_venv.install_cpu_torch(fake_pip(tmp_path, CPU, CUDA))
    [line] = installed(tmp_path)
    assert "index-url" not in line
    assert line.endswith("--no-deps torch")


def test_cuda_build_is_replaced_by_pytorchs_cpu_index(setup_venv: ModuleType, tmp_path: Path) -> None:
    setup_venv.install_cpu_torch(fake_pip(tmp_path, CUDA, CPU))
    [line] = installed(tmp_path)
    assert f"--extra-index-url {setup_venv.CPU_INDEX}" in line


def test_cuda_build_everywhere_stops_and_says_what_to_do(setup_venv: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"pip config set global\.extra-index-url"):
        setup_venv.install_cpu_torch(fake_pip(tmp_path, CUDA, CUDA))
    assert installed(tmp_path) == []


def test_current_environment_is_left_alone(
    setup_venv: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["setup_venv.py", str(tmp_path), "cpu"])
    monkeypatch.setattr(setup_venv, "make_venv", lambda venv: pytest.fail("set up again"))
    stamp = tmp_path / "edgefas-setup.sha256"
    stamp.write_text(setup_venv.fingerprint(sys.argv[1:]))
    setup_venv.main()
    stamp.write_text("older")
    with pytest.raises(pytest.fail.Exception, match="set up again"):
        setup_venv.main()


def test_fingerprint_follows_the_pins(setup_venv: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = setup_venv.fingerprint([])
    pins = tmp_path / "constraints.txt"
    pins.write_text("numpy==1.0\n")
    monkeypatch.setattr(setup_venv, "CONSTRAINTS", pins)
    assert setup_venv.fingerprint([]) != before
