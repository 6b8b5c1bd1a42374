"""edgefas onto a bare board: wheels through a real OpenSSH server into a real virtual environment."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgefas.demo.loopback import LoopbackBoard, loopback_boards
from edgefas.deploy.flash import Plan, flash
from edgefas.deploy.remote import RemoteError, connected
from edgefas.deploy.slots import Slots
from edgefas.deploy.toolkit import Wheels, bring_toolkit, read_wheels
from edgefas.errors import UsageError
from tests.conftest import Run
from tests.deploy.releases import Office, open_office
from tests.deploy.test_flash import needs_sshd


def stand_in_wheel(folder: Path, version: str = "0.1.0", tag: str = "py3-none-any", needs: str = "") -> Path:
    """A wheel of a package called edgefas whose command says its version and does nothing else."""
    folder.mkdir(parents=True, exist_ok=True)
    info = f"edgefas-{version}.dist-info"
    files = {
        "edgefas.py": f"def main():\n    print({version!r})\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: edgefas\nVersion: {version}\n{needs}",
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: {tag}\n",
        f"{info}/entry_points.txt": "[console_scripts]\nedgefas = edgefas:main\n",
    }
    rows = [
        f"{name},sha256={base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b'=').decode()},"
        for name, text in files.items()
    ]
    path = folder / f"edgefas-{version}-{tag}.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        for name, text in files.items():
            wheel.writestr(name, text)
        wheel.writestr(f"{info}/RECORD", "\n".join([*rows, f"{info}/RECORD,,"]) + "\n")
    return path


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoopbackBoard]:
    with loopback_boards(tmp_path_factory.mktemp("boards"), ["bare"]) as boards:
        yield boards["bare"]


@pytest.fixture
def bare(server: LoopbackBoard, tmp_path: Path) -> LoopbackBoard:
    """A board without an edgefas."""
    changes = {"root": str(tmp_path / "root"), "edgefas": str(tmp_path / "opt" / "bin" / "edgefas")}
    return LoopbackBoard(server.board.model_copy(update=changes), Slots(tmp_path / "root"), server.trust)


def bring(board: LoopbackBoard, wheels: Wheels) -> bool:
    async def over_ssh() -> bool:
        async with connected(board.board) as remote:
            return await bring_toolkit(remote, wheels, lambda text: None)

    return asyncio.run(over_ssh())


def version_there(board: LoopbackBoard) -> str:
    return subprocess.run([board.board.edgefas], capture_output=True, text=True, check=True).stdout.strip()


@needs_sshd
def test_it_is_installed_once_and_what_does_not_fit_leaves_it(bare: LoopbackBoard, tmp_path: Path) -> None:
    stand_in_wheel(tmp_path / "one", "0.1.0")
    assert bring(bare, read_wheels(tmp_path / "one"))
    assert version_there(bare) == "0.1.0"
    assert not bring(bare, read_wheels(tmp_path / "one"))
    stand_in_wheel(tmp_path / "foreign", "0.2.0", tag="cp39-cp39-manylinux2014_s390x")
    with pytest.raises(RemoteError, match=r"not a supported wheel|No matching distribution"):
        bring(bare, read_wheels(tmp_path / "foreign"))
    assert version_there(bare) == "0.1.0"
    venv = Path(bare.board.edgefas).resolve().parent.parent
    assert "include-system-site-packages = true" in (venv / "pyvenv.cfg").read_text()


@pytest.mark.slow
@needs_sshd
def test_a_new_set_takes_its_place_unless_it_lacks_a_package(bare: LoopbackBoard, tmp_path: Path) -> None:
    stand_in_wheel(tmp_path / "one", "0.1.0")
    stand_in_wheel(tmp_path / "two", "0.2.0")
    stand_in_wheel(tmp_path / "lacking", "0.3.0", needs="Requires-Dist: no-such-package-anywhere\n")
    for folder in ("one", "two"):
        assert bring(bare, read_wheels(tmp_path / folder))
    with pytest.raises(RemoteError, match="no-such-package-anywhere"):
        bring(bare, read_wheels(tmp_path / "lacking"))
    assert version_there(bare) == "0.2.0"


@needs_sshd
def test_a_wheel_that_arrived_with_other_content_is_not_installed(bare: LoopbackBoard, tmp_path: Path) -> None:
    wheels = read_wheels(stand_in_wheel(tmp_path / "good").parent)
    evil = stand_in_wheel(tmp_path / "evil", needs="Summary: changed\n")
    there = bare.slots.root / "incoming" / "wheels" / wheels.wheels[0].sha256
    there.mkdir(parents=True)
    shutil.copy(evil, there)
    with pytest.raises(RemoteError, match=r"HASH|hash"):
        bring(bare, wheels)
    assert not Path(bare.board.edgefas).exists()


@needs_sshd
def test_a_command_that_is_not_in_a_bin_folder_is_refused(bare: LoopbackBoard, tmp_path: Path) -> None:
    wheels = read_wheels(stand_in_wheel(tmp_path / "good").parent)
    odd = LoopbackBoard(bare.board.model_copy(update={"edgefas": "/opt/edgefas"}), bare.slots, bare.trust)
    with pytest.raises(UsageError, match="PREFIX/bin/edgefas"):
        bring(odd, wheels)


def test_a_folder_that_is_no_set_of_wheels(tmp_path: Path, run: Run) -> None:
    def said(folder: Path) -> str:
        code, _, err = run("flash", "host", "--bundle", tmp_path / "x.efas", "--toolkit", folder)
        assert code == 2
        return err

    assert "has no wheel of edgefas" in said(tmp_path / "none")
    stand_in_wheel(tmp_path / "twice", "0.1.0")
    stand_in_wheel(tmp_path / "twice", "0.2.0")
    assert "edgefas twice" in said(tmp_path / "twice")
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "edgefas.whl").touch()
    assert "edgefas.whl" in said(tmp_path / "odd")


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Office:
    return open_office(tmp_path_factory.mktemp("office"))


@pytest.mark.slow
@needs_sshd
def test_the_real_edgefas_flashes_a_bare_board(
    bare: LoopbackBoard, office: Office, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheelhouse = tmp_path / "wheels"
    shutil.copytree(root / ".cache" / "wheelhouse", wheelhouse)
    build = [sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", str(wheelhouse), str(root)]
    subprocess.run(build, check=True, capture_output=True)
    office.trusted_in(tmp_path / "controller")
    monkeypatch.setenv("EDGEFAS_TRUST", str(tmp_path / "controller"))
    wheels, bundle = read_wheels(wheelhouse), office.release(1)
    (refused,) = asyncio.run(flash({"bare": bare.board}, bundle, Plan()))
    assert "--toolkit" in refused.detail
    (first,) = asyncio.run(flash({"bare": bare.board}, bundle, Plan(), toolkit=wheels))
    assert first.status == "failed"
    assert "does not trust the key" in first.detail  # edgefas is there now, and trusts nobody
    office.trusted_in(bare.trust)
    (done,) = asyncio.run(flash({"bare": bare.board}, bundle, Plan(), toolkit=wheels))
    assert done.status == "installed", done.detail
    active = bare.slots.read().active
    assert active is not None
    assert active.backend == "onnxruntime"
