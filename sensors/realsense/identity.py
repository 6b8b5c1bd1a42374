"""What a device says of itself."""

from __future__ import annotations

from typing import Any, Literal

from edgefas.sensors.realsense.sdk import load
from edgefas.sensors.source import CameraIdentity


def read_info(device: Any, key: Any) -> str:
    """One fact about a device; "" where it does not say."""
    return str(device.get_info(key)) if device.supports(key) else ""


def read_identity(device: Any, driver: Literal["librealsense", "file"]) -> CameraIdentity:
    """Which camera a device, or the recording of one, is."""
    info = load().camera_info
    return CameraIdentity(
        serial=read_info(device, info.serial_number),
        product_line=read_info(device, info.product_line),
        name=read_info(device, info.name),
        firmware=read_info(device, info.firmware_version),
        driver=driver,
    )
