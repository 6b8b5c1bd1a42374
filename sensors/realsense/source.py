"""RealSenseSource: one capture thread, one slot. Live the newest frame wins; a file waits for its reader."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from edgefas.sensors.frame import Frame
from edgefas.sensors.realsense.emitter import switch_emitter
from edgefas.sensors.realsense.moments import MomentBuilder
from edgefas.sensors.source import CameraError, CameraLost, CameraSource, CameraTimeout, EndOfStream, SourceStats

log = logging.getLogger(__name__)

_POLL_MS = 200
_CLOSE_S = 3.0


@dataclass(frozen=True)
class Running:
    """A started pipeline."""

    pipeline: Any
    profile: Any


@dataclass(frozen=True)
class Patience:
    """How long silence may last."""

    stall_s: float = 2.0
    """Then the pipeline is stopped and started again."""
    give_up_s: float = 20.0
    """Then the camera is lost. Not more than `stall_s`: never restarted."""
    backoff_max_s: float = 5.0


class RealSenseSource(CameraSource):
    """Frames of a librealsense pipeline: a camera, a recording, or a software camera."""

    def __init__(
        self,
        name: str,
        start: Callable[[], Running],
        *,
        live: bool,
        patience: Patience = Patience(),
    ) -> None:
        """Start it.

        Args:
            name: what messages call it, e.g. "camera 0123" or "a.db3".
            start: starts a pipeline; called again when the camera stalls. Raises CameraError or RuntimeError.
            live: False plays without dropping, waiting for the reader; True keeps the newest frame only.
            patience: what counts as a stall, and as lost.

        Raises:
            CameraError: it cannot be started.
        """
        self.live = live
        self._name, self._start, self._patience = name, start, patience
        self._counts: Counter[str] = Counter()
        self._builder = MomentBuilder(self._counts)
        self._changed = threading.Condition()
        self._slot: Frame | None = None
        self._end: CameraError | None = None
        self._closing = threading.Event()
        self._running: Running | None = None
        try:
            self._open()
        except (CameraError, RuntimeError) as error:
            self._stop()
            raise CameraError(f"{name}: {error}") from None
        self._thread = threading.Thread(target=self._run, name=f"edgefas {name}", daemon=True)
        self._thread.start()

    def read(self, timeout_s: float = 1.0) -> Frame:
        """See `CameraSource.read`."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._slot is not None or self._end is not None, timeout_s):
                raise CameraTimeout(f"{self._name}: no new frame in {timeout_s:g} s")
            if self._slot is None:
                assert self._end is not None
                raise self._end
            frame, self._slot = self._slot, None
            self._counts["delivered"] += 1
            self._changed.notify_all()
            return frame

    def stats(self) -> SourceStats:
        """See `CameraSource.stats`."""
        return SourceStats(**self._counts)

    def set_emitter(self, on: bool) -> bool:
        """See `CameraSource.set_emitter`."""
        running = self._running
        return running is not None and switch_emitter(running.profile.get_device(), on)

    def close(self) -> None:
        """See `CameraSource.close`."""
        with self._changed:
            self._closing.set()
            self._end = self._end or CameraLost(f"{self._name}: closed")
            self._slot = None
            self._changed.notify_all()
        self._thread.join(_CLOSE_S)
        self._stop()

    def _open(self) -> None:
        self._running = self._start()
        self._builder.use(self._running.profile)

    def _run(self) -> None:
        try:
            self._capture()
        except CameraError as error:
            end = error
        except Exception as error:  # whatever happens in this thread must reach the reader
            log.debug("capture thread of %s", self._name, exc_info=True)
            end = CameraLost(f"{self._name}: {error}")
        else:
            return
        with self._changed:
            self._end = self._end or end
            self._changed.notify_all()

    def _capture(self) -> None:
        seen_s = started_s = time.monotonic()
        backoff_s = 0.25
        while not self._closing.is_set():
            if self._poll():
                seen_s, backoff_s = time.monotonic(), 0.25
                continue
            now_s = time.monotonic()
            if now_s - seen_s > self._patience.give_up_s:
                raise CameraLost(
                    f"{self._name}: no usable frame for {now_s - seen_s:.0f} s "
                    f"({self._counts['unpaired']} framesets unpaired, {self._counts['restarts']} restarts); "
                    "check cable and power, then start again"
                )
            if now_s - max(seen_s, started_s) > self._patience.stall_s:
                self._closing.wait(backoff_s)
                backoff_s = min(2 * backoff_s, self._patience.backoff_max_s)
                self._restart()
                started_s = time.monotonic()

    def _poll(self) -> bool:
        """Take one frameset, if there is one; True when the camera made progress."""
        running = self._running
        if running is None:  # the last restart failed
            self._closing.wait(_POLL_MS / 1000)
            return False
        arrived, frameset = running.pipeline.try_wait_for_frames(_POLL_MS)
        if not arrived:
            self._check_end(running)
            return False
        before = self._builder.last_number
        frame = self._builder.add(frameset)
        if frame is not None:
            self._put(frame)
        return self._builder.last_number != before

    def _put(self, frame: Frame) -> None:
        with self._changed:
            if not self.live:
                self._changed.wait_for(lambda: self._slot is None or self._closing.is_set())
            elif self._slot is not None:
                self._counts["overwritten"] += 1
            if not self._closing.is_set():
                self._slot = frame
                self._changed.notify_all()

    def _check_end(self, running: Running) -> None:
        playback = running.profile.get_device().as_playback()
        if playback and playback.current_status().name == "stopped":
            # frames may still be on their way through the syncer
            while (last := running.pipeline.try_wait_for_frames(_POLL_MS))[0] and not self._closing.is_set():
                frame = self._builder.add(last[1])
                if frame is not None:
                    self._put(frame)
            raise EndOfStream(f"{self._name}: end of the recording")

    def _restart(self) -> None:
        if self._closing.is_set():
            return
        self._counts["restarts"] += 1
        log.warning("%s: no frame for %g s, starting it again", self._name, self._patience.stall_s)
        self._stop()
        try:
            self._open()
        except (CameraError, RuntimeError) as error:
            self._stop()
            log.warning("%s: %s", self._name, error)

    def _stop(self) -> None:
        running, self._running = self._running, None
        if running is None:
            return
        # pipeline.stop() can block for ever on a wedged camera (librealsense 9184, 7252, 12456)
        stopper = threading.Thread(
            target=_stop_quietly, args=(running.pipeline,), name=f"edgefas stop {self._name}", daemon=True
        )
        stopper.start()
        stopper.join(_CLOSE_S)
        if stopper.is_alive():
            log.warning("%s: librealsense did not stop within %g s; left behind", self._name, _CLOSE_S)


def _stop_quietly(pipeline: Any) -> None:
    try:
        pipeline.stop()
    except RuntimeError as error:  # was not started, or the camera has gone
        log.debug("pipeline.stop: %s", error)
