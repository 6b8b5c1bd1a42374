"""RealSenseSource: one capture thread, one slot. Live the newest frame wins; a file waits for its reader."""

from __future__ import annotations

import logging
import math
import re
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Literal

from edgefas.sensors.alignment import PixelBox
from edgefas.sensors.frame import Flaw, Frame
from edgefas.sensors.realsense.emitter import switch_emitter
from edgefas.sensors.realsense.exposure import Steering
from edgefas.sensors.realsense.failures import Cause, StartFailed, start_failed
from edgefas.sensors.realsense.identity import read_identity, read_info
from edgefas.sensors.realsense.moments import MomentBuilder
from edgefas.sensors.realsense.sdk import load
from edgefas.sensors.sanity import Last, inspect
from edgefas.sensors.slot import FrameSlot
from edgefas.sensors.source import (
    FLAW_COUNTERS,
    CameraError,
    CameraIdentity,
    CameraLost,
    CameraSource,
    EndOfStream,
    SourceStats,
    Tap,
)

log = logging.getLogger(__name__)  # errors are logged as text: a handler that keeps one keeps what its frames hold

_POLL_MS = 200
_CLOSE_S = 3.0
_TRIES, _RETRY_S = 3, 0.5
_BACKOFF_S = 0.25
_RESET_AFTER, _RESET_EVERY = 2, 4
"""Restarts without a sound frame before the camera itself is reset, and how many to the next reset."""
_NO_PICTURE = frozenset((Flaw.BLANK, Flaw.FROZEN))

_NO_METADATA = (
    "%s: times are the host's, and no frame says whether it was lit: the kernel gives no camera metadata. On a Jetson "
    "patch it with scripts/patch-realsense-ubuntu-L4T.sh from librealsense, on a PC install librealsense2-dkms; or "
    "build librealsense with -DFORCE_RSUSB_BACKEND=ON -DBUILD_PYTHON_BINDINGS=ON"
)


@dataclass(frozen=True)
class Running:
    """A started pipeline."""

    pipeline: Any
    profile: Any
    recorder: Any = None
    """Records for as long as it is held."""
    options_refused: int = 0
    exposure_region: bool = False
    """Whether the camera may be told where to measure light."""


@dataclass(frozen=True)
class Patience:
    """How long silence may last."""

    stall_s: float = 2.0
    """So long without a sound frame, and the pipeline is stopped and started again; inf: never."""
    give_up_s: float = 20.0
    """So long without any frame, and the camera is lost; inf: never, a cable pulled at night is put back at day."""
    backoff_max_s: float = 2.0

    @classmethod
    def without_restart(cls, give_up_s: float) -> Patience:
        """For a file, read or written, which a restart would begin anew."""
        return cls(stall_s=math.inf, give_up_s=give_up_s)


class _Step(Enum):
    """What one look at the driver brought."""

    NOTHING = 0
    FLAWED = 1
    """A frame, or half of one, that does not show that the camera is well."""
    SOUND = 2


class RealSenseSource(CameraSource):
    """Frames of a librealsense pipeline: a camera, a recording, or a software camera."""

    def __init__(
        self,
        name: str,
        start: Callable[[], Running],
        *,
        live: bool,
        patience: Patience = Patience(),
        reset: Callable[[Callable[[float], bool]], None] | None = None,
        driver: Literal["librealsense", "file"] = "librealsense",
    ) -> None:
        """Start it: plainly, once more, and after a reset of the camera.

        Args:
            name: what messages call it, e.g. "camera 0123" or "a.db3".
            start: starts a pipeline; called again when the camera stalls. Raises StartFailed where another try may
                help, else CameraError.
            live: False plays without dropping, waiting for the reader; True keeps the newest frame only.
            patience: what counts as a stall, and as lost.
            reset: resets the camera and waits for it, sleeping with the function it is given, which says True when
                nobody waits any more. Raises CameraError.
            driver: where the frames come from.

        Raises:
            CameraError: it cannot be started.
        """
        self.live = live
        self._name, self._start, self._patience = name, start, patience
        self._reset, self._driver = reset, driver
        self._counts: Counter[str] = Counter()
        self._builder = MomentBuilder(self._counts)
        self._slot = FrameSlot(name, self._counts, newest_wins=live)
        self._closing = self._slot.closing
        self._running: Running | None = None
        self._tap: Tap | None = None
        self._cause: Cause | None = None
        self._identity = CameraIdentity(driver=driver)
        self._last = Last()
        self._steering = Steering(None)
        self._warned_no_metadata = False
        try:
            self._connect()
        except CameraError as error:
            self._stop()
            raise CameraError(f"{name}: {error}") from None
        self._thread = threading.Thread(target=self._run, name=f"edgefas {name}", daemon=True)
        self._thread.start()

    def read(self, timeout_s: float = 1.0) -> Frame:
        """See `CameraSource.read`."""
        return self._slot.take(timeout_s)

    def stats(self) -> SourceStats:
        """See `CameraSource.stats`."""
        return SourceStats(**self._counts)

    def identity(self) -> CameraIdentity:
        """See `CameraSource.identity`."""
        return self._identity

    def video_devices(self) -> tuple[Path, ...]:
        """See `CameraSource.video_devices`. With librealsense's own USB driver (RSUSB) there are none."""
        running = self._running
        if running is None or self._driver != "librealsense":
            return ()
        device = running.profile.get_device()
        port = read_info(device, load().camera_info.physical_port)
        return (Path(port),) if re.search(r"/video\d+$", port) else ()

    def set_exposure_region(self, box: PixelBox) -> None:
        """See `CameraSource.set_exposure_region`. The capture thread does it: the camera takes milliseconds."""
        self._steering.wish(box)

    def watch(self, tap: Tap | None) -> bool:
        """See `CameraSource.watch`."""
        self._tap = tap
        return True

    def set_emitter(self, on: bool) -> bool:
        """See `CameraSource.set_emitter`."""
        running = self._running
        if running is None or not switch_emitter(running.profile.get_device(), on):
            return False
        self._builder.emitter.switched(on)
        return True

    def close(self) -> None:
        """See `CameraSource.close`."""
        self._slot.close()
        self._thread.join(_CLOSE_S)
        self._stop()

    def _connect(self) -> None:
        for attempt in range(_TRIES):
            try:
                self._open()
            except StartFailed as error:
                self._stop()
                if attempt == _TRIES - 1 or error.cause in (Cause.FORBIDDEN, Cause.STREAMS):
                    raise
                log.warning("%s: %s; trying again", self._name, str(error))
                # Not where another program holds it: the reset would take it away from that one.
                if attempt == _TRIES - 2 and error.cause is Cause.WEDGED:
                    self._reset_camera()
                else:
                    self._closing.wait(_RETRY_S)
            else:
                return

    def _open(self) -> None:
        try:
            self._running = running = self._start()
            self._counts["options_refused"] += running.options_refused
            self._builder.use(running.profile)
            self._identity = read_identity(running.profile.get_device(), self._driver)
            self._steering = Steering(running.profile if running.exposure_region else None, self._steering)
        except RuntimeError as error:
            raise start_failed(error) from None

    def _reset_camera(self) -> None:
        if self._reset is None:
            return
        self._counts["resets"] += 1
        log.warning("%s: resetting the camera", self._name)
        try:
            self._reset(self._closing.wait)
        except CameraError as error:
            log.warning("%s: %s", self._name, str(error))

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
        self._slot.end(end)

    def _capture(self) -> None:
        seen_s = sound_s = time.monotonic()
        backoff_s, restarts = _BACKOFF_S, 0
        while not self._closing.is_set():
            step, now_s = self._poll(), time.monotonic()
            if step is not _Step.NOTHING:
                seen_s = now_s
            if step is _Step.SOUND:
                sound_s, backoff_s, restarts = now_s, _BACKOFF_S, 0
                continue
            if now_s - seen_s > self._patience.give_up_s:
                raise CameraLost(
                    f"{self._name}: no usable frame for {now_s - seen_s:.0f} s "
                    f"({self._counts['unpaired']} framesets unpaired, {self._counts['restarts']} restarts); "
                    "check cable and power, then start again"
                )
            if self._running is None or now_s - sound_s > self._patience.stall_s:
                self._closing.wait(backoff_s)
                backoff_s = min(2 * backoff_s, self._patience.backoff_max_s)
                self._restart(hard=restarts % _RESET_EVERY == _RESET_AFTER)
                restarts += 1
                sound_s = time.monotonic()  # a new start, and new patience

    def _poll(self) -> _Step:
        """Take one frameset, if there is one."""
        running = self._running
        if running is None:  # the last restart failed
            return _Step.NOTHING
        try:
            arrived, frameset = running.pipeline.try_wait_for_frames(_POLL_MS)
        except RuntimeError as error:
            if math.isinf(self._patience.stall_s):
                raise
            log.warning("%s: %s", self._name, str(error))
            self._stop()
            return _Step.NOTHING
        if not arrived:
            self._check_end(running)
            return _Step.NOTHING
        if self._tap is not None:
            self._tap(running.profile.get_device(), frameset)
        step = self._take(frameset)
        taken = self._steering.steer()
        if taken is not None:
            self._counts["regions_set" if taken else "regions_refused"] += 1
        return step

    def _take(self, frameset: Any) -> _Step:
        before = self._builder.last_number
        try:
            frame = self._builder.add(frameset)
        except (ValueError, RuntimeError) as error:
            self._counts["corrupt"] += 1
            log.debug("%s: %s", self._name, str(error))
            return _Step.NOTHING
        if frame is None:
            return _Step.NOTHING if self._builder.last_number == before else _Step.FLAWED
        frame, self._last = inspect(frame, self._last, now=self._driver == "librealsense")
        for flaw in frame.flaws:
            self._counts[FLAW_COUNTERS[flaw]] += 1
        self._warn_without_metadata(frame)
        self._slot.put(frame)
        return _Step.FLAWED if _NO_PICTURE.intersection(frame.flaws) else _Step.SOUND

    def _warn_without_metadata(self, frame: Frame) -> None:
        if frame.clock == "system" and self._driver == "librealsense" and not self._warned_no_metadata:
            self._warned_no_metadata = True
            log.warning(_NO_METADATA, self._name)

    def _check_end(self, running: Running) -> None:
        playback = running.profile.get_device().as_playback()
        if playback and playback.current_status().name == "stopped":
            # frames may still be on their way through the syncer
            while (last := running.pipeline.try_wait_for_frames(_POLL_MS))[0] and not self._closing.is_set():
                self._take(last[1])
            raise EndOfStream(f"{self._name}: end of the recording")

    def _restart(self, *, hard: bool) -> None:
        if self._closing.is_set():
            return
        self._counts["restarts"] += 1
        log.warning("%s: no sound frame for %g s, starting it again", self._name, self._patience.stall_s)
        self._stop()
        if hard and self._cause not in (Cause.BUSY, Cause.FORBIDDEN):
            self._reset_camera()
        if self._closing.is_set():
            return
        self._cause = None
        try:
            self._open()
        except CameraError as error:
            self._stop()
            self._cause = error.cause if isinstance(error, StartFailed) else None
            log.warning("%s: %s", self._name, str(error))

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
            self._counts["stops_left_behind"] += 1
            log.warning("%s: librealsense did not stop within %g s; left behind", self._name, _CLOSE_S)


def _stop_quietly(pipeline: Any) -> None:
    try:
        pipeline.stop()
    except RuntimeError as error:  # was not started, or the camera has gone
        log.debug("pipeline.stop: %s", str(error))
