"""A D435 made of software: frames pushed into it come out of an ordinary `rs.pipeline`.

With it the simulated camera and the tests run through the real librealsense: its syncer, pools and recorder.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgefas.sensors.frame import U8, U16, Calibration, Clock, Exposure, Extrinsics
from edgefas.sensors.realsense.geometry import to_rs_extrinsics, to_rs_intrinsics
from edgefas.sensors.realsense.sdk import load

_OPTIONS = (
    # of a D435: least, greatest, step, default
    ("visual_preset", "stereo", 0, 6, 1, 0),
    ("emitter_enabled", "stereo", 0, 2, 1, 1),
    ("laser_power", "stereo", 0, 360, 30, 150),
    ("enable_auto_exposure", "stereo", 0, 1, 1, 1),
    ("enable_auto_exposure", "rgb", 0, 1, 1, 1),
    ("auto_exposure_priority", "rgb", 0, 1, 1, 1),
    ("power_line_frequency", "rgb", 0, 3, 1, 3),
)


_DOMAINS = {"hardware": "hardware_clock", "global": "global_time", "system": "system_time"}


@dataclass(frozen=True, eq=False)
class _Parts:
    """librealsense's objects of one camera, as long as it is plugged in."""

    device: Any
    stereo: Any
    rgb: Any
    depth: Any
    ir: Any
    color: Any


class SoftwareBus:
    """An `rs.context` software cameras can be plugged into.

    The context itself keeps only weak pointers, and a pipeline on it would find no device: what holds a camera is
    the device list handed to the devices-changed callback.
    """

    def __init__(self) -> None:
        self.context = load().context()
        self._held: list[tuple[list[str], Any]] = []
        self.context.set_devices_changed_callback(self._hold)

    def _hold(self, change: Any) -> None:
        added, key = change.get_new_devices(), load().camera_info.serial_number
        # Their serials are asked for now: to look into the list of a camera that has gone crashes the process.
        self._held.append(([device.get_info(key) for device in added], added))

    def unplug(self, serial: str) -> None:
        """Let go of one camera.

        A pipeline that streams from another camera of this bus remembers the one that left, and librealsense crashes
        on it: cameras that are unplugged while others stream need a bus each.
        """
        self._held[:] = [held for held in self._held if serial not in held[0]]

    def unplug_all(self) -> None:
        """Let go of every camera; each is gone when its own object is, and no pipeline streams from it."""
        self._held.clear()


@dataclass(frozen=True)
class SoftwareModel:
    """What a software camera says of itself, and what it will not do."""

    name: str = "Software D435"
    product_id: str = "0B07"
    firmware: str = "5.16.0.1"
    usb: str = "3.2"
    fixed: tuple[str, ...] = ()
    """Options it has and does not let anybody change."""
    lacking: tuple[str, ...] = ()
    """Options it does not have."""


class SoftwareD435:
    """A D400 camera with depth, left infrared and colour; every frame is one `push`."""

    def __init__(
        self,
        bus: SoftwareBus,
        calibration: Calibration,
        *,
        serial: str,
        fps: int = 30,
        depth_scale_m: float = 0.001,
        alternating: bool = False,
        model: SoftwareModel = SoftwareModel(),
    ) -> None:
        """Plug it in.

        Args:
            alternating: it has the option `emitter_on_off`, as a D435 does and a D415 does not. What is pushed is the
                pusher's own affair.
        """
        self._rs = load()
        self.serial, self._depth_scale_m = serial, depth_scale_m
        self._bus, self._calibration, self._fps = bus, calibration, fps
        self._alternating, self._model = alternating, model
        self._lock = threading.Lock()
        self._parts: _Parts | None = None
        self.plug()

    def plug(self) -> None:
        """Appear on the bus, with every option at its default."""
        parts = self._build()
        with self._lock:
            self._parts = parts
        parts.device.add_to(self._bus.context)

    def unplug(self) -> None:
        """Disappear: at once for whoever pushes, for others when no pipeline streams from it any more."""
        with self._lock:
            self._parts = None
        self._bus.unplug(self.serial)

    def option(self, name: str) -> float:
        """What the driver has set an option of the stereo or colour sensor to; 0 when unplugged or lacking it."""
        with self._lock:
            parts, option = self._parts, getattr(self._rs.option, name)
            for sensor in () if parts is None else (parts.stereo, parts.rgb):
                if sensor.supports(option):
                    return float(sensor.get_option(option))
        return 0.0

    @property
    def emitter_enabled(self) -> bool:
        """What the user of the camera has set; whoever pushes pictures should obey it."""
        return bool(self.option("emitter_enabled"))

    def _build(self) -> _Parts:
        rs, calibration = self._rs, self._calibration
        device = rs.software_device()
        for key, text in (
            (rs.camera_info.name, self._model.name),
            (rs.camera_info.serial_number, self.serial),
            (rs.camera_info.product_line, "D400"),
            (rs.camera_info.product_id, self._model.product_id),
            (rs.camera_info.firmware_version, self._model.firmware),
            (rs.camera_info.usb_type_descriptor, self._model.usb),
        ):
            device.register_info(key, text)
        stereo, rgb = device.add_sensor("Stereo Module"), device.add_sensor("RGB Camera")
        stereo.add_read_only_option(rs.option.depth_units, self._depth_scale_m)
        stereo.add_read_only_option(rs.option.stereo_baseline, calibration.baseline_mm)
        self._add_options({"stereo": stereo, "rgb": rgb})
        lens, color_lens = to_rs_intrinsics(calibration.depth), to_rs_intrinsics(calibration.color)
        depth = stereo.add_video_stream(self._stream(rs.stream.depth, 0, 1, rs.format.z16, 2, lens), True)
        ir = stereo.add_video_stream(self._stream(rs.stream.infrared, 1, 2, rs.format.y8, 1, lens), True)
        color = rgb.add_video_stream(self._stream(rs.stream.color, 0, 3, rs.format.rgb8, 3, color_lens), True)
        depth.register_extrinsics_to(color, to_rs_extrinsics(calibration.depth_to_color))
        depth.register_extrinsics_to(ir, to_rs_extrinsics(Extrinsics()))
        device.create_matcher(rs.matchers.dlr_c)  # pairs by frame number, as a D400 does
        return _Parts(device, stereo, rgb, depth, ir, color)

    def _add_options(self, sensors: dict[str, Any]) -> None:
        alternating = (("emitter_on_off", "stereo", 0, 1, 1, 0),) if self._alternating else ()
        for name, where, least, greatest, step, default in (*_OPTIONS, *alternating):
            option = getattr(self._rs.option, name)
            if name in self._model.lacking:
                continue
            if name in self._model.fixed:
                sensors[where].add_read_only_option(option, float(default))
                continue
            allowed = self._rs.option_range()
            allowed.min, allowed.max = float(least), float(greatest)
            allowed.step, allowed.default = float(step), float(default)
            sensors[where].add_option(option, allowed, True)

    def push(
        self,
        number: int,
        device_ns: int,
        *,
        depth: U16 | None,
        ir: U8 | None,
        color: U8 | None,
        lit: bool | None = True,
        exposure: Exposure | None = None,
        clock: Clock = "hardware",
    ) -> None:
        """Give one moment to librealsense, which copies it; None leaves a stream out, `lit` None its metadata.

        An unplugged camera loses it.
        """
        with self._lock:
            parts = self._parts
        if parts is None:
            return
        key = self._rs.frame_metadata_value
        if lit is not None:
            parts.stereo.set_metadata(key.frame_emitter_mode, int(lit))
            parts.stereo.set_metadata(key.frame_laser_power_mode, int(lit))
        if exposure is not None:
            parts.stereo.set_metadata(key.actual_exposure, round(exposure.time_us))
            parts.stereo.set_metadata(key.gain_level, round(exposure.gain))
        domain = getattr(self._rs.timestamp_domain, _DOMAINS[clock])
        for sensor in (parts.stereo, parts.rgb):
            sensor.set_metadata(key.frame_timestamp, device_ns // 1000)
        for sensor, profile, picture in (
            (parts.stereo, parts.depth, depth),
            (parts.stereo, parts.ir, ir),
            (parts.rgb, parts.color, color),
        ):
            if picture is not None:
                frame = self._video_frame(profile, picture, number, device_ns, domain)
                if profile is parts.depth:
                    frame.depth_units = self._depth_scale_m
                sensor.on_video_frame(frame)

    def _stream(self, kind: Any, index: int, uid: int, form: Any, bytes_px: int, lens: Any) -> Any:
        stream = self._rs.video_stream()
        stream.type, stream.index, stream.uid, stream.fmt = kind, index, uid, form
        stream.width, stream.height, stream.bpp, stream.fps = lens.width, lens.height, bytes_px, self._fps
        stream.intrinsics = lens
        return stream

    def _video_frame(self, profile: Any, picture: U8 | U16, number: int, device_ns: int, domain: Any) -> Any:
        frame = self._rs.software_video_frame()
        frame.pixels = np.ascontiguousarray(picture)
        frame.bpp = picture.nbytes // (picture.shape[0] * picture.shape[1])
        frame.stride = picture.shape[1] * frame.bpp
        frame.timestamp, frame.domain = device_ns / 1e6, domain
        frame.frame_number, frame.profile = number, profile.as_video_stream_profile()
        return frame
