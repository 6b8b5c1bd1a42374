"""virtual_reason and read_facts on sysfs trees of real and virtual cameras."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgefas.sensors.v4l2 import node_name, read_facts, virtual_reason
from tests.sensors.sysfs import UVC, WEBCAM, add_loopback, add_node


def test_a_usb_camera_is_physical(tmp_path: Path) -> None:
    add_node(tmp_path, 0, UVC, driver="uvcvideo", name="HD Pro Webcam C920", usb=WEBCAM)
    for device in (0, "0", "video0", "/dev/video0", Path("/dev/video0")):
        assert virtual_reason(device, tmp_path) is None
    facts = read_facts(0, tmp_path)
    assert (facts.name, facts.driver, facts.port) == ("HD Pro Webcam C920", "uvcvideo", "1-2")
    assert facts.identity == "046d:082d:A1B2C3D4"


def test_without_a_serial_number_the_port_identifies(tmp_path: Path) -> None:
    usb = {key: value for key, value in WEBCAM.items() if key != "serial"}
    add_node(tmp_path, 0, UVC, driver="uvcvideo", name="cam", usb=usb)
    assert read_facts(0, tmp_path).identity == "046d:082d:1-2"


def test_a_camera_on_the_board_is_physical(tmp_path: Path) -> None:
    add_node(tmp_path, 0, "devices/platform/tegra-capture-vi", driver="tegra-camrtc-capture-vi", name="vi-output")
    assert virtual_reason(0, tmp_path) is None
    assert read_facts(0, tmp_path).identity == "tegra-camrtc-capture-vi:video0"


def test_links_and_folders_of_sysfs_are_followed(tmp_path: Path) -> None:
    add_node(tmp_path, 0, UVC, driver="uvcvideo", name="cam", usb=WEBCAM)
    link = tmp_path / "usb-Intel_RealSense-video-index0"
    link.symlink_to("/dev/video0")
    assert virtual_reason(link, tmp_path) is None
    assert virtual_reason((tmp_path / "class" / "video4linux" / "video0").resolve(), tmp_path) is None
    assert "does not exist" in str(virtual_reason(Path("/sys/class/video4linux/video8"), tmp_path))


def test_loopback_is_virtual_whatever_it_calls_itself(tmp_path: Path) -> None:
    add_loopback(tmp_path, 7, "Intel RealSense D435")
    assert "virtual device 'Intel RealSense D435' (v4l2loopback" in str(virtual_reason(7, tmp_path))


@pytest.mark.parametrize(
    ("parent", "driver", "wanted"),
    [
        ("devices/platform/vivid.0", "vivid", "driver vivid"),
        ("devices/platform/vivid.0", None, "vivid"),
        ("devices/platform/vimc.0", "vimc", "driver vimc"),
        ("devices/platform/vhci_hcd.0/usb3/3-1/3-1:1.0", "uvcvideo", "USB over a network"),
        ("devices/platform/dummy_hcd.0/usb4/4-1/4-1:1.0", "uvcvideo", "emulated USB port"),
    ],
)
def test_other_virtual_devices(tmp_path: Path, parent: str, driver: str | None, wanted: str) -> None:
    add_node(tmp_path, 0, parent, driver=driver, name="x")
    assert wanted in str(virtual_reason(0, tmp_path))


def test_doubt_is_a_reason(tmp_path: Path) -> None:
    assert "does not exist" in str(virtual_reason(3, tmp_path))
    assert "not called videoN" in str(virtual_reason("/dev/null", tmp_path))
    add_node(tmp_path, 0, "devices/somewhere/else", driver=None, name="x")
    assert "driver does not exist" in str(virtual_reason(0, tmp_path))


def test_names_of_a_device(tmp_path: Path) -> None:
    assert node_name("../video0") is None
    assert node_name("video0/../../x") is None
    assert node_name(4) == "video4"
