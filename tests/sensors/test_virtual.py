"""Virtual video devices, told by a made-up sysfs with the layouts that the kernel gives."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgefas.sensors.virtual import why_virtual


def device(root: Path, name: str, place: str, driver: str | None, *, bus: bool = True) -> Path:
    """/sys/class/video4linux/NAME -> devices/PLACE/video4linux/NAME, with its links; gives the class folder."""
    parent = root / "devices" / place
    entry = parent / "video4linux" / name
    entry.mkdir(parents=True)
    if bus:
        (entry / "device").symlink_to(parent)
    if driver is not None:
        (root / "bus" / "drivers" / driver).mkdir(parents=True, exist_ok=True)
        (parent / "driver").symlink_to(root / "bus" / "drivers" / driver)
    listed = root / "class" / "video4linux"
    listed.mkdir(parents=True, exist_ok=True)
    (listed / name).symlink_to(entry)
    return listed


USB = "pci0000:00/0000:00:14.0/usb2/2-1/2-1:1.0"


@pytest.mark.parametrize(
    ("place", "driver"),
    [
        (USB, "uvcvideo"),
        ("platform/bus@0/3610000.usb/usb2/2-1/2-1:1.3", "uvcvideo"),  # Jetson
        ("platform/tegra-capture-vi", "tegra-camrtc-capture-vi"),  # a camera on GMSL or CSI
    ],
)
def test_cameras_on_a_bus_are_cameras(tmp_path: Path, place: str, driver: str) -> None:
    assert why_virtual(Path("/dev/video4"), device(tmp_path, "video4", place, driver)) is None


@pytest.mark.parametrize(
    ("place", "driver", "why"),
    [
        ("platform/vivid.0", "vivid", "driven by vivid: a virtual camera"),
        ("platform/vimc.0", "vimc", "driven by vimc"),
        ("platform/dummy_hcd.0/usb3/3-1/3-1:1.0", "uvcvideo", "driven by dummy_hcd.0: a virtual camera"),
        ("platform/vhci_hcd.0/usb3/3-1/3-1:1.0", "uvcvideo", "driven by vhci_hcd.0"),
        ("platform/v4l2loopback", "v4l2loopback", "driven by v4l2loopback"),
        (USB, None, "no driver is bound"),
    ],
)
def test_made_up_cameras_are_refused(tmp_path: Path, place: str, driver: str | None, why: str) -> None:
    found = why_virtual(Path("/dev/video4"), device(tmp_path, "video4", place, driver))
    assert found is not None
    assert why in found


def test_a_device_on_no_bus_is_refused(tmp_path: Path) -> None:
    listed = device(tmp_path, "video9", "virtual", None, bus=False)  # where v4l2loopback lists its own
    assert "hangs on no bus" in (why_virtual(Path("/dev/video9"), listed) or "")


def test_what_is_no_video_device_is_refused(tmp_path: Path) -> None:
    listed = device(tmp_path, "video0", USB, "uvcvideo")
    assert "is not a video device" in (why_virtual(Path("/dev/null"), listed) or "")
    assert "the kernel lists no video1" in (why_virtual(Path("/dev/video1"), listed) or "")


def test_links_and_folders_of_sysfs_are_followed(tmp_path: Path) -> None:
    listed = device(tmp_path, "video0", USB, "uvcvideo")
    link = tmp_path / "usb-Intel_RealSense-video-index0"
    link.symlink_to("/dev/video0")
    assert why_virtual(link, listed) is None
    assert why_virtual(tmp_path / "devices" / USB / "video4linux" / "video0", listed) is None
