"""What a user installs: one package with the linked folders and their data inside, and a command that works."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

import edgefas

PACKAGE = f"edgefas-{edgefas.__version__}"
FOLDERS = ("edgefas", "benchmarks", "calibration", "engines", "sensors")


def run(command: list[str | Path], cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run without this machine's pip settings; the output of a failed command is the test's message."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "PYTHON"))}
    environment["PIP_CONFIG_FILE"] = os.devnull
    return subprocess.run([str(part) for part in command], cwd=cwd, env=environment, capture_output=True, text=True)


def checked(command: list[str | Path], cwd: Path) -> None:
    done = run(command, cwd)
    assert done.returncode == 0, done.stdout + done.stderr


def build(kind: str, source: Path, out: Path) -> Path:
    checked([sys.executable, "-m", "build", "--no-isolation", f"--{kind}", "--outdir", out, source], source)
    [made] = out.iterdir()
    return made


def contents(wheel: Path) -> dict[str, bytes]:
    """Files by name, without the list of hashes."""
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist() if not name.endswith("/RECORD")}


@pytest.fixture(scope="module")
def clone(root: Path, tracked: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tracked files alone: what stale build folders would add is not there."""
    copy = tmp_path_factory.mktemp("clone")
    for path in tracked:
        (copy / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(root / path, copy / path, follow_symlinks=False)
    return copy


@pytest.fixture(scope="module")
def wheel(clone: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("wheel", clone, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def sdist(clone: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("sdist", clone, tmp_path_factory.mktemp("sdist"))


@pytest.fixture(scope="module")
def installed(root: Path, clone: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin folder of an empty environment after a plain `pip install .` from the wheels set-up downloaded."""
    wheelhouse = root / ".cache" / "wheelhouse"
    assert wheelhouse.is_dir(), "the wheels for this test are missing; run: make setup"
    venv = tmp_path_factory.mktemp("venv")
    checked([sys.executable, "-m", "venv", "--without-pip", venv], venv)
    pip = [sys.executable, "-m", "pip", "--python", venv / "bin" / "python", "install"]
    checked([*pip, "--no-index", "--find-links", wheelhouse, "."], clone)
    return venv / "bin"


def package_files(clone: Path, tracked: list[Path]) -> set[str]:
    """The tracked files of the package under the names they are installed with."""
    files = [path for path in tracked if path.parts[0] in FOLDERS and not (clone / path).is_symlink()]
    return {str(path if path.parts[0] == "edgefas" else "edgefas" / path) for path in files}


def test_wheel_holds_one_package_with_everything_in_it(wheel: Path, clone: Path, tracked: list[Path]) -> None:
    files = contents(wheel)
    assert {name.split("/")[0] for name in files} == {"edgefas", f"{PACKAGE}.dist-info"}
    assert files[f"{PACKAGE}.dist-info/top_level.txt"].split() == [b"edgefas"]
    expected = package_files(clone, tracked)
    assert "edgefas/sensors/frame.py" in expected
    assert {name for name in files if name.startswith("edgefas/")} == expected
    assert all(files[name] == (clone / name).read_bytes() for name in expected)


def test_sdist_holds_real_files_and_builds_an_equal_wheel(
    sdist: Path, wheel: Path, clone: Path, tracked: list[Path], tmp_path: Path
) -> None:
    with tarfile.open(sdist) as archive:
        members = {member.name: member for member in archive.getmembers()}
    assert {f"{PACKAGE}/{name}" for name in package_files(clone, tracked)} <= members.keys()
    assert all(member.isfile() or member.isdir() for member in members.values())
    assert {name.split("/")[1] for name, member in members.items() if member.isdir() and "/" in name} == {
        "edgefas",
        "edgefas.egg-info",
    }
    checked(["tar", "-xf", sdist], tmp_path)
    again = build("wheel", tmp_path / PACKAGE, tmp_path / "again")
    assert contents(again) == contents(wheel)


def test_plain_install_gives_the_command(installed: Path, tmp_path: Path) -> None:
    shown = run([installed / "edgefas", "--help"], tmp_path)
    assert shown.returncode == 0, shown.stderr
    assert "live" in shown.stdout
    assert run([installed / "edgefas", "--version"], tmp_path).stdout.strip() == edgefas.__version__


@pytest.mark.parametrize(
    ("arguments", "extra"),
    [
        ("models", "train"),
        ("export trained.safetensors -o out.onnx", "export"),
        ("benchmark exported.onnx", "cpu"),
        ("record --camera simulated --seconds 1 out.db3", "realsense"),
    ],
)
def test_a_missing_extra_is_named_with_its_pip_line(
    installed: Path, tmp_path: Path, arguments: str, extra: str
) -> None:
    given = [tmp_path / "exported.onnx", tmp_path / "trained.safetensors"]
    for file in given:
        file.touch()
    done = run([installed / "edgefas", *arguments.split()], tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr
    assert f"pip install 'edgefas[{extra}]'" in done.stderr
    assert "Traceback" not in done.stderr
    assert sorted(tmp_path.iterdir()) == given
