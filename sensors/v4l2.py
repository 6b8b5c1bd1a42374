"""What sysfs knows of a V4L2 device: whether a physical camera is behind it, and which one.

sysfs is the kernel's word: a user who may write to a virtual camera cannot change it. Root can; so can whoever puts a
real USB grabber between a player and the port. docs/cameras.md says what this stops.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

SYSFS = Path("/sys")

_VIRTUAL_DRIVERS = {"vivid", "vimc", "vim2m", "vicodec", "visl", "v4l2loopback", "akvcam"}
"""Kernel drivers that make pictures up, or pass on what a program gives them."""
_VIRTUAL_BUSES = {
    "vhci_hcd": "USB over a network (usbip)",
    "dummy_hcd": "an emulated USB port (dummy_hcd)",
    "gadget": "an emulated USB port (gadget)",
}


@dataclass(frozen=True)
class DeviceFacts:
    """A physical device as its bus describes it; "" where the bus says nothing."""

    name: str
    driver: str
    vendor: str
    product: str
    serial: str
    port: str
    """Where it is plugged in, e.g. "1-2"."""

    @property
    def identity(self) -> str:
        """Which camera this is: vendor, product and serial number, or the port where it has no serial number."""
        who = ":".join(filter(None, (self.vendor, self.product))) or self.driver or "v4l2"
        return f"{who}:{self.serial or self.port}"


def virtual_reason(device: str | int | Path, sysfs: Path = SYSFS) -> str | None:
    """Why `device` is no physical camera, or None when it is one.

    What cannot be told is a reason, too: doubt is not trust.

    Args:
        device: "/dev/video0", "video0", 0, or its folder in sysfs; links such as those in /dev/v4l/by-id are followed.
        sysfs: where sysfs is mounted.
    """
    name = node_name(device)
    if name is None:
        return f"{device} is not called videoN, so its driver cannot be told"
    node = sysfs / "class" / "video4linux" / name
    if not node.exists():
        return f"{node} does not exist, so its driver cannot be told"
    parts = node.resolve().parts
    driver = _driver(node)
    if driver in _VIRTUAL_DRIVERS or any(part.split(".")[0] in _VIRTUAL_DRIVERS for part in parts):
        return f"driver {driver or 'vivid'}: a program makes its pictures"
    for part in parts:
        why = _VIRTUAL_BUSES.get(part.split(".")[0])
        if why is not None:
            return f"{why}: no camera is plugged into this machine"
    if "virtual" in parts:  # v4l2loopback has no parent device, hence no driver link
        return f"virtual device {_read(node / 'name') or name!r} (v4l2loopback or alike): a program makes its pictures"
    if not driver:
        return f"{node}/device/driver does not exist, so its driver cannot be told"
    return None


def read_facts(device: str | int | Path, sysfs: Path = SYSFS) -> DeviceFacts:
    """What the bus says of a device; empty texts where it says nothing."""
    name = node_name(device) or ""
    node = sysfs / "class" / "video4linux" / name
    if not name or not node.exists():
        return DeviceFacts(name, "", "", "", "", name)
    usb = next((folder for folder in node.resolve().parents if (folder / "idVendor").exists()), None)
    if usb is None:
        return DeviceFacts(_read(node / "name"), _driver(node), "", "", "", name)
    return DeviceFacts(
        name=_read(usb / "product") or _read(node / "name"),
        driver=_driver(node),
        vendor=_read(usb / "idVendor"),
        product=_read(usb / "idProduct"),
        serial=_read(usb / "serial"),
        port=usb.name,
    )


def node_name(device: str | int | Path) -> str | None:
    """ "video0" of any way to name that device, or None."""
    text = f"video{device}" if isinstance(device, int) else str(device)
    if text.isascii() and text.isdigit():
        text = f"video{text}"
    if text.startswith("/"):
        text = Path(text).resolve().name
    return text if re.fullmatch(r"video[0-9]{1,5}", text) else None


def _driver(node: Path) -> str:
    link = node / "device" / "driver"
    return link.resolve().name if link.exists() else ""


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""
