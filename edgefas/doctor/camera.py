"""`edgefas doctor --camera`: watch a camera for a while and write down what only the hardware can tell."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import cv2

import edgefas
from edgefas.doctor.camera_report import CameraReport, Host, emitter_report, find
from edgefas.doctor.camera_watch import Spread, Watched, rate
from edgefas.engines.boards import board_name
from edgefas.sensors.frame import Frame
from edgefas.sensors.notes import now_aware
from edgefas.sensors.open import open_source
from edgefas.sensors.simulated import Progress
from edgefas.sensors.source import CameraError, CameraTimeout, EndOfStream

_POLL_S = 0.5


def examine(
    source: str,
    seconds: float,
    *,
    record_to: Path | None = None,
    profile: str | None = None,
    stopped: Callable[[], bool] = lambda: False,
    progress: Callable[[float, int], None] = lambda seconds, frames: None,
    rendering: Progress | None = None,
) -> CameraReport:
    """Watch `source` for `seconds` of host time, or to its end.

    Args:
        source: as `open_source` takes it; what has no librealsense behind it is told with less. Of a recording the
            first few framesets pass before they are watched.
        record_to: also record to this .db3 file; cameras only.
        profile: as `open_source` takes it.
        stopped: asked after each frame; True ends it early.
        progress: told (seconds so far, Frames so far).
        rendering: told about the rendering of a simulated camera.

    Raises:
        CameraError: it cannot be opened. A camera that is lost later is part of the report.
        UsageError: `source` is no source.
    """
    watched, error = Watched(), ""
    frames: list[tuple[int, int]] = []
    latencies = Spread()
    with open_source(source, record_to=record_to, profile=profile, progress=rendering) as camera:
        camera.watch(watched.take)
        begin_s = time.monotonic()
        while time.monotonic() - begin_s < seconds and not stopped():
            try:
                frame = camera.read(_POLL_S)
            except CameraTimeout:
                continue
            except EndOfStream:
                break
            except CameraError as lost:
                error = str(lost)
                break
            _note(frame, frames, latencies, live=camera.live)
            progress(time.monotonic() - begin_s, len(frames))
        camera.watch(None)
        watched.finish()
        report = CameraReport(
            edgefas=edgefas.__version__,
            made=now_aware(),
            source=source,
            seconds=round(time.monotonic() - begin_s, 2),
            host=read_host(),
            identity=camera.identity(),
            info=watched.info,
            streams=watched.streams(),
            sensors=watched.sensors,
            temperatures=watched.temperatures,
            emitter=emitter_report(watched.emitter, watched.specks.range()),
            frames=len(frames),
            fps=rate(len(frames), [ns for _, ns in frames[:1] + frames[-1:]]),
            latency_ms=latencies.range(),
            stats=camera.stats(),
            error=error,
        )
    return report.model_copy(update={"findings": find(report)})


def read_host() -> Host:
    """The machine."""
    try:
        wheel: str | None = version("pyrealsense2")
    except PackageNotFoundError:
        wheel = None
    try:
        l4t: str | None = Path("/etc/nv_tegra_release").read_text().splitlines()[0]
    except (OSError, IndexError):
        l4t = None
    return Host(
        machine=platform.machine(),
        kernel=platform.release(),
        python=platform.python_version(),
        board=board_name(),
        l4t=l4t,
        pyrealsense2=wheel,
        opencv=cv2.__version__,
    )


def _note(frame: Frame, frames: list[tuple[int, int]], latencies: Spread, *, live: bool) -> None:
    frames.append((frame.number, frame.device_ns))
    if live:
        latencies.add((time.monotonic_ns() - frame.host_ns) / 1e6)


def examine_and_keep(source: str, seconds: float, recording: Path | None, **options: Any) -> CameraReport:
    """`examine`; its recording appears under its name when it is complete.

    Raises:
        CameraError: as `examine`, or the recording exists or cannot be written.
    """
    if recording is None:
        return examine(source, seconds, **options)
    if recording.suffix != ".db3" or recording.exists() or not recording.parent.is_dir():
        raise CameraError(f"{recording}: must be a new .db3 file in a folder that exists")
    unfinished = recording.with_name(f".{recording.stem}.{os.getpid()}.partial.db3")
    try:
        report = examine(source, seconds, record_to=unfinished, **options)
        os.replace(unfinished, recording)
    except OSError as error:
        raise CameraError(f"cannot write {recording}: {error.strerror}") from None
    finally:
        unfinished.unlink(missing_ok=True)
    return report
