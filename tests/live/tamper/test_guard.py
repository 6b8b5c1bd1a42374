"""What the guard pins, refuses until a restart, and says of each source; in made-up time."""

from __future__ import annotations

import logging
import random
from dataclasses import replace
from pathlib import Path

import pytest

from edgefas.contracts import CameraPin, Policy, Reason, TamperRule
from edgefas.errors import UsageError
from edgefas.live.tamper import camera as cameras
from edgefas.live.tamper.guard import Guard
from edgefas.live.tamper.strengthen import strengthen
from edgefas.sensors.source import CameraIdentity
from tests.live.tamper.projected import Projected

CHANGED, UNTRUSTED = Reason.CAMERA_CHANGED, Reason.CAMERA_UNTRUSTED
REAL = CameraIdentity("0123", "D400", "Soft", "5.16.0.1", "librealsense")


def guarded(camera: Projected, rule: TamperRule = TamperRule()) -> Guard:
    return Guard(camera, rule, random.Random(0), camera.now, lambda: 0)


def look(guard: Guard, camera: Projected, seconds: float = 0.2) -> set[Reason | None]:
    alarms = [guard.look(frame) for frame in camera.frames(seconds)]
    return {None if alarm is None else alarm.reason for alarm in alarms}


def test_another_serial_is_refused_until_a_restart() -> None:
    camera = Projected()
    guard = guarded(camera)
    assert look(guard, camera) == {None}
    camera.serial = "9999"
    assert look(guard, camera) == {CHANGED}
    camera.serial = "0123"
    assert look(guard, camera) == {CHANGED}
    assert look(guarded(camera), camera) == {None}


@pytest.mark.parametrize("part", [{"firmware": "5.17.0.9"}, {"product_line": "D500"}, {"serial": "9999"}])
def test_another_camera_after_a_reconnect_is_refused(part: dict[str, str]) -> None:
    camera = Projected(identity=REAL)
    guard = guarded(camera)
    assert look(guard, camera) == {None}
    camera.restarts += 1
    assert look(guard, camera) == {None}  # the same one came back
    camera.restarts += 1
    camera._identity = replace(REAL, **part)
    assert look(guard, camera) == {CHANGED}


@pytest.mark.parametrize(
    ("pinned", "reason"),
    [
        (CameraPin(serial="0123"), None),
        (CameraPin(serial="0123", product_line="D400", firmware="5.16.0.1"), None),
        (CameraPin(serial="0124"), CHANGED),
        (CameraPin(serial="0123", firmware="5.15"), CHANGED),
        (CameraPin(serial="0123", product_line="L500"), CHANGED),
    ],
)
def test_the_policy_may_pin(pinned: CameraPin, reason: Reason | None) -> None:
    camera = Projected()
    assert look(guarded(camera, TamperRule(camera=pinned)), camera) == {reason}


def test_what_a_camera_does_not_say_is_no_match() -> None:
    camera = Projected(identity=CameraIdentity(driver="librealsense"))
    assert look(guarded(camera, TamperRule(camera=CameraPin(serial="0123", firmware="5.16.0.1"))), camera) == {CHANGED}


def test_virtual_devices_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cameras, "virtual_reason", lambda path: "virtual" if path == Path("/dev/video7") else None)
    camera = Projected()
    camera.devices = (Path("/dev/video0"), Path("/dev/video7"))
    assert look(guarded(camera), camera) == {UNTRUSTED}
    camera.devices = (Path("/dev/video0"),)
    guard = guarded(camera)
    assert look(guard, camera) == {None}
    camera.devices, camera.restarts = (Path("/dev/video7"),), 1  # put in its place while it was away
    assert look(guard, camera) == {UNTRUSTED}


@pytest.mark.parametrize(
    ("driver", "says"),
    [
        ("librealsense", "camera"),
        ("v4l2", "camera"),
        ("file", "recording"),
        ("folder", "folder"),
        ("simulated", "simulated"),
    ],
)
def test_each_line_says_what_frames_come_from(driver: str, says: str) -> None:
    assert guarded(Projected(identity=CameraIdentity("0123", driver=driver))).origin == says  # type: ignore[arg-type]


def test_an_event_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    camera = Projected()
    guard = guarded(camera)
    with caplog.at_level(logging.WARNING):
        look(guard, camera, 1)
        camera.numbered = 0
        assert Reason.CLOCK_JUMPED in look(guard, camera, 3)
        assert [record.getMessage() for record in caplog.records] == [
            "frame 1 of camera 0123: clock_jumped: no decision"
        ]
        caplog.clear()
        camera.numbered = 0
        look(guard, camera, 3)
        assert len(caplog.records) == 1


def test_the_command_line_adds_and_never_takes_away() -> None:
    policy = Policy(tamper=TamperRule(challenge="required", camera=CameraPin(serial="1", firmware="5")))
    assert strengthen(policy, None, everything=False) == policy
    both = strengthen(policy, "1", everything=True).tamper
    assert (both.challenge, both.repeats, both.camera) == ("required", "on", policy.tamper.camera)
    assert strengthen(Policy(), "7", everything=True).tamper == TamperRule(
        camera=CameraPin(serial="7"), repeats="on", challenge="auto"
    )
    with pytest.raises(UsageError, match="pinned to 1 already"):
        strengthen(policy, "2", everything=False)
    for wrong in ("", "\n", "x" * 65):
        with pytest.raises(UsageError, match="pin-camera"):
            strengthen(Policy(), wrong, everything=False)
