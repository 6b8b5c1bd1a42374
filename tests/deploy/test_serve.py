"""The service: a healthy release becomes good, any other is taken back by itself, and what was good goes on."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import edgefas.deploy.serve as serve
from edgefas.contracts import Reason
from edgefas.deploy.bundle import Manifest, sign_bundle, write_bundle
from edgefas.deploy.health import Health, Window
from edgefas.deploy.keys import make_key, read_private_key
from edgefas.deploy.serve import Service
from edgefas.deploy.slots import MAX_STARTS, Release, SlotError, Slots, State, begin_trial, rollback
from edgefas.live.line import DecisionLine
from tests.bundles import SPEC
from tests.deploy.signed import no_passphrase
from tests.deploy.stand_in_live import LINE

QUICK = Window(seconds=0.6, deadline_s=3.0, max_silence_s=0.4)
STAND_IN = (sys.executable, str(Path(__file__).with_name("stand_in_live.py")))


@pytest.fixture
def slots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Slots:
    """With release 1, "good", in service."""
    monkeypatch.setattr(serve, "BACK_OFF_S", (0.0,))
    slots = Slots(tmp_path / "root")
    slots.change(lambda _: State(active=put(slots, "a", 1, "good"), highest=1))
    return slots


def put(slots: Slots, slot: str, number: int, name: str) -> Release:
    """A signed bundle in a slot, unchecked."""
    folder = slots.folder(slot)  # type: ignore[arg-type]
    folder.mkdir(parents=True, exist_ok=True)
    path, key = folder / "bundle.efas", slots.root / "key"
    manifest = Manifest(name=name, model="x", release=number, input_spec=SPEC, trained_on="nothing", members={})
    digest = write_bundle(path, manifest, {"policy.json": b"{}"})
    if not key.exists():
        make_key(key)
    digest = sign_bundle(path, path, read_private_key(key, no_passphrase))
    return Release(
        slot=slot, name=name, number=number, bundle_sha256=digest, signer="office", backend="onnxruntime",
        median_ms=1.0, installed_at="2026-01-01T00:00:00+00:00",
    )  # type: ignore[arg-type]  # fmt: skip


@contextmanager
def running(slots: Slots, tee: Callable[[str], None] | None = None) -> Iterator[None]:
    """The service in a thread."""
    stop = threading.Event()
    service = Service(slots, (), QUICK, tee, STAND_IN)
    thread = threading.Thread(target=service.run, args=(stop.is_set,))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(20)
        assert not thread.is_alive()


def wait_until(true: Callable[[], bool], seconds: float = 15.0) -> None:
    deadline_s = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline_s, "it did not come to that"
        time.sleep(0.02)


def test_a_healthy_release_becomes_good(slots: Slots) -> None:
    with running(slots):
        slots.change(lambda state: begin_trial(state, put(slots, "b", 2, "better")))
        wait_until(lambda: not slots.read().on_trial)
    state = slots.read()
    assert state.active is not None
    assert (state.active.number, state.highest) == (2, 2)
    assert state.fallback is not None


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("crashes", "eaten itself"),
        ("faulty", "engine_failed in"),
        ("late", "engine_late in"),
        ("blind", "no frame came"),
        ("mute", "no frame came"),
    ],
)
def test_any_other_is_taken_back_by_itself(slots: Slots, name: str, why: str) -> None:
    heard: list[str] = []
    with running(slots, heard.append):
        wait_until(lambda: len(heard) > 5)
        slots.change(lambda state: begin_trial(state, put(slots, "b", 2, name)))
        wait_until(lambda: not slots.read().on_trial)
        heard.clear()
        wait_until(lambda: len(heard) > 5)
        assert '"reason": "no_face"' in heard[-1]
    state = slots.read()
    assert state.active is not None
    assert (state.active.number, state.fallback, state.highest) == (1, None, 1)
    assert why in state.last


def test_a_first_release_that_fails_leaves_nothing(slots: Slots) -> None:
    slots.change(lambda _: State())
    with running(slots):
        slots.change(lambda state: begin_trial(state, put(slots, "a", 1, "faulty")))
        wait_until(lambda: not slots.read().on_trial)
        time.sleep(0.3)
    assert slots.read().active is None


def test_starts_are_counted_and_once_too_often_is_the_end(slots: Slots, monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the board went down with the release at every boot."""
    slots.change(lambda state: begin_trial(state, put(slots, "b", 2, "mute")))
    for start in range(MAX_STARTS):
        with running(slots):
            time.sleep(0.05)
        assert slots.read().starts == start + 1
    with running(slots):
        time.sleep(0.05)
    state = slots.read()
    assert state.active is not None
    assert state.active.number == 1
    assert "starts of the service" in state.last


def test_a_good_release_that_crashes_is_started_again_and_kept(slots: Slots) -> None:
    slots.change(lambda _: State(active=put(slots, "a", 1, "crashes"), highest=1))
    heard: list[str] = []
    with running(slots, heard.append):
        wait_until(lambda: len(heard) > 12)
    assert slots.read().active is not None


def test_a_hanging_live_is_ended(
    slots: Slots, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(serve, "OPENING_S", 0.4)
    monkeypatch.setattr(serve, "STOP_S", 0.2)
    slots.change(lambda _: State(active=put(slots, "a", 1, "mute"), highest=1))
    with running(slots):
        wait_until(lambda: "it said nothing" in caplog.text)
    assert slots.read().active is not None  # good once, and started again


def test_a_rollback_by_hand_changes_what_runs(slots: Slots) -> None:
    slots.change(lambda _: State(active=put(slots, "b", 2, "faulty"), fallback=put(slots, "a", 1, "good"), highest=2))
    heard: list[str] = []
    with running(slots, heard.append):
        wait_until(lambda: bool(heard) and "engine_failed" in heard[-1])
        slots.change(lambda state: rollback(state, "by hand"))
        wait_until(lambda: "no_face" in heard[-1])
    state = slots.read()
    assert (state.active and state.active.name, state.fallback and state.fallback.name) == ("good", "faulty")


def test_one_that_ignores_sigterm_is_killed(slots: Slots, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve, "STOP_S", 0.3)
    slots.change(lambda _: State(active=put(slots, "a", 1, "stubborn"), highest=1))
    heard: list[str] = []
    with running(slots, heard.append):
        wait_until(lambda: len(heard) > 2)
        begun_s = time.monotonic()
    assert 0.3 <= time.monotonic() - begun_s < 10  # it was given its time, and then it was over
    said = len(heard)
    time.sleep(0.2)
    assert len(heard) == said


def test_two_services_do_not_run(slots: Slots) -> None:
    with running(slots):
        wait_until(slots.is_served)
        with pytest.raises(SlotError, match="running already"):
            Service(slots, (), QUICK, None, STAND_IN).run(lambda: True)


def line(frame: int | None, reason: Reason = Reason.NO_FACE) -> DecisionLine:
    return DecisionLine.model_validate(LINE | {"frame": frame, "reason": reason})


def test_health_by_hand() -> None:
    """10 frames a second; the window is 20 s."""
    window, health = Window(), Health(100.0)
    assert health.trouble(window, 101.0) == "no frame came"
    for tenth in range(201):
        health.hear(line(tenth), 100 + tenth / 10)
    assert health.trouble(window, 110.0) == "healthy for 10 of 20 s"
    assert health.trouble(window, 120.0) is None
    assert health.trouble(window, 122.5) == "no frame came for 2.5 s"
    for _ in range(5):
        health.hear(line(1, Reason.ENGINE_LATE), 122.6)
    assert health.trouble(window, 122.6) == "engine_late in 5 of 206 frames"


def test_few_frames_are_not_healthy() -> None:
    health = Health(0.0)
    for second in range(21):
        health.hear(line(second), float(second))
        health.hear(line(None), float(second))
    assert health.trouble(Window(), 20.5) == "21 frames came in 20 s"
