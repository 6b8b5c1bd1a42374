"""Find and start a RealSense camera."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from edgefas.sensors.realsense.sdk import load
from edgefas.sensors.realsense.source import Patience, RealSenseSource, Running
from edgefas.sensors.source import CameraError

log = logging.getLogger(__name__)

Emitter = Literal["on", "alternate"]
"""`on`: every infrared frame is lit by the projector. `alternate`: 60 framesets/s, every second one lit."""

FPS = {"on": 30, "alternate": 60}


@dataclass(frozen=True)
class Uncompressed:
    """Where to record without compression: less CPU time, up to five times the space."""

    path: Path


RecordTo = Path | Uncompressed


def open_camera(
    serial: str | None = None,
    *,
    emitter: Emitter = "on",
    size_px: tuple[int, int] = (640, 480),
    color_size_px: tuple[int, int] = (640, 480),
    record_to: RecordTo | None = None,
    context: Any = None,
    patience: Patience | None = None,
) -> RealSenseSource:
    """A connected camera.

    Args:
        serial: which one; None means the only one.
        emitter: see `Emitter`.
        size_px: width and height of depth and infrared.
        color_size_px: width and height of colour.
        record_to: also write everything to this .db3 file, with librealsense's recorder.
        context: an `rs.context`; None means the cameras of this machine.
        patience: None means `Patience()`, or no restart while recording: a restart would overwrite the file.

    Raises:
        CameraError: no camera, several and no serial, or it cannot give these streams.
    """
    context = load().context() if context is None else context
    serial = find_serial(context, serial)
    if patience is None:
        patience = Patience() if record_to is None else Patience(stall_s=5.0, give_up_s=5.0)

    def start() -> Running:
        return _start(context, serial, emitter, size_px, color_size_px, record_to)

    return RealSenseSource(f"camera {serial}", start, live=True, patience=patience)


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
    info = load().camera_info
    # By product line: the name still says "Intel" on some cameras and no longer on others.
    return sorted(
        device.get_info(info.serial_number)
        for device in context.query_devices()
        if device.supports(info.product_line) and device.get_info(info.product_line) == "D400"
    )


def _start(
    context: Any,
    serial: str,
    emitter: Emitter,
    size_px: tuple[int, int],
    color_size_px: tuple[int, int],
    record_to: RecordTo | None,
) -> Running:
    if serial not in list_serials(context):  # pipeline.start would wait 15 s for it
        raise CameraError("it is not connected any more")
    rs = load()
    fps = FPS[emitter]
    config = rs.config()
    config.enable_device(serial)
    config.enable_stream(rs.stream.depth, *size_px, rs.format.z16, fps)
    config.enable_stream(rs.stream.infrared, 1, *size_px, rs.format.y8, fps)
    config.enable_stream(rs.stream.color, *color_size_px, rs.format.rgb8, fps)
    if isinstance(record_to, Path):
        config.enable_record_to_file(str(record_to))
    pipeline = rs.pipeline(context)
    try:
        profile = pipeline.start(config)
    except RuntimeError as error:
        raise CameraError(
            f"cannot stream depth and infrared {size_px} and colour {color_size_px} px at {fps} fps ({error}); "
            "close other programs that use the camera, and check that cable and port are USB 3"
        ) from None
    device = profile.get_device()
    if device.supports(rs.camera_info.usb_type_descriptor):
        usb = device.get_info(rs.camera_info.usb_type_descriptor)
        if usb.startswith("2"):
            log.warning("camera %s is on USB %s: frames will be lost; use a USB 3 cable and port", serial, usb)
    try:
        _set_emitter(device, emitter)
    except (CameraError, RuntimeError):
        pipeline.stop()
        raise
    recorder = None
    if isinstance(record_to, Uncompressed):  # what a config records is always compressed
        recorder = rs.recorder(str(record_to.path), device, False)
    return Running(pipeline, profile, recorder)


def _set_emitter(device: Any, emitter: Emitter) -> None:
    option = load().option
    sensors = [s for s in device.query_sensors() if s.supports(option.emitter_on_off)]
    if emitter == "alternate" and not sensors:
        raise CameraError("this camera cannot alternate its emitter (a D415 cannot); use emitter 'on'")
    for sensor in sensors:
        _set_option(sensor, option.emitter_on_off, float(emitter == "alternate"))
    for sensor in device.query_sensors():
        if sensor.supports(option.emitter_enabled):
            _set_option(sensor, option.emitter_enabled, 1.0)


def _set_option(sensor: Any, option: Any, value: float) -> None:
    if sensor.get_option(option) == value:
        return
    if sensor.is_option_read_only(option):
        raise CameraError(f"option {option.name} is fixed at {sensor.get_option(option):g}, {value:g} is needed")
    sensor.set_option(option, value)
