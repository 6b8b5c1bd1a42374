"""The infrared projector: switching it."""

from __future__ import annotations

import logging
from typing import Any

from edgefas.sensors.realsense.sdk import load

log = logging.getLogger(__name__)


def switch_emitter(device: Any, on: bool) -> bool:
    """Switch the projector of a streaming camera; True when it took it.

    By `emitter_enabled`, else by `laser_power` (0, or back to its default). An alternating camera that is switched
    off gives unlit pictures only, and alternates again when it is switched on.
    """
    option = load().option
    try:
        if device.as_playback():  # its options are memories
            return False
        for sensor in device.query_sensors():
            for name, value in ((option.emitter_enabled, float(on)), (option.laser_power, None)):
                if not sensor.supports(name) or sensor.is_option_read_only(name):
                    continue
                if value is None:
                    value = sensor.get_option_range(name).default if on else 0.0
                sensor.set_option(name, value)
                return True
    except RuntimeError as error:  # unplugged, restarted, or busy: D400 options fail at random (librealsense 7586)
        log.warning("the emitter could not be switched %s: %s", "on" if on else "off", error)
    return False
