"""Video devices that no hardware stands behind: v4l2loopback and its kin, told by what sysfs says of driver and bus."""

from __future__ import annotations

import re
from pathlib import Path

VIRTUAL = ("v4l2loopback", "vivid", "vimc", "vicodec", "vim2m", "visl", "akvcam", "dummy_hcd", "vhci_hcd", "usbip")
"""Drivers of made-up cameras, and of USB buses made of software or network (gadget loopback, USB/IP)."""

_SYSFS = Path("/sys/class/video4linux")


def why_virtual(device: Path, sysfs: Path = _SYSFS) -> str | None:
    """Why a video device is no camera; None when hardware stands behind it.

    The name a driver gives its device is not asked: v4l2loopback lets the user choose it. A camera that only claims
    to be one on a real USB bus (a small computer in gadget mode) cannot be told here.

    Args:
        device: "/dev/video0", a link to it as in /dev/v4l/by-id, or its folder in sysfs.
        sysfs: where the kernel lists video devices.
    """
    name = device.resolve().name
    if re.fullmatch(r"video\d+", name) is None:
        return f"{device} is not a video device: /dev/videoN is"
    entry = sysfs / name
    if not entry.exists():
        return f"{device}: the kernel lists no {name} (see: ls {sysfs})"
    place, parent = entry.resolve(), entry / "device"
    if not parent.exists():
        return f"{device} hangs on no bus ({place}): a virtual camera, such as v4l2loopback makes"
    driver = (parent / "driver").resolve().name if (parent / "driver").exists() else None
    for part in (driver, *place.parts, *parent.resolve().parts):
        if part is not None and part.partition(".")[0].lower() in VIRTUAL:
            return f"{device} is driven by {part}: a virtual camera"
    if driver is None:
        return f"{device}: no driver is bound to {parent.resolve()}"
    return None
