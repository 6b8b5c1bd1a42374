"""A D435 made of software: frames pushed into it come out of an ordinary `rs.pipeline`.

With it the simulated camera and the tests run through the real librealsense: its syncer, pools and recorder.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from edgefas.sensors.frame import U8, U16, Calibration, Exposure, Extrinsics
from edgefas.sensors.realsense.geometry import to_rs_extrinsics, to_rs_intrinsics
from edgefas.sensors.realsense.sdk import load


class SoftwareBus:
    """An `rs.context` software cameras can be plugged into.

    The context itself keeps only weak pointers, and a pipeline on it would find no device: what holds a camera is
    the device list handed to the devices-changed callback.
    """

    def __init__(self) -> None:
        self.context = load().context()
        self._held: list[Any] = []
        self.context.set_devices_changed_callback(lambda change: self._held.append(change.get_new_devices()))

    def unplug_all(self) -> None:
        """Let go of every camera; each is gone when its own object is, and no pipeline streams from it."""
        self._held.clear()


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
    ) -> None:
        rs = self._rs = load()
        self.serial, self._depth_scale_m = serial, depth_scale_m
        self._device = rs.software_device()
        for key, text in (
            (rs.camera_info.name, "Software D435"),
            (rs.camera_info.serial_number, serial),
            (rs.camera_info.product_line, "D400"),
        ):
            self._device.register_info(key, text)
        self._stereo = self._device.add_sensor("Stereo Module")
        self._rgb = self._device.add_sensor("RGB Camera")
        self._stereo.add_read_only_option(rs.option.depth_units, depth_scale_m)
        self._stereo.add_read_only_option(rs.option.stereo_baseline, calibration.baseline_mm)
        self._stereo.add_read_only_option(rs.option.emitter_on_off, float(alternating))
        self._stereo.add_option(rs.option.emitter_enabled, _range(rs, 0.0, 1.0, default=1.0), True)
        depth, color = to_rs_intrinsics(calibration.depth), to_rs_intrinsics(calibration.color)
        self._depth_profile = self._stereo.add_video_stream(
            self._stream(rs.stream.depth, 0, 1, rs.format.z16, 2, fps, depth), True
        )
        self._ir_profile = self._stereo.add_video_stream(
            self._stream(rs.stream.infrared, 1, 2, rs.format.y8, 1, fps, depth), True
        )
        self._color_profile = self._rgb.add_video_stream(
            self._stream(rs.stream.color, 0, 3, rs.format.rgb8, 3, fps, color), True
        )
        self._depth_profile.register_extrinsics_to(self._color_profile, to_rs_extrinsics(calibration.depth_to_color))
        self._depth_profile.register_extrinsics_to(self._ir_profile, to_rs_extrinsics(Extrinsics()))
        self._device.create_matcher(rs.matchers.dlr_c)  # pairs by frame number, as a D400 does
        self._device.add_to(bus.context)

    @property
    def emitter_enabled(self) -> bool:
        """What the user of the camera has set; whoever pushes pictures should obey it."""
        return bool(self._stereo.get_option(self._rs.option.emitter_enabled))

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
    ) -> None:
        """Give one moment to librealsense, which copies it; None leaves a stream out, `lit` None its metadata."""
        key = self._rs.frame_metadata_value
        if lit is not None:
            self._stereo.set_metadata(key.frame_emitter_mode, int(lit))
            self._stereo.set_metadata(key.frame_laser_power_mode, int(lit))
        if exposure is not None:
            self._stereo.set_metadata(key.actual_exposure, round(exposure.time_us))
            self._stereo.set_metadata(key.gain_level, round(exposure.gain))
        for sensor in (self._stereo, self._rgb):
            sensor.set_metadata(key.frame_timestamp, device_ns // 1000)
        for sensor, profile, picture in (
            (self._stereo, self._depth_profile, depth),
            (self._stereo, self._ir_profile, ir),
            (self._rgb, self._color_profile, color),
        ):
            if picture is not None:
                sensor.on_video_frame(self._video_frame(profile, picture, number, device_ns))

    def _stream(self, kind: Any, index: int, uid: int, form: Any, bytes_px: int, fps: int, lens: Any) -> Any:
        stream = self._rs.video_stream()
        stream.type, stream.index, stream.uid, stream.fmt = kind, index, uid, form
        stream.width, stream.height, stream.bpp, stream.fps = lens.width, lens.height, bytes_px, fps
        stream.intrinsics = lens
        return stream

    def _video_frame(self, profile: Any, picture: U8 | U16, number: int, device_ns: int) -> Any:
        frame = self._rs.software_video_frame()
        frame.pixels = np.ascontiguousarray(picture)
        frame.bpp = picture.nbytes // (picture.shape[0] * picture.shape[1])
        frame.stride = picture.shape[1] * frame.bpp
        frame.timestamp, frame.domain = device_ns / 1e6, self._rs.timestamp_domain.hardware_clock
        frame.frame_number, frame.profile = number, profile.as_video_stream_profile()
        if profile is self._depth_profile:
            frame.depth_units = self._depth_scale_m
        return frame


def _range(rs: Any, low: float, high: float, *, default: float) -> Any:
    values = rs.option_range()
    values.min, values.max, values.step, values.default = low, high, 1.0, default
    return values
