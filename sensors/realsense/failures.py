"""What librealsense's words mean when a camera does not start, and the way out of each."""

from __future__ import annotations

from enum import Enum

from edgefas.sensors.source import CameraError


class Cause(Enum):
    """Decides what is tried next."""

    BUSY = "busy"
    """Another program holds the camera. It may let go; a reset would take the camera away from it."""
    FORBIDDEN = "forbidden"
    STREAMS = "streams"
    GONE = "gone"
    WEDGED = "wedged"
    """Whatever else: a reset of the camera may help."""


class StartFailed(CameraError):
    """A camera did not start."""

    def __init__(self, cause: Cause, text: str) -> None:
        super().__init__(text)
        self.cause = cause


# Texts of librealsense's V4L2 and libusb backends, in lower case; the first that fits counts.
_SIGNS = (
    (Cause.FORBIDDEN, ("permission denied", "errno=13", "access denied", "rs2_usb_status_access", "no permission")),
    (Cause.BUSY, ("busy", "errno=16", "failed to set power state", "failed to claim usb interface", "is in use")),
    (Cause.STREAMS, ("resolve requests", "no device connected that can")),
    (Cause.GONE, ("no device connected", "disconnected", "no such device", "errno=19", "not connected", "no_device")),
)

_WAY_OUT = {
    Cause.BUSY: "another program uses the camera, or one that ended badly still does: close realsense-viewer and other "
    "instances (fuser -v /dev/video* names them), then try again",
    Cause.FORBIDDEN: "you may not open the camera: install RealSense's udev rules "
    "(sudo cp 99-realsense-libusb.rules /etc/udev/rules.d/, from librealsense's config folder), run "
    "sudo udevadm control --reload-rules && sudo udevadm trigger, then plug the camera in again",
    Cause.STREAMS: "close other programs that use the camera, and check that cable and port are USB 3",
    Cause.GONE: "check cable and power",
    Cause.WEDGED: "unplug the camera, plug it in again, and try another cable or a powered hub",
}


def cause_of(text: str) -> Cause:
    """The cause behind an error text of librealsense."""
    lower = text.lower()
    return next((cause for cause, signs in _SIGNS if any(sign in lower for sign in signs)), Cause.WEDGED)


def start_failed(error: Exception) -> StartFailed:
    """The error to show for one of librealsense's."""
    cause = cause_of(str(error))
    return StartFailed(cause, f"{error}; {_WAY_OUT[cause]}")
