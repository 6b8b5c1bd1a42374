"""What framesets and their device tell: per stream, per option, and lit against unlit."""

from __future__ import annotations

import threading
from collections import Counter
from typing import Any

import numpy as np

from edgefas.doctor.camera_report import LIT_SPECKS, OptionReport, Range, SensorReport, StreamReport
from edgefas.sensors.specks import speck_share


def rate(count: int, ends_ns: list[int]) -> float | None:
    span_s = (ends_ns[-1] - ends_ns[0]) / 1e9 if len(ends_ns) > 1 else 0.0
    return round((count - 1) / span_s, 2) if span_s > 0 else None


class Spread:
    """The least, greatest and last of many numbers."""

    def __init__(self) -> None:
        self._count, self._low, self._high, self._last = 0, 0.0, 0.0, 0.0

    def add(self, value: float) -> None:
        self._low = value if self._count == 0 else min(self._low, value)
        self._high = value if self._count == 0 else max(self._high, value)
        self._count, self._last = self._count + 1, value

    def range(self) -> Range | None:
        if self._count == 0:
            return None
        low, high, last = (round(value, 5) for value in (self._low, self._high, self._last))
        return Range(frames=self._count, low=low, high=high, last=last)


class _Stream:
    """One stream over time."""

    def __init__(self, profile: Any) -> None:
        video = profile.as_video_stream_profile()
        self._facts = {
            "name": profile.stream_name(),
            "format": profile.format().name,
            "width_px": video.width(),
            "height_px": video.height(),
            "fps_asked": profile.fps(),
        }
        self._frames = self._gaps = self._repeats = self._backward = 0
        self._number: int | None = None
        self._first_ms = self._last_ms = self._longest_ms = 0.0
        self._clocks: Counter[str] = Counter()
        self._metadata: dict[str, Spread] = {}

    def add(self, frame: Any, keys: dict[str, Any]) -> bool:
        """Take one frame in; False when its number does not go forward."""
        number, stamp_ms = frame.get_frame_number(), frame.get_timestamp()
        if self._number is not None:
            if number <= self._number:
                self._repeats += 1
                return False
            self._gaps += number - self._number - 1
            self._backward += stamp_ms <= self._last_ms
            self._longest_ms = max(self._longest_ms, stamp_ms - self._last_ms)
        else:
            self._first_ms = stamp_ms
        self._number, self._last_ms = number, stamp_ms
        self._frames += 1
        self._clocks[frame.get_frame_timestamp_domain().name] += 1
        for name, key in keys.items():
            if frame.supports_frame_metadata(key):
                self._metadata.setdefault(name, Spread()).add(float(frame.get_frame_metadata(key)))
        return True

    def report(self) -> StreamReport:
        many = self._frames > 1
        return StreamReport(
            **self._facts,
            frames=self._frames,
            fps_reached=rate(self._frames, [round(self._first_ms * 1e6), round(self._last_ms * 1e6)]),
            gaps=self._gaps,
            repeats=self._repeats,
            backward=self._backward,
            longest_gap_ms=round(self._longest_ms, 3) if many else None,
            clocks=dict(self._clocks),
            metadata={name: found for name, spread in self._metadata.items() if (found := spread.range())},
        )


class Watched:
    """What framesets and their device tell; `take` runs in the capture thread."""

    def __init__(self) -> None:
        self.info: dict[str, str] = {}
        self.sensors: tuple[SensorReport, ...] = ()
        self.temperatures: dict[str, tuple[float, float]] = {}
        self.emitter: Counter[tuple[bool, bool | None]] = Counter()
        self.specks = Spread()
        self._device: Any = None
        self._streams: dict[int, _Stream] = {}
        self._keys: dict[str, Any] = {}
        self._warm: dict[str, float] = {}
        self._lock = threading.Lock()

    def take(self, device: Any, frameset: Any) -> None:
        """A `Tap`."""
        from edgefas.sensors.realsense.sdk import load

        rs = load()
        with self._lock:
            if self._device is None:
                self._keys = dict(rs.frame_metadata_value.__members__)
                self.info = read_info(rs, device)
                self._warm = read_temperatures(device)
            self._device = device
            for frame in frameset:
                uid = frame.profile.unique_id()
                if uid not in self._streams:
                    self._streams[uid] = _Stream(frame.profile)
                if self._streams[uid].add(frame, self._keys) and frame.profile.stream_type() == rs.stream.infrared:
                    self._take_infrared(rs, frame)

    def _take_infrared(self, rs: Any, frame: Any) -> None:
        if frame.profile.format() != rs.format.y8:
            return
        key = rs.frame_metadata_value.frame_emitter_mode
        said = bool(frame.get_frame_metadata(key)) if frame.supports_frame_metadata(key) else None
        share = speck_share(np.array(frame.get_data(), copy=True))
        self.specks.add(share)
        self.emitter[share > LIT_SPECKS, said] += 1

    def finish(self) -> None:
        """Ask the device what is left to ask, while it still streams, and let go of it."""
        with self._lock:
            device, self._device = self._device, None
            if device is None:
                return
            end = read_temperatures(device)
            self.temperatures = {name: (begin, end.get(name, begin)) for name, begin in self._warm.items()}
            self.sensors = tuple(read_sensor(sensor) for sensor in device.query_sensors())

    def streams(self) -> tuple[StreamReport, ...]:
        """Of each stream that gave a frame."""
        return tuple(stream.report() for stream in self._streams.values())


def read_info(rs: Any, device: Any) -> dict[str, str]:
    """All that a device says of itself."""
    found = {}
    for name, key in rs.camera_info.__members__.items():
        if device.supports(key):
            found[name] = str(device.get_info(key))
    return found


def read_temperatures(device: Any) -> dict[str, float]:
    """Degrees Celsius by option; those that cannot be read now are left out."""
    found = {}
    for sensor in device.query_sensors():
        for option in sensor.get_supported_options():
            if "temperature" in option.name:
                try:
                    found[option.name] = float(sensor.get_option(option))
                except RuntimeError:  # some answer only while their own sensor streams
                    continue
    return found


def read_sensor(sensor: Any) -> SensorReport:
    """Every option with its range."""
    return SensorReport(
        name=_name(sensor), options={option.name: _read_option(sensor, option) for option in _options(sensor)}
    )


def _options(sensor: Any) -> list[Any]:
    return sorted(sensor.get_supported_options(), key=lambda option: str(option.name))


def _read_option(sensor: Any, option: Any) -> OptionReport:
    try:
        value, span = float(sensor.get_option(option)), sensor.get_option_range(option)
        return OptionReport(
            value=value,
            low=span.min,
            high=span.max,
            step=span.step,
            default=span.default,
            read_only=bool(sensor.is_option_read_only(option)),
        )
    except (RuntimeError, ValueError) as error:
        return OptionReport(value=None, error=f"{error}"[:200])


def _name(sensor: Any) -> str:
    from edgefas.sensors.realsense.sdk import load

    key = load().camera_info.name
    return str(sensor.get_info(key)) if sensor.supports(key) else ""
