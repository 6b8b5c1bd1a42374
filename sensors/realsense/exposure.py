"""The exposure region: where the stereo imagers measure light. A wish that cameras often refuse."""

from __future__ import annotations

import time
from typing import Any

from edgefas.sensors.alignment import PixelBox
from edgefas.sensors.realsense.sdk import load

_LEAST_PX = 16
_AFTER_FRAMES = 10
"""Before, librealsense answers "Invalid parameter" (librealsense 8004)."""
_EVERY_S = 0.7
_MOVED_SHARE = 0.15
"""Of the region's width: a face that moved less is exposed for already."""


class Steering:
    """What one started camera has been told; used by its capture thread, but for `wish`."""

    def __init__(self, profile: Any | None, before: Steering | None = None) -> None:
        """Of a pipeline that has just been started, by its profile; None means that it is not to be told.

        Args:
            before: of the start before, whose wish lives on.
        """
        self._sensor = None if profile is None else find_region_sensor(profile.get_device())
        self._size_px = (0, 0) if profile is None else _grid_size(profile)
        self._wish: PixelBox | None = None if before is None else before._wish
        self._held: tuple[int, int, int, int] | None = None
        self._frames, self._next_s = 0, 0.0

    def wish(self, box: PixelBox) -> None:
        """The newest wish counts."""
        self._wish = box

    def steer(self) -> bool | None:
        """Called after each frameset: whether the camera took a new region; None where it was not asked."""
        self._frames += 1
        box, now_s = self._wish, time.monotonic()
        if self._sensor is None or box is None:
            return None
        if self._frames <= _AFTER_FRAMES or now_s < self._next_s:
            return None
        region = clamp_region(box, *self._size_px)
        if region is None or (self._held is not None and not _moved(region, self._held)):
            return None
        self._next_s = now_s + _EVERY_S
        taken = set_region(self._sensor, region)
        self._held = region if taken else None
        return taken


def _grid_size(profile: Any) -> tuple[int, int]:
    depth = profile.get_stream(load().stream.depth).as_video_stream_profile()
    return depth.width(), depth.height()


def _moved(new: tuple[int, int, int, int], old: tuple[int, int, int, int]) -> bool:
    return max(abs(a - b) for a, b in zip(new, old, strict=True)) > _MOVED_SHARE * (old[2] - old[0])


def clamp_region(box: PixelBox, width_px: int, height_px: int) -> tuple[int, int, int, int] | None:
    """(min_x, min_y, max_x, max_y), both ends inside the picture; None where too little of the box is.

    Outside the picture librealsense answers with "Invalid parameter" (librealsense 8004, 5308).
    """
    x0, x1 = max(0, box.x_px), min(width_px, box.x_px + box.width_px) - 1
    y0, y1 = max(0, box.y_px), min(height_px, box.y_px + box.height_px) - 1
    return (x0, y0, x1, y1) if x1 - x0 >= _LEAST_PX and y1 - y0 >= _LEAST_PX else None


def find_region_sensor(device: Any) -> Any | None:
    """The stereo sensor, where it can be told a region. Depth and left infrared share it, and so their grid."""
    rs = load()
    for sensor in device.query_sensors():
        try:
            steerable = sensor.as_roi_sensor()
        except RuntimeError:  # so says librealsense of a sensor that cannot
            continue
        if steerable and any(profile.stream_type() == rs.stream.depth for profile in sensor.get_stream_profiles()):
            return steerable
    return None


def set_region(sensor: Any, region: tuple[int, int, int, int]) -> bool:
    """Whether the camera took it; it may refuse at random (librealsense 3427, 7586), and that is no error."""
    wanted = load().region_of_interest()
    wanted.min_x, wanted.min_y, wanted.max_x, wanted.max_y = region
    try:
        sensor.set_region_of_interest(wanted)
    except RuntimeError:
        return False
    return True
