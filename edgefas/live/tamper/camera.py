"""Which camera speaks, and whether it is one at all."""

from __future__ import annotations

from typing import Literal

from edgefas.contracts import CameraPin
from edgefas.sensors.frame import Frame
from edgefas.sensors.source import CameraIdentity, CameraSource
from edgefas.sensors.v4l2 import virtual_reason

Origin = Literal["camera", "recording", "simulated", "folder"]

_ORIGINS: dict[str, Origin] = {
    "librealsense": "camera",
    "v4l2": "camera",
    "file": "recording",
    "folder": "folder",
    "simulated": "simulated",
}


def origin(identity: CameraIdentity) -> Origin:
    """What frames come from; a decision line says so, and only a camera's may open a door."""
    return _ORIGINS[identity.driver]


def pin(identity: CameraIdentity, frame: Frame) -> CameraPin:
    """The camera of the first frame."""
    return CameraPin(
        serial=identity.serial or frame.camera or "unknown",
        product_line=identity.product_line,
        firmware=identity.firmware,
    )


def is_other(pinned: CameraPin, identity: CameraIdentity, frame: Frame) -> bool:
    """Whether a frame is of another camera than the one pinned; what a camera does not say is no match."""
    return (
        (identity.serial or frame.camera) != pinned.serial
        or (frame.camera or identity.serial) != pinned.serial
        or (pinned.product_line not in ("", identity.product_line))
        or (pinned.firmware not in ("", identity.firmware))
    )


def why_untrusted(source: CameraSource) -> str | None:
    """Why one of the video devices behind a source is not a camera; None when there is no such doubt."""
    reasons = ((device, virtual_reason(device)) for device in source.video_devices())
    return next((f"{device} is no physical camera: {why}" for device, why in reasons if why is not None), None)
