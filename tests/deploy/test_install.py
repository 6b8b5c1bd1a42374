"""Installing: what a board refuses, what it checks in a limited child, and that what is in service stays there."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from importlib import resources
from pathlib import Path

import pytest

from edgefas.deploy import install as install_module
from edgefas.deploy.bundle import BundleError, open_bundle
from edgefas.deploy.install import Limits, _run_limited, install, wait_for_verdict
from edgefas.deploy.slots import SlotError, Slots, State, commit, rollback
from edgefas.errors import CheckFailed, EdgefasError
from edgefas.live.model import DEMO_BUNDLE, open_model
from edgefas.sensors.folder import write_folder
from tests.bundles import SPEC
from tests.conftest import Run
from tests.deploy.releases import open_office
from tests.sensors.scenes import moment

Make = Callable[..., Path]


@pytest.fixture
def slots(tmp_path: Path) -> Slots:
    return Slots(tmp_path / "root")


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """Makes signed bundles of a network that gives the mean of depth."""
    monkeypatch.setenv("EDGEFAS_TRUST", str(tmp_path / "trust"))
    monkeypatch.setenv("EDGEFAS_ROOT", str(tmp_path / "root"))
    office = open_office(tmp_path)
    office.trusted_in(tmp_path / "trust")
    return office.release


def test_a_good_bundle_goes_on_trial(slots: Slots, make: Make) -> None:
    stages: list[str] = []
    done = install(make(7), slots, stage=stages.append)
    assert stages == ["verify", "unpack", "check", "switch"]
    assert done.report is not None
    assert done.report.golden_max_abs < 1e-3
    state = slots.read()
    assert (state.on_trial, state.active, state.active and state.active.number) == (True, done.release, 7)
    assert open_bundle(slots.bundle(done.release)).signer == "office"
    assert [path.name for path in slots.folder("a").iterdir()] == ["bundle.efas"]


def test_what_is_in_service_is_what_live_runs(slots: Slots, make: Make) -> None:
    with open_model(None).engine as engine:
        demo = engine.spec
    assert demo != SPEC
    install(make(1), slots)
    model = open_model(None)
    with model.engine:
        assert (model.name, model.trust) == ("door", "signed")
        assert model.engine.spec == SPEC


def test_golden_scores_that_fail_leave_the_release_in_service(slots: Slots, make: Make) -> None:
    install(make(1), slots)
    good = slots.change(commit)
    with pytest.raises(CheckFailed, match="golden frame"):
        install(make(2, off_by=1.0), slots)
    assert slots.read() == good
    assert sorted(path.name for path in (slots.root / "slots").iterdir()) == ["a"]


def test_the_same_bundle_again_changes_nothing(slots: Slots, make: Make) -> None:
    install(make(1), slots)
    good = slots.change(commit)
    done = install(make(1), slots)
    assert (done.report, slots.read()) == (None, good)


def test_what_is_refused_before_anything_is_unpacked(slots: Slots, make: Make) -> None:
    def refused(path: Path, kind: type[EdgefasError], text: str) -> None:
        before = slots.read()
        stages: list[str] = []
        with pytest.raises(kind, match=text):
            install(path, slots, stage=stages.append)
        assert stages == ["verify"]
        assert slots.read() == before

    refused(make(1, signed=False), BundleError, "not signed")
    install(make(5), slots)
    refused(make(6), SlotError, "on trial")
    slots.change(commit)
    refused(make(4), SlotError, "older than release 5")
    refused(make(5, card=b"other"), SlotError, "other content")
    install(make(5, card=b"other"), slots, allow_downgrade=True)
    slots.change(lambda state: rollback(state, "x"))
    install(make(4), slots, allow_downgrade=True)
    slots.change(commit)
    refused(make(3), SlotError, "older than release 5")


def test_a_pinned_but_unsigned_bundle_is_no_release(slots: Slots) -> None:
    with (
        resources.as_file(resources.files("edgefas.demo").joinpath(DEMO_BUNDLE)) as demo,
        pytest.raises(BundleError, match="takes signed bundles only"),
    ):
        install(demo, slots)


def test_an_engine_above_its_budget_is_not_taken(slots: Slots, make: Make) -> None:
    with pytest.raises(CheckFailed, match=r"at most 0\.001 ms are allowed"):
        install(make(1), slots, budget_ms=0.001)
    assert slots.read() == State()


def test_a_second_installation_waits_for_nobody(slots: Slots, make: Make) -> None:
    with slots.installing(), pytest.raises(SlotError, match="another installation"):
        install(make(1), slots)


@pytest.mark.parametrize(
    ("code", "limits", "text"),
    [
        ("import time; time.sleep(60)", Limits(seconds=0.5), r"more than 0\.5 s"),
        (
            "x = bytearray(300_000_000)\nwhile True: x[::4096] = bytes(len(x[::4096]))",
            Limits(memory_mb=150),
            "MB of memory",
        ),
        ("while True: pass", Limits(cpu_s=1), "1 s of processor time"),
    ],
)
def test_the_child_is_stopped_when_it_takes_too_much(tmp_path: Path, code: str, limits: Limits, text: str) -> None:
    begin_s = time.monotonic()
    with pytest.raises(CheckFailed, match=text):
        _run_limited([sys.executable, "-c", code], tmp_path, limits)
    assert time.monotonic() - begin_s < 20
    assert list(tmp_path.iterdir()) == []


def test_a_child_that_crashes_is_told(slots: Slots, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(*_: object) -> tuple[int, str, str]:
        return -11, "", ""

    monkeypatch.setattr(install_module, "_run_limited", crash)
    with pytest.raises(EdgefasError, match="ended with -11"):
        install(make(1), slots)
    assert slots.read() == State()


def test_the_verdict_is_waited_for(slots: Slots, make: Make) -> None:
    done = install(make(1), slots)
    threading.Timer(0.3, lambda: slots.change(commit)).start()
    assert not wait_for_verdict(slots, done.release, 10, poll_s=0.02).on_trial
    done = install(make(2), slots)
    assert wait_for_verdict(slots, done.release, 0.1, poll_s=0.02).on_trial


def test_from_the_command_line(slots: Slots, make: Make, run: Run) -> None:
    code, _, text = run("slot", "install", make(1))
    assert (code, "still on trial" in text) == (0, True)
    assert run("slot", "commit")[0] == 0
    code, text, _ = run("slot", "status")
    assert (code, "door 1" in text, "is good" in text) == (0, True, True)
    assert run("slot", "commit")[0] == 1
    assert run("slot", "rollback")[0] == 1
    assert run("slot", "install", make(2, off_by=1.0))[0] == 3
    assert run("slot", "install", make(3))[0] == 0
    code, text, _ = run("slot", "rollback", "--why", "looks odd")
    assert (code, "looks odd" in text) == (0, True)
    active = slots.read().active
    assert active is not None
    assert active.number == 1


def test_a_recording_that_is_judged_wrongly_is_a_failed_check(slots: Slots, make: Make) -> None:
    """Labelled bona fide, and nobody is in it."""
    folder = slots.root / "selftest" / "empty"
    folder.parent.mkdir(parents=True)
    write_folder(folder, [moment(n) for n in range(1, 4)])
    (folder / "recording.json").write_text('{"label": "bona_fide"}')
    with pytest.raises(CheckFailed, match="empty is bona_fide, and the state never became bona fide"):
        install(make(1), slots)
    (folder / "recording.json").write_text('{"label": "attack"}')
    report = install(make(1), slots).report
    assert report is not None
    assert report.recordings == (f"dir:{folder}",)
