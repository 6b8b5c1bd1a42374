"""What the command line may add to a policy's tamper checks; it can take none away."""

from __future__ import annotations

from edgefas.contracts import CameraPin, Policy, TamperRule
from edgefas.errors import UsageError


def strengthen(policy: Policy, serial: str | None, *, everything: bool) -> Policy:
    """The policy with a pinned camera and, if asked for, every check that the source allows.

    Args:
        serial: of the only camera that may decide; None leaves it to the policy.
        everything: look for repeats in any source, and challenge the projector where there is one.

    Raises:
        UsageError: a serial that cannot be one, or another than the policy's.
    """
    changes: dict[str, object] = {}
    pinned = policy.tamper.camera
    if serial is not None:
        if not (serial.isprintable() and 0 < len(serial) <= 64):
            raise UsageError(f"--pin-camera {serial!r}: give the serial number that `edgefas doctor` shows")
        if pinned is not None and pinned.serial != serial:
            raise UsageError(f"--pin-camera {serial}: the policy is pinned to {pinned.serial} already; leave it out")
        changes["camera"] = pinned or CameraPin(serial=serial)
    if everything:
        changes["repeats"] = "on"
        changes["challenge"] = "required" if policy.tamper.challenge == "required" else "auto"
    rule = TamperRule.from_dict(policy.tamper.model_dump() | changes)
    return policy.model_copy(update={"tamper": rule})
