"""CameraSource: whatever gives frames. Loss is reported, never papered over with an old or black frame."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

from edgefas.errors import EdgefasError
from edgefas.sensors.alignment import PixelBox
from edgefas.sensors.frame import Flaw, Frame


class CameraError(EdgefasError):
    """The camera or recording cannot be used."""


class CameraTimeout(CameraError):
    """No new frame in time; the source is still trying."""


class CameraLost(CameraError):
    """The camera is gone and will not come back by itself."""


class EndOfStream(CameraError):
    """A recording or folder has ended."""


@dataclass(frozen=True)
class SourceStats:
    """Counts since the source was opened."""

    delivered: int = 0
    dropped: int = 0
    """Gaps in the camera's frame numbers."""
    overwritten: int = 0
    """Frames replaced by a newer one before anybody read them."""
    unpaired: int = 0
    """Framesets whose streams were not of one moment."""
    duplicates: int = 0
    """Framesets with a number not above the last one's: repeated, or out of order."""
    restarts: int = 0
    """The stream was stopped and started again, or tried to."""
    resets: int = 0
    """The camera itself was reset, as if it had been unplugged."""
    stops_left_behind: int = 0
    """The driver did not come back from stopping a stream."""
    corrupt: int = 0
    """Framesets that could not be read: wrong size or an error of the driver."""
    blank: int = 0
    """Frames with `Flaw.BLANK`; the next three count their flaws alike."""
    frozen: int = 0
    depth_empty: int = 0
    clock_jumps: int = 0
    options_refused: int = 0
    """Settings of the profile that the camera did not take, over all starts."""
    regions_set: int = 0
    """Exposure regions the camera took."""
    regions_refused: int = 0
    emitter_corrected: int = 0
    """Framesets told lit or unlit by other than their metadata, which were wrong or absent."""
    emitter_unknown: int = 0
    """Framesets of which nobody knows whether they were lit: their Frames have no infrared."""
    unlit_moved: int = 0
    """Unlit pictures left out because the scene moved between them and the lit one."""


FLAW_COUNTERS = {
    Flaw.BLANK: "blank",
    Flaw.FROZEN: "frozen",
    Flaw.DEPTH_EMPTY: "depth_empty",
    Flaw.CLOCK_JUMP: "clock_jumps",
}


Tap = Callable[[Any, Any], None]
"""Told (device, frameset) of librealsense before anything is made of them; must hold neither (librealsense stops)."""


@dataclass(frozen=True)
class CameraIdentity:
    """Which camera speaks; "" is what it does not say of itself."""

    serial: str = ""
    product_line: str = ""
    name: str = ""
    firmware: str = ""
    driver: Literal["librealsense", "v4l2", "file", "folder", "simulated"] = "file"


class CameraSource(ABC):
    """Open in the constructor, close in `close`; a context manager and an iterator."""

    live: bool
    """True when time passes outside: frames age, and an engine can be late."""

    @abstractmethod
    def read(self, timeout_s: float = 1.0) -> Frame:
        """The newest frame (a recording: the next), never one twice.

        Raises:
            CameraTimeout: nothing new within `timeout_s`; read again.
            CameraLost: the camera is gone.
            EndOfStream: a recording has ended.
        """

    @abstractmethod
    def stats(self) -> SourceStats:
        """Counts so far."""

    def identity(self) -> CameraIdentity:
        """The camera as it was last started; a source that says nothing matches no camera that is pinned."""
        return CameraIdentity()

    def set_exposure_region(self, box: PixelBox) -> None:  # noqa: B027 - optional
        """Expose for this part of the depth/IR grid from soon on; returns at once, and may be called every frame.

        A wish: cameras that cannot do nothing, and one that refuses is counted.
        """

    def watch(self, tap: Tap | None) -> bool:
        """Show `tap` every frameset from now on, in the capture thread; None ends it.

        Returns:
            False where there is no librealsense behind the source: nothing will be shown.
        """
        return False

    def set_emitter(self, on: bool) -> bool:
        """Switch the infrared projector off, or let it work again (lit, or alternating as before), while streaming.

        Safe from any thread. It takes a few frames to show: frames taken and queued before it still arrive, so count
        frames of a later `device_ns`, not calls to `read`. A restarted camera begins with its projector on.

        Returns:
            True when the camera took it; False when there is no projector to switch (recordings, folders, webcams),
            or the camera refused or is being restarted: nothing has changed then.
        """
        return False

    def video_devices(self) -> tuple[Path, ...]:
        """The /dev/video* (or their folders in sysfs) behind it; () where there are none or the driver keeps quiet."""
        return ()

    @abstractmethod
    def close(self) -> None:
        """Release the camera; safe to call twice, and never hangs."""

    def __enter__(self) -> CameraSource:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __iter__(self) -> Iterator[Frame]:
        """Every frame until the stream ends."""
        while True:
            try:
                yield self.read(timeout_s=10.0)
            except EndOfStream:
                return
