"""FrameSlot: the one place between a capture thread and whoever reads."""

from __future__ import annotations

import threading
from collections import Counter

from edgefas.sensors.frame import Frame
from edgefas.sensors.source import CameraError, CameraLost, CameraTimeout


class FrameSlot:
    """Holds one frame: of a camera the newest wins, a file waits for its reader."""

    def __init__(self, name: str, counts: Counter[str], *, newest_wins: bool) -> None:
        """Empty.

        Args:
            name: of the source, for messages.
            counts: `delivered` and `overwritten` are counted there.
            newest_wins: `put` replaces a frame nobody has read; otherwise it waits until somebody has.
        """
        self.closing = threading.Event()
        """Set by `close`: the capture thread should end."""
        self._name, self._counts, self._newest_wins = name, counts, newest_wins
        self._changed = threading.Condition()
        self._frame: Frame | None = None
        self._end: CameraError | None = None

    def put(self, frame: Frame) -> None:
        """For the capture thread; after `close` the frame is dropped."""
        with self._changed:
            if not self._newest_wins:
                self._changed.wait_for(lambda: self._frame is None or self.closing.is_set())
            elif self._frame is not None:
                self._counts["overwritten"] += 1
            if not self.closing.is_set():
                self._frame = frame
                self._changed.notify_all()

    def take(self, timeout_s: float) -> Frame:
        """For the reader; see `CameraSource.read` for what it raises."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._frame is not None or self._end is not None, timeout_s):
                raise CameraTimeout(f"{self._name}: no new frame in {timeout_s:g} s")
            if self._frame is None:
                assert self._end is not None
                raise self._end
            frame, self._frame = self._frame, None
            self._counts["delivered"] += 1
            self._changed.notify_all()
            return frame

    def end(self, error: CameraError) -> None:
        """What `take` raises once the last frame is read; the first such word counts."""
        with self._changed:
            self._end = self._end or error
            self._changed.notify_all()

    def close(self) -> None:
        """Nobody reads on: drop the frame, wake both sides."""
        with self._changed:
            self.closing.set()
            self._end = self._end or CameraLost(f"{self._name}: closed")
            self._frame = None
            self._changed.notify_all()
