"""Framesets in, Frames out: what belongs to one moment, and which infrared pictures belong to each other."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from edgefas.sensors.frame import U8, U16, Clock, Exposure, Frame
from edgefas.sensors.realsense.emitter import START_UP, EmitterJudge, moved_between
from edgefas.sensors.realsense.geometry import read_calibration
from edgefas.sensors.realsense.sdk import load
from edgefas.sensors.source import CameraError
from edgefas.sensors.specks import speck_share

_LEAP_NS = 1_000_000_000
_COLOR_TOLERANCE = 0.6  # of a period: further apart, and the colour picture is of another moment


@dataclass(frozen=True, eq=False)
class _Moment:
    """One frameset whose streams belong together, copied."""

    number: int
    device_ns: int
    clock: Clock
    depth: U16 | None
    ir: U8 | None
    color: U8 | None
    lit: bool | None
    """None: nobody knows."""
    exposure: Exposure | None


class MomentBuilder:
    """Accepts framesets, counts what it refuses, and marries each lit one to the unlit one just before it.

    A frameset is accepted when depth and infrared carry one number and colour is within 0.6 period of them, and
    never twice: librealsense pairs a recording by timestamp and gives (2,1,1), (2,2,1), (2,2,2) for one moment.

    With an alternating emitter every lit frameset becomes one Frame, whose `ir_unlit` comes from the frameset numbered
    one less, unless the scene moved between the two. Unlit ones that no lit one follows (the emitter is off, or every
    second frameset is lost) become Frames without `ir_lit`; those of which nobody knows have neither, but are held
    back while the first vote is taken. A camera without infrared gives every frameset as it is.
    """

    def __init__(self, counts: Counter[str]) -> None:
        self._rs, self._counts = load(), counts

    def use(self, profile: Any) -> None:
        """Start on a pipeline that has just been (re)started; its frame numbers may begin anew.

        Raises:
            CameraError: neither depth nor left infrared, or a pixel format edgefas does not read.
        """
        rs, device = self._rs, profile.get_device()
        streams = {(s.stream_type(), s.stream_index()): s.as_video_stream_profile() for s in profile.get_streams()}
        depth = streams.get((rs.stream.depth, 0))
        ir, color = streams.get((rs.stream.infrared, 1)), streams.get((rs.stream.color, 0))
        grid = depth or ir
        if grid is None:
            names = ", ".join(s.stream_name() for s in profile.get_streams()) or "nothing"
            raise CameraError(f"found {names}: a source needs depth or left infrared (Infrared 1); record it again")
        for stream, allowed in (
            (depth, (rs.format.z16,)),
            (ir, (rs.format.y8,)),
            (color, (rs.format.rgb8, rs.format.bgr8)),
        ):
            if stream is not None and stream.format() not in allowed:
                wanted = " or ".join(form.name for form in allowed)
                raise CameraError(f"{stream.stream_name()} is {stream.format().name}, must be {wanted}")
        self._depth, self._ir, self._color = depth, ir, color
        self._scale_m = _option(rs, device, rs.option.depth_units, 0.001)
        baseline_mm = abs(_option(rs, device, rs.option.stereo_baseline, 50.0))
        self._calibration = read_calibration(grid, color, baseline_mm)
        self._serial = device.get_info(rs.camera_info.serial_number)
        self._period_ms = 1000.0 / grid.fps()
        self._last_number: int | None = None
        self._dropped = self._accepted = 0
        self._before: _Moment | None = None
        self._given = False  # that one's unlit picture is in a Frame already: no picture comes twice
        self._unlit_run = 0
        self._black = False
        self._judge = EmitterJudge(
            self._serial,
            alternating=_option(rs, device, rs.option.emitter_on_off, 0.0) == 1.0,
            switchable=not device.as_playback(),
        )

    @property
    def last_number(self) -> int | None:
        """Number of the newest accepted frameset: changes when the camera makes progress."""
        return self._last_number

    @property
    def emitter(self) -> EmitterJudge:
        """Who tells lit from unlit; another one after each `use`."""
        return self._judge

    def add(self, frameset: Any) -> Frame | None:
        """The Frame that `frameset` completes, if any."""
        moment = self._accept(frameset)
        if moment is None:
            return None
        if self._ir is None:
            return self._frame(moment, lit=None, unlit=None)
        before, self._before = self._before, moment
        adjacent = before is not None and moment.number == before.number + 1 and not _leapt(before, moment)
        self._unlit_run = self._unlit_run + 1 if moment.lit is False else 0
        given, self._given = self._given, False
        if moment.lit:
            unlit = self._unlit_of(moment, before) if adjacent and not given else None
            return self._frame(moment, lit=moment, unlit=unlit)
        if moment.lit is None:
            return None if self._accepted < START_UP else self._frame(moment, lit=None, unlit=None)
        unlit_too = before is not None and before.lit is False
        # one lit frameset lost between two unlit ones is no reason for a Frame without it
        self._given = unlit_too and (adjacent or self._unlit_run > 2)
        return self._frame(moment, None, moment) if self._given else None

    def _unlit_of(self, moment: _Moment, before: _Moment | None) -> _Moment | None:
        """The unlit partner of a lit moment."""
        if before is None or before.lit is not False:
            return None
        assert moment.ir is not None
        assert before.ir is not None
        if moved_between(moment.ir, before.ir, (moment.exposure, before.exposure)):
            self._counts["unlit_moved"] += 1
            return None
        return before

    def _accept(self, frameset: Any) -> _Moment | None:
        depth = frameset.get_depth_frame() if self._depth else None
        ir = frameset.get_infrared_frame(1) if self._ir else None
        color = frameset.get_color_frame() if self._color else None
        key = depth or ir
        if not key or not self._together(key, [part for part in (depth, ir) if part is not None], color):
            self._counts["unpaired"] += 1
            return None
        number = key.get_frame_number()
        if self._last_number is not None:
            if number <= self._last_number:
                self._counts["duplicates"] += 1
                return None
            gap = number - self._last_number - 1
            self._dropped += gap
            self._counts["dropped"] += gap
        self._last_number = number
        self._accepted += 1
        picture = None if ir is None else _copy(ir)
        return _Moment(
            number,
            round(key.get_timestamp() * 1e6),
            self._clock(key),
            None if depth is None else _copy(depth),
            picture,
            None if color is None else _rgb(color, self._rs),
            None if picture is None else self._is_lit(number, picture, ir),
            self._exposure(ir or key),
        )

    def _together(self, key: Any, stereo: list[Any], color: Any) -> bool:
        if any(not part or part.get_frame_number() != key.get_frame_number() for part in stereo):
            return False
        if color is None:
            return True
        if not color or color.get_frame_timestamp_domain() != key.get_frame_timestamp_domain():
            return False
        return bool(abs(color.get_timestamp() - key.get_timestamp()) < _COLOR_TOLERANCE * self._period_ms)

    def _frame(self, moment: _Moment, lit: _Moment | None, unlit: _Moment | None) -> Frame:
        dropped, self._dropped = self._dropped, 0
        return Frame(
            color=moment.color,
            ir_lit=lit.ir if lit else None,
            ir_unlit=unlit.ir if unlit else None,
            depth=moment.depth,
            depth_scale_m=self._scale_m,
            calibration=self._calibration,
            number=moment.number,
            device_ns=moment.device_ns,
            clock=moment.clock,
            host_ns=time.monotonic_ns(),
            camera=self._serial,
            dropped=dropped,
            ir_lit_exposure=lit.exposure if lit else None,
            ir_unlit_exposure=unlit.exposure if unlit else None,
        )

    def _is_lit(self, number: int, picture: U8, frame: Any) -> bool | None:
        mode = self._metadata(frame, self._rs.frame_metadata_value.frame_emitter_mode)
        if mode is None:
            mode = self._metadata(frame, self._rs.frame_metadata_value.frame_laser_power_mode)
        flag = None if mode is None else mode != 0
        black_before, self._black = self._black, not picture.max()
        if self._black and (black_before or not self._judge.alternating):
            # In a dark room every second picture is black, and shows who is lit. All of them are a covered lens or a
            # sick sensor (librealsense 8880): the Frame must have the picture, for others to see that it is none.
            lit, earlier = self._judge.told(flag), None
        else:
            lit, earlier = self._judge.judge(number, speck_share(picture), flag)
        if earlier is not None and self._before is not None and self._before.lit is None:
            self._before = replace(self._before, lit=earlier)
            self._counts["emitter_unknown"] -= 1
        if lit is None:
            self._counts["emitter_unknown"] += 1
        elif lit != flag:
            self._counts["emitter_corrected"] += 1
        return lit

    def _exposure(self, frame: Any) -> Exposure | None:
        keys = self._rs.frame_metadata_value
        time_us, gain = self._metadata(frame, keys.actual_exposure), self._metadata(frame, keys.gain_level)
        return None if time_us is None or gain is None else Exposure(float(time_us), float(gain))

    def _metadata(self, frame: Any, key: Any) -> int | None:
        return int(frame.get_frame_metadata(key)) if frame.supports_frame_metadata(key) else None

    def _clock(self, frame: Any) -> Clock:
        domain = self._rs.timestamp_domain
        known: dict[Any, Clock] = {domain.hardware_clock: "hardware", domain.global_time: "global"}
        return known.get(frame.get_frame_timestamp_domain(), "system")


def _leapt(before: _Moment, after: _Moment) -> bool:
    """Whether the camera's clock jumped between two neighbours: who knows then how far apart they are."""
    return before.clock != after.clock or not 0 < after.device_ns - before.device_ns < _LEAP_NS


def _copy(frame: Any) -> Any:
    """Out of librealsense's pool, which stops delivering after 16 held frames, even when only a view is held."""
    return np.array(frame.get_data(), copy=True)


def _rgb(frame: Any, rs: Any) -> U8:
    picture: U8 = _copy(frame)
    return picture[..., ::-1] if frame.profile.format() == rs.format.bgr8 else picture


def _option(rs: Any, device: Any, option: Any, otherwise: float) -> float:
    """A read-only fact of the camera; recordings made without it mean librealsense's own default."""
    for sensor in device.query_sensors():
        if sensor.supports(option):
            return float(sensor.get_option(option))
    return otherwise
