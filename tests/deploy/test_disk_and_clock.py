"""A full disk, one that takes nothing any more, and a clock that is wrong: what was good stays in service."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
from datetime import datetime, timezone
from pathlib import Path

import pytest

import edgefas.deploy.slots as slots_module
from edgefas.deploy import install as install_module
from edgefas.deploy.install import install
from edgefas.deploy.slots import Release, Slots, State, begin_trial, booted, commit
from edgefas.files import FileWriteError
from tests.conftest import Run
from tests.deploy.releases import Office, open_office
from tests.deploy.test_serve import put, running, slots, wait_until

__all__ = ["slots"]


@pytest.fixture
def office(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Office:
    monkeypatch.setenv("EDGEFAS_TRUST", str(tmp_path / "trust"))
    office = open_office(tmp_path)
    office.trusted_in(tmp_path / "trust")
    return office


def install_with_files_of_at_most(limit: int, bundle: Path, root: Path) -> subprocess.CompletedProcess[str]:
    """The command, where the kernel refuses to write more than so many bytes into a file, as a full disk would."""
    return subprocess.run(
        [sys.executable, "-m", "edgefas", "slot", "install", str(bundle), "--root", str(root)],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )


def test_a_disk_that_is_full_when_the_bundle_is_unpacked(office: Office, tmp_path: Path) -> None:
    good, new = office.release(1), office.release(2)
    root = Slots(tmp_path / "root")
    install(good, root)
    before = root.change(commit)
    for limit in (0, 100, new.stat().st_size - 1):
        done = install_with_files_of_at_most(limit, new, root.root)
        assert done.returncode == 1, done.stderr
        assert "cannot write" in done.stderr
        assert "Traceback" not in done.stderr
        assert root.read() == before
        assert sorted(path.name for path in (root.root / "slots").iterdir()) == ["a"]
    assert install(new, root).state.on_trial


def test_a_disk_that_takes_no_more_while_a_release_is_on_trial(
    slots: Slots,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    write, asked = slots_module.write_atomically, []

    def read_only(path: Path, data: bytes) -> None:
        asked.append(path)
        raise FileWriteError(f"cannot write {path}: Read-only file system; choose another place")

    slots.change(lambda state: begin_trial(state, put(slots, "b", 2, "good")))
    with running(slots):
        wait_until(lambda: slots.read().starts == 1)
        monkeypatch.setattr(slots_module, "write_atomically", read_only)
        wait_until(lambda: len(asked) > 3)
        assert slots.read().on_trial
        monkeypatch.setattr(slots_module, "write_atomically", write)
        wait_until(lambda: not slots.read().on_trial)
    active = slots.read().active
    assert active is not None
    assert active.number == 2
    assert caplog.text.count("Read-only file system") == 1


@pytest.mark.parametrize("year", [1970, 2099])
def test_a_wrong_clock_changes_nothing_but_a_date(
    office: Office, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, year: int
) -> None:
    class Clock(datetime):
        @classmethod
        def now(cls, tz: timezone | None = None) -> Clock:  # type: ignore[override]
            return cls(year, 1, 1, tzinfo=tz)

    root = Slots(tmp_path / "root")
    install(office.release(1), root)
    root.change(commit)
    monkeypatch.setattr(install_module, "datetime", Clock)
    state = install(office.release(2), root).state
    assert state.active is not None
    assert state.active.installed_at.startswith(str(year))
    monkeypatch.undo()
    monkeypatch.setenv("EDGEFAS_TRUST", str(tmp_path / "trust"))
    root.change(commit)
    assert install(office.release(3), root).state.on_trial


def test_a_trial_that_no_service_judges_ends_a_while_after_the_boot(
    slots: Slots,
    run: Run,
) -> None:
    assert run("slot", "boot-check", "--root", slots.root)[0] == 0
    slots.change(lambda state: begin_trial(state, put(slots, "b", 2, "silent")))
    with slots.serving():
        assert run("slot", "boot-check", "--root", slots.root)[0] == 0
        assert slots.read().on_trial
    code, _, err = run("slot", "boot-check", "--root", slots.root)
    assert (code, "no service was running" in err) == (4, True)
    active = slots.read().active
    assert active is not None
    assert active.number == 1


def test_what_is_good_is_left_alone_by_the_boot_check() -> None:
    release = Release(
        slot="a", name="x", number=1, bundle_sha256="0" * 64, signer="o", backend="b", median_ms=1, installed_at=""
    )
    state = State(active=release, highest=1)
    assert booted(state) == state


def verified(unit: Path) -> list[str]:
    """What systemd has to say about a unit, but that this machine has no /opt/edgefas."""
    program = shutil.which("systemd-analyze")
    assert program is not None
    done = subprocess.run([program, "verify", str(unit)], capture_output=True, text=True)
    return [line for line in done.stderr.splitlines() if "/opt/edgefas/bin/edgefas is not executable" not in line]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze: apt install systemd")
def test_systemd_understands_the_units(root: Path, tmp_path: Path) -> None:
    units = sorted((root / "edgefas" / "deploy" / "systemd").iterdir())
    assert len(units) == 3
    for unit in units:
        shutil.copy(unit, tmp_path)
    for unit in units:
        assert verified(tmp_path / unit.name) == []
    (tmp_path / "bad.service").write_text("[Service]\nExecStrt=/bin/true\n")
    assert verified(tmp_path / "bad.service") != []
