"""A sysfs tree as the kernel lays it out, for devices that this machine does not have.

Written by hand after the kernel's documentation and the trees that v4l2-loopback, vivid and uvcvideo make.
"""

from __future__ import annotations

from pathlib import Path

UVC = "devices/pci0000:00/0000:00:14.0/usb1/1-2/1-2:1.0"
WEBCAM = {"idVendor": "046d", "idProduct": "082d", "product": "HD Pro Webcam C920", "serial": "A1B2C3D4"}


def add_node(
    sysfs: Path, number: int, parent: str, *, driver: str | None, name: str, usb: dict[str, str] | None = None
) -> None:
    """`parent` is the device that owns the node, relative to sysfs; `driver` None leaves its driver link out."""
    owner = sysfs / parent
    node = owner / "video4linux" / f"video{number}"
    node.mkdir(parents=True)
    (node / "name").write_text(f"{name}\n")
    if driver is not None:
        home = sysfs / "bus" / "any" / "drivers" / driver
        home.mkdir(parents=True, exist_ok=True)
        (owner / "driver").symlink_to(home)
        (node / "device").symlink_to(owner)
    for key, value in (usb or {}).items():
        (owner.parent / key).write_text(f"{value}\n")
    shelf = sysfs / "class" / "video4linux"
    shelf.mkdir(parents=True, exist_ok=True)
    (shelf / f"video{number}").symlink_to(node)


def add_loopback(sysfs: Path, number: int, name: str = "Dummy video device (0x0000)") -> None:
    """v4l2loopback: no parent device, so neither a device nor a driver link; its name is the user's choice."""
    node = sysfs / "devices" / "virtual" / "video4linux" / f"video{number}"
    node.mkdir(parents=True)
    (node / "name").write_text(f"{name}\n")
    shelf = sysfs / "class" / "video4linux"
    shelf.mkdir(parents=True, exist_ok=True)
    (shelf / f"video{number}").symlink_to(node)
