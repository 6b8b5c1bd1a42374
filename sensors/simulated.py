"""SimulatedSource: an episode, rendered once by a child process, played through the real librealsense.

Child: renders N frames into shared memory, then keeps time and says which frame is due. Parent: pushes that frame
into a software D435 and reads it back from an ordinary pipeline, exactly as it would read a camera.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import shutil
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import count
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from edgefas.errors import EdgefasError
from edgefas.sensors.alignment import PixelBox
from edgefas.sensors.frame import Calibration, Exposure, Frame
from edgefas.sensors.realsense.camera import FPS, RecordTo, open_camera
from edgefas.sensors.realsense.profile import Emitter
from edgefas.sensors.realsense.software import SoftwareBus, SoftwareD435
from edgefas.sensors.source import (
    CameraError,
    CameraIdentity,
    CameraLost,
    CameraSource,
    CameraTimeout,
    SourceStats,
    Tap,
)

Render = Callable[[Any, int], Frame]
"""(episode, index) -> Frame with all four streams; a function of a module, so that a child process can import it."""
Progress = Callable[[int, int], None]
"""Called with (frames rendered, frames in all)."""

_SHARED = Path("/dev/shm")  # noqa: S108 - asked for its free space only
_GO = "go"
_T = TypeVar("_T")


@dataclass(frozen=True)
class _Layout:
    calibration: Calibration
    depth_scale_m: float
    camera: str

    @property
    def dtype(self) -> np.dtype[Any]:
        """One frame in shared memory."""
        grid, color = self.calibration.depth, self.calibration.color
        shape = (grid.height_px, grid.width_px)
        return np.dtype(
            [
                ("color", "u1", (color.height_px, color.width_px, 3)),
                ("ir_lit", "u1", shape),
                ("ir_unlit", "u1", shape),
                ("depth", "u2", shape),
            ]
        )


@dataclass(frozen=True)
class _Rendered:
    lit: Exposure | None
    unlit: Exposure | None


@dataclass(frozen=True)
class _Due:
    index: int
    lit: bool
    number: int
    device_ns: int


@dataclass(frozen=True)
class _Failed:
    text: str


class SimulatedSource(CameraSource):
    """Plays an episode's frames to and fro for ever, at 30 Frames a second of device time."""

    live = True

    def __init__(
        self,
        episode: Any,
        *,
        render: Render,
        frames: int = 30,
        emitter: Emitter = "on",
        record_to: RecordTo | None = None,
        progress: Progress | None = None,
    ) -> None:
        """Render, then start.

        Args:
            episode: what `render` understands; sent to the child process.
            render: draws one frame.
            frames: how many are rendered, before they are looped.
            emitter: `alternate` sends an unlit and a lit frameset per rendered frame, 60 a second.
            record_to: as in `open_camera`.
            progress: called after each rendered frame.

        Raises:
            CameraError: the frames cannot be rendered, or do not fit into shared memory.
        """
        self._stack = contextlib.ExitStack()  # undone in reverse: stop pushing, stop the pipeline, free the memory
        try:
            self._link, self._child = _start_child(render, episode, frames, emitter)
            self._stack.callback(self._end_child)
            layout = self._hear(_Layout)
            self._clip = self._share(layout, frames)
            self._exposures = []
            for done in range(frames):
                self._exposures.append(self._hear(_Rendered))
                if progress is not None:
                    progress(done + 1, frames)
            self._source = self._open(layout, emitter, record_to)
            self._pump = threading.Thread(target=self._push, name="edgefas simulated", daemon=True)
            self._pump.start()
            self._stack.callback(self._stop_pushing)
        except BaseException:
            self.close()
            raise

    def read(self, timeout_s: float = 1.0) -> Frame:
        """See `CameraSource.read`."""
        try:
            return self._source.read(timeout_s)
        except CameraTimeout:
            if not self._child.is_alive():
                raise CameraLost("the simulated camera's process has ended; start it again") from None
            raise

    def stats(self) -> SourceStats:
        """See `CameraSource.stats`."""
        return self._source.stats()

    def identity(self) -> CameraIdentity:
        """See `CameraSource.identity`."""
        return replace(self._source.identity(), driver="simulated")

    def set_exposure_region(self, box: PixelBox) -> None:
        """See `CameraSource.set_exposure_region`."""
        self._source.set_exposure_region(box)

    def watch(self, tap: Tap | None) -> bool:
        """See `CameraSource.watch`."""
        return self._source.watch(tap)

    def set_emitter(self, on: bool) -> bool:
        """See `CameraSource.set_emitter`; what is pushed from now on obeys."""
        return self._source.set_emitter(on)

    def close(self) -> None:
        """See `CameraSource.close`."""
        self._stack.close()

    def _hear(self, kind: type[_T]) -> _T:
        try:
            message = self._link.recv()
        except EOFError:
            raise CameraError("the simulated camera's process ended while rendering") from None
        if isinstance(message, _Failed):
            raise CameraError(f"the simulated camera failed: {message.text}")
        assert isinstance(message, kind), message
        return message

    def _share(self, layout: _Layout, frames: int) -> npt.NDArray[Any]:
        size = frames * layout.dtype.itemsize
        try:
            free = shutil.disk_usage(_SHARED).free
        except OSError as error:
            raise CameraError(f"the simulated camera needs {_SHARED}: {error.strerror}") from None
        if size > free:  # writing beyond it would kill the process with SIGBUS
            raise CameraError(
                f"{frames} simulated frames need {size >> 20} MiB of {_SHARED}, {free >> 20} MiB are free; "
                f"use fewer: --camera simulated:frames={max(1, free // layout.dtype.itemsize)}"
            )
        memory = SharedMemory(create=True, size=size)
        self._stack.callback(self._unshare, memory)
        self._link.send(memory.name)
        return np.ndarray((frames,), layout.dtype, memory.buf)

    def _unshare(self, memory: SharedMemory) -> None:
        del self._clip  # a view holds the memory open
        memory.close()
        memory.unlink()

    def _open(self, layout: _Layout, emitter: Emitter, record_to: RecordTo | None) -> CameraSource:
        bus = SoftwareBus()
        self._camera = SoftwareD435(
            bus,
            layout.calibration,
            serial=layout.camera,
            fps=FPS[emitter],
            depth_scale_m=layout.depth_scale_m,
            alternating=emitter == "alternate",
        )
        grid, color = layout.calibration.depth, layout.calibration.color
        source = open_camera(
            emitter=emitter,
            size_px=(grid.width_px, grid.height_px),
            color_size_px=(color.width_px, color.height_px),
            record_to=record_to,
            context=bus.context,
        )
        self._stack.callback(source.close)
        return source

    def _push(self) -> None:
        """Parent's thread: what the child says is due goes into the software camera."""
        with contextlib.suppress(EOFError, OSError):  # the child has ended, or we are closing
            self._link.send(_GO)
            while True:
                self._push_one(self._link.recv())

    def _push_one(self, due: _Due) -> None:
        frame, exposures = self._clip[due.index], self._exposures[due.index]
        lit = due.lit and self._camera.emitter_enabled
        self._camera.push(
            due.number,
            due.device_ns,
            depth=frame["depth"],
            ir=frame["ir_lit"] if lit else frame["ir_unlit"],
            color=frame["color"],
            lit=lit,
            exposure=exposures.lit if lit else exposures.unlit,
        )

    def _stop_pushing(self) -> None:
        self._end_child()
        self._pump.join()

    def _end_child(self) -> None:
        self._child.kill()  # it owns nothing
        self._child.join()


def _start_child(render: Render, episode: Any, frames: int, emitter: Emitter) -> tuple[Connection, BaseProcess]:
    # spawn: a forked child would inherit librealsense's threads in an unknown state
    spawn = multiprocessing.get_context("spawn")
    link, far_end = spawn.Pipe()
    child = spawn.Process(target=_run_child, args=(far_end, render, episode, frames, emitter), daemon=True)
    child.start()
    far_end.close()  # so that the end of the child is the end of the link
    return link, child


def _run_child(link: Connection, render: Render, episode: Any, frames: int, emitter: Emitter) -> None:
    """Render, then keep time until the parent is gone: whatever is said to it then fails."""
    for number in (signal.SIGINT, signal.SIGTERM):  # sent to the group, they are for the parent to act on
        signal.signal(number, signal.SIG_IGN)
    with contextlib.suppress(BrokenPipeError, ConnectionResetError, EOFError):
        try:
            _render_all(link, render, episode, frames)
        except EdgefasError as error:
            link.send(_Failed(str(error)))
            return
        except (ValueError, ArithmeticError, LookupError, TypeError, MemoryError) as error:
            link.send(_Failed(f"{type(error).__name__}: {error}"))
            return
        assert link.recv() == _GO
        _keep_time(link, frames, emitter)


def _render_all(link: Connection, render: Render, episode: Any, frames: int) -> None:
    frame = render(episode, 0)
    layout = _Layout(frame.calibration, frame.depth_scale_m, frame.camera)
    link.send(layout)
    memory = SharedMemory(link.recv())
    clip: Any = np.ndarray((frames,), layout.dtype, memory.buf)
    for index in range(frames):
        frame = render(episode, index) if index else frame
        for name in layout.dtype.names or ():
            clip[name][index] = getattr(frame, name)
        link.send(_Rendered(frame.ir_lit_exposure, frame.ir_unlit_exposure))
    del clip
    memory.close()


def _keep_time(link: Connection, frames: int, emitter: Emitter) -> None:
    per_frame, fps = FPS[emitter] // FPS["on"], FPS[emitter]
    to_and_fro = [*range(frames), *range(frames - 2, 0, -1)]
    start_s = time.monotonic()
    for number in count(1):
        time.sleep(max(0.0, start_s + number / fps - time.monotonic()))
        moment, part = divmod(number - 1, per_frame)
        lit = part == per_frame - 1  # alternating: unlit, then lit
        link.send(_Due(to_and_fro[moment % len(to_and_fro)], lit, number, number * 1_000_000_000 // fps))
