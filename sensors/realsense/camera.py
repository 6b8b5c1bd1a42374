"""Find and start a RealSense camera."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgefas.sensors.realsense.failures import Cause, StartFailed, start_failed
from edgefas.sensors.realsense.identity import read_info
from edgefas.sensors.realsense.options import set_up
from edgefas.sensors.realsense.profile import CameraProfile, choose_profile, load_profile
from edgefas.sensors.realsense.profile import Emitter as Emitter
from edgefas.sensors.realsense.sdk import load, shared_context
from edgefas.sensors.realsense.source import Patience, RealSenseSource, Running
from edgefas.sensors.source import CameraError

log = logging.getLogger(__name__)

FPS = {"on": 30, "alternate": 60}
"""Of the simulated camera; a real one's are in its profile."""

_USB2_SIZE, _USB2_FPS = (640, 480), 15
_GONE_S, _BACK_S, _LOOK_S = 2.0, 10.0, 0.2


@dataclass(frozen=True)
class Uncompressed:
    """Where to record without compression: less CPU time, two to five times the space."""

    path: Path


RecordTo = Path | Uncompressed


@dataclass(frozen=True)
class _Wanted:
    """How to start one camera."""

    serial: str
    profile: CameraProfile
    emitter: Emitter
    size_px: tuple[int, int] | None
    """Of depth and infrared; None leaves it to the profile, and on USB 2 to what that can carry."""
    color_size_px: tuple[int, int] | None
    record_to: RecordTo | None


def open_camera(
    serial: str | None = None,
    *,
    emitter: Emitter = "on",
    profile: CameraProfile | str | None = None,
    size_px: tuple[int, int] | None = None,
    color_size_px: tuple[int, int] | None = None,
    record_to: RecordTo | None = None,
    context: Any = None,
    patience: Patience | None = None,
) -> RealSenseSource:
    """A connected camera.

    Args:
        serial: which one; None means the only one.
        emitter: see `Emitter`; a model that cannot alternate is left on, with a warning.
        profile: how to set it up, or the name or file of a profile; None chooses by the camera's model.
        size_px: width and height of depth and infrared; None means the profile's.
        color_size_px: width and height of colour; None means the profile's.
        record_to: also write everything to this .db3 file, with librealsense's recorder.
        context: an `rs.context`; None means the cameras of this machine.
        patience: None means that a camera is waited for without end, or no restart while recording: a restart would
            overwrite the file.

    Raises:
        CameraError: no camera, several and no serial, a model that cannot serve, or it cannot give these streams.
        UsageError: the profile is none.
    """
    context = shared_context() if context is None else context
    if isinstance(profile, str):
        profile = load_profile(profile)
    serial = find_serial(context, serial)
    chosen = _choose(context, serial, profile)
    if emitter == "alternate" and chosen.alternate_fps is None:
        log.warning(
            "camera %s: a %s cannot alternate its projector, which stays on: there is no unlit infrared, and a network "
            "that needs it decides nothing (modality_missing)",
            serial,
            chosen.name,
        )
        emitter = "on"
    wanted = _Wanted(serial, chosen, emitter, size_px, color_size_px, record_to)
    if patience is None:
        patience = Patience(give_up_s=math.inf) if record_to is None else Patience.without_restart(5.0)

    def reset(wait: Callable[[float], bool]) -> None:
        _hardware_reset(context, serial, wait)

    return RealSenseSource(
        f"camera {serial}", lambda: _start(context, wanted), live=True, patience=patience, reset=reset
    )


def find_serial(context: Any, wanted: str | None) -> str:
    """The serial number to open.

    Raises:
        CameraError: none or several are connected, or not the wanted one; says what to type.
    """
    serials = list_serials(context)
    if not serials:
        raise CameraError(
            "no RealSense camera is connected. Plug one into a USB 3 port, or use --camera simulated, "
            "or a recording: --camera FILE.db3"
        )
    if wanted is None and len(serials) > 1:
        raise CameraError(
            f"{len(serials)} RealSense cameras are connected ({', '.join(serials)}); "
            f"choose one, for example: --camera realsense:{serials[0]}"
        )
    if wanted is not None and wanted not in serials:
        raise CameraError(
            f"no RealSense camera has the serial {wanted!r}; connected: {', '.join(serials)}; "
            f"try: --camera realsense:{serials[0]}"
        )
    return wanted or serials[0]


def list_serials(context: Any) -> list[str]:
    """Serial numbers of the D400 cameras of an `rs.context`, sorted."""
    return sorted(serial for serial, _ in _devices(context))


def _devices(context: Any) -> list[tuple[str, Any]]:
    """The D400 cameras by serial number; one that cannot be looked at, as it is just leaving, is not there.

    Raises:
        StartFailed: there are cameras, and none can be looked at.
    """
    info = load().camera_info
    found, failed = [], None
    try:
        listed = context.query_devices()
        for index in range(len(listed)):
            try:
                device = listed[index]
                # By product line: the name still says "Intel" on some cameras and no longer on others.
                if read_info(device, info.product_line) == "D400":
                    found.append((read_info(device, info.serial_number), device))
            except RuntimeError as error:
                failed = start_failed(error)
    except RuntimeError as error:
        failed = start_failed(error)
    if failed is not None and not found:
        raise failed
    return found


def _find_device(context: Any, serial: str) -> Any | None:
    return next((device for found, device in _devices(context) if found == serial), None)


def _choose(context: Any, serial: str, given: CameraProfile | None) -> CameraProfile:
    """The given profile, or the model's; a model that cannot serve is refused either way."""
    info, device = load().camera_info, _find_device(context, serial)
    if device is None:
        raise StartFailed(Cause.GONE, f"camera {serial} is not connected any more")
    of_model = choose_profile(read_info(device, info.name), read_info(device, info.product_id))
    return of_model if given is None else given


def _start(context: Any, wanted: _Wanted) -> Running:
    device = _find_device(context, wanted.serial)
    if device is None:  # pipeline.start would wait 15 s for it
        raise StartFailed(Cause.GONE, "it is not connected any more")
    rs, profile = load(), wanted.profile
    size, color_size = wanted.size_px or profile.depth.pair, wanted.color_size_px or profile.color.pair
    fps = profile.rate(wanted.emitter)
    usb = read_info(device, rs.camera_info.usb_type_descriptor)
    if usb.startswith("2"):
        size, color_size, fps = _slow_down(wanted, usb)
    streams = (
        ("depth", rs.stream.depth, -1, *size, rs.format.z16, fps),
        ("infrared", rs.stream.infrared, 1, *size, rs.format.y8, fps),
        ("colour", rs.stream.color, -1, *color_size, rs.format.rgb8, fps),
    )
    _check_offer(device, streams)
    config = rs.config()
    config.enable_device(wanted.serial)
    for _, *stream in streams:
        config.enable_stream(*stream)
    if isinstance(wanted.record_to, Path):
        config.enable_record_to_file(str(wanted.record_to))
    pipeline = rs.pipeline(context)
    try:
        started = pipeline.start(config)
    except RuntimeError as error:
        raise start_failed(error) from None
    try:
        refused = set_up(started.get_device(), profile, wanted.emitter)
    except (CameraError, RuntimeError):
        pipeline.stop()
        raise
    recorder = None
    if isinstance(wanted.record_to, Uncompressed):  # what a config records is always compressed
        recorder = rs.recorder(str(wanted.record_to.path), started.get_device(), False)
    return Running(pipeline, started, recorder, options_refused=refused, exposure_region=profile.exposure_region)


def _slow_down(wanted: _Wanted, usb: str) -> tuple[tuple[int, int], tuple[int, int], int]:
    if wanted.emitter == "alternate":
        raise CameraError(
            f"it is on USB {usb}, too slow to alternate the emitter: use a USB 3 cable and port (a hub or a long cable "
            "may be the reason), or emitter=on"
        )
    size, color_size = wanted.size_px or _USB2_SIZE, wanted.color_size_px or _USB2_SIZE
    log.warning(
        "camera %s is on USB %s: down to %dx%d at %d fps; use a USB 3 cable and port for more",
        wanted.serial,
        usb,
        *size,
        _USB2_FPS,
    )
    return size, color_size, _USB2_FPS


def _check_offer(device: Any, streams: tuple[tuple[Any, ...], ...]) -> None:
    """Before librealsense says no more than that it cannot resolve the request.

    Raises:
        StartFailed: with what the camera offers instead.
    """
    offered = [profile for sensor in device.query_sensors() for profile in sensor.get_stream_profiles()]
    for name, kind, index, width, height, form, fps in streams:
        sizes: dict[tuple[int, int], set[int]] = {}
        for profile in offered:
            fits = profile.stream_type() == kind and profile.format() == form
            if fits and index in (-1, profile.stream_index()):
                video = profile.as_video_stream_profile()
                sizes.setdefault((video.width(), video.height()), set()).add(profile.fps())
        if fps in sizes.get((width, height), ()):
            continue
        offer = "; ".join(
            f"{w}x{h} at {', '.join(str(rate) for rate in sorted(rates))}" for (w, h), rates in sorted(sizes.items())
        )
        raise StartFailed(
            Cause.STREAMS,
            f"cannot stream {name} {width}x{height} at {fps} fps; it offers: {offer or f'no {name}'}. On USB 2 the "
            "list is short: check that cable and port are USB 3; or give a profile with these sizes: --profile FILE",
        )


def _hardware_reset(context: Any, serial: str, wait: Callable[[float], bool]) -> None:
    """As if unplugged and plugged in again.

    Whether the camera left and came back is asked for, not awaited: the notice of a change does not always come
    (librealsense 9287, 9557).

    Args:
        wait: sleeps so many seconds; True means that nobody waits for the camera any more.

    Raises:
        StartFailed: it cannot be reset, or did not come back.
    """
    device = _find_device(context, serial)
    if device is None:
        raise StartFailed(Cause.GONE, "it is not connected, so it cannot be reset")
    try:
        device.hardware_reset()
    except RuntimeError as error:
        raise start_failed(error) from None
    del device
    for there, seconds in ((False, _GONE_S), (True, _BACK_S)):
        for _ in range(round(seconds / _LOOK_S)):
            if (serial in list_serials(context)) == there or wait(_LOOK_S):
                break
        else:
            if there:
                raise StartFailed(Cause.GONE, f"it did not come back within {_BACK_S:g} s of a reset")
