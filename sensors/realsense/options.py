"""Set a camera up as its profile says: each setting asked for, checked, tried again, and read back."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import Any, Literal

from edgefas.sensors.realsense.profile import CameraProfile, Emitter
from edgefas.sensors.realsense.sdk import load
from edgefas.sensors.source import CameraError

log = logging.getLogger(__name__)

_TRIES = 3
_PAUSE_S = 0.05
_POWER_LINE = {"disabled": 0.0, 50: 1.0, 60: 2.0, "auto": 3.0}


@dataclass(frozen=True)
class Setting:
    """One option of librealsense."""

    option: str
    """Name in `rs.option`."""
    value: float
    sensor: Literal["stereo", "color", "all"]
    essential: bool = False
    """Without it there is no infrared cue: an error. Otherwise it is a wish, and a refusal is counted."""
    if_supported: bool = False
    """A camera that lacks the option already is as wanted."""


def settings_of(profile: CameraProfile, emitter: Emitter, presets: Any) -> tuple[Setting, ...]:
    """What to set, in order: a preset overwrites laser power and exposure, so it comes first.

    Args:
        presets: librealsense's enum of visual presets.
    """
    alternate = float(emitter == "alternate")
    return (
        Setting("visual_preset", float(int(getattr(presets, profile.visual_preset))), "stereo"),
        Setting("emitter_enabled", 1.0, "stereo", essential=True),
        Setting("emitter_on_off", alternate, "stereo", essential=True, if_supported=not alternate),
        Setting("laser_power", float(profile.laser_power_mw), "stereo"),
        Setting("enable_auto_exposure", 1.0, "stereo"),
        Setting("enable_auto_exposure", 1.0, "color"),
        Setting("auto_exposure_priority", float(profile.auto_exposure_priority), "color"),
        Setting("power_line_frequency", _POWER_LINE[profile.power_line_hz], "color"),
        # The camera's own clock: mapped to the host's, it would leap with the wall clock.
        Setting("global_time_enabled", 0.0, "all", if_supported=True),
    )


def set_up(device: Any, profile: CameraProfile, emitter: Emitter) -> int:
    """Set a device up; gives the number of wishes it refused.

    Raises:
        CameraError: it lacks or refuses an essential option.
    """
    rs = load()
    refusals = []
    for setting in settings_of(profile, emitter, rs.rs400_visual_preset):
        for sensor in _sensors(device, setting.sensor):
            refusal = set_option(sensor, getattr(rs.option, setting.option, None), setting)
            if refusal is not None and setting.essential:
                raise CameraError(f"{setting.option} must be {setting.value:g}: {refusal}")
            if refusal is not None:
                refusals.append(f"{setting.option} {setting.value:g}: {refusal}")
    refusal = _shift_disparity(device, profile.disparity_shift)
    if refusal is not None:
        refusals.append(f"disparity_shift {profile.disparity_shift}: {refusal}")
    if refusals:
        log.warning("settings of profile %s not taken: %s", profile.name, "; ".join(refusals))
    return len(refusals)


def set_option(sensor: Any, option: Any, setting: Setting) -> str | None:
    """Set one option; None when the camera holds the value afterwards, else why not."""
    if option is None or not sensor.supports(option):
        return None if setting.if_supported else "this camera does not have it"
    refusal = "not tried"
    for attempt in range(_TRIES):
        if attempt:
            time.sleep(_PAUSE_S)
        try:
            refusal_or_done = _try(sensor, option, setting.value)
        except RuntimeError as error:  # control transfers fail now and then while streaming
            refusal = f"{error}, {_TRIES} times"
            continue
        return refusal_or_done
    return refusal


def _try(sensor: Any, option: Any, value: float) -> str | None:
    if sensor.get_option(option) == value:
        return None
    if sensor.is_option_read_only(option):
        return f"fixed at {sensor.get_option(option):g}"
    allowed = sensor.get_option_range(option)
    if not allowed.min <= value <= allowed.max:
        return f"allowed: {allowed.min:g} to {allowed.max:g}"
    steps = (value - allowed.min) / allowed.step if allowed.step else 0.0
    if abs(steps - round(steps)) > 1e-3:
        return f"allowed: {allowed.min:g} to {allowed.max:g} in steps of {allowed.step:g}"
    sensor.set_option(option, value)
    held = sensor.get_option(option)
    return None if abs(held - value) <= 1e-3 else f"the camera took it and holds {held:g}"


def _sensors(device: Any, which: str) -> list[Any]:
    sensors = list(device.query_sensors())
    if which == "all":
        return sensors
    rs = load()
    kind = rs.stream.color if which == "color" else rs.stream.depth
    # By what it streams: the D405 and D455 differ in how they name their modules.
    return [sensor for sensor in sensors if any(p.stream_type() == kind for p in sensor.get_stream_profiles())]


def _shift_disparity(device: Any, wanted: int) -> str | None:
    """Only the depth table of the D400's advanced mode has it."""
    try:
        advanced = load().rs400_advanced_mode(device)
        if not advanced.is_enabled():
            return None if wanted == 0 else "the camera's advanced mode is off; switch it on in realsense-viewer"
        table = advanced.get_depth_table()
        if table.disparityShift == wanted:
            return None
        table.disparityShift = wanted
        advanced.set_depth_table(table)
        held = advanced.get_depth_table().disparityShift
    except RuntimeError as error:
        return None if wanted == 0 else str(error)
    return None if held == wanted else f"the camera took it and holds {held}"
