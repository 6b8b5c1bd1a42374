"""Play a librealsense recording: .db3 (SQLite, since 2.58) or .bag (ROS 1)."""

from __future__ import annotations

import math
import re
import struct
import subprocess
import sys
from pathlib import Path

from edgefas.sensors.realsense.sdk import load
from edgefas.sensors.realsense.source import Patience, RealSenseSource, Running
from edgefas.sensors.source import CameraError

_SQLITE_MAGIC = b"SQLite format 3\0"
_BAG_MAGIC = b"#ROSBAG V2.0\n"
_PROBE_S = 10.0
"""An intact recording opens in under a second; some damaged ones never do."""


def open_recording(path: Path, *, realtime: bool = False) -> RealSenseSource:
    """A recording as a source.

    Args:
        path: a .db3 or .bag file.
        realtime: False gives every moment once, in order, as fast as it is read; True plays at the recorded pace
            and drops what is not read in time, as a camera would.

    Raises:
        CameraError: the file is missing, is no recording, is cut short, or has neither depth nor infrared.
    """
    check_recording(path)
    _probe(path)
    silence_s = math.inf if realtime else 10.0
    return RealSenseSource(
        path.name,
        lambda: _start(path, realtime),
        live=realtime,
        patience=Patience.without_restart(silence_s),
        driver="file",
    )


def check_recording(path: Path) -> None:
    """Refuse what librealsense would fail on with an obscure message, or silently play the beginning of.

    Raises:
        CameraError: see `open_recording`.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(4096)
    except FileNotFoundError:
        raise CameraError(f"no such recording: {path}; make one with: edgefas record {path.stem}.db3") from None
    except OSError as error:
        raise CameraError(f"cannot read {path}: {error.strerror}") from None
    if path.suffix == ".db3" and head.startswith(_SQLITE_MAGIC):
        whole = _sqlite_size(head)
    elif path.suffix == ".bag" and head.startswith(_BAG_MAGIC):
        whole = _bag_size(path, head)
    else:
        kind = "SQLite file" if path.suffix == ".db3" else "ROS 1 bag"
        raise CameraError(f"{path} is not a recording: its first bytes are not those of a {kind}")
    if size < whole:
        raise CameraError(f"{path} is cut short: {size} bytes of at least {whole}; copy or record it again")


def _probe(path: Path) -> None:
    """Let another process open the file first: see `probe`."""
    load()  # what is missing here is missing there
    command = [sys.executable, "-m", "edgefas.sensors.realsense.probe", str(path.resolve())]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_PROBE_S, check=False)
    except subprocess.TimeoutExpired:
        raise CameraError(f"{path} is damaged: librealsense does not finish opening it; record it again") from None
    if done.returncode < 0:
        raise CameraError(f"{path} is damaged: librealsense crashes when it opens it; record it again")
    if done.returncode:
        why = (done.stdout.strip() or done.stderr.strip()).splitlines()[-1:]
        raise CameraError(f"librealsense cannot play {path} ({' '.join(why)}); record it again")


def _sqlite_size(head: bytes) -> int:
    """Page size times page count (https://www.sqlite.org/fileformat.html, 1.3)."""
    if len(head) < 100:
        return 100
    page: int = struct.unpack_from(">H", head, 16)[0]
    pages: int = struct.unpack_from(">I", head, 28)[0]
    return (65536 if page == 1 else page) * pages


def _bag_size(path: Path, head: bytes) -> int:
    """Where the index begins (http://wiki.ros.org/Bags/Format/2.0): it is written last."""
    match = re.search(rb"index_pos=(.{8})", head, re.DOTALL)
    position: int = struct.unpack("<Q", match.group(1))[0] if match else 0
    if position == 0:
        raise CameraError(f"{path} was not closed when it was recorded: run `rosbag reindex`, or record it again")
    return position + 1


def _start(path: Path, realtime: bool) -> Running:
    rs = load()
    config = rs.config()
    try:
        config.enable_device_from_file(str(path), repeat_playback=False)
        pipeline = rs.pipeline()
        playback = config.resolve(rs.pipeline_wrapper(pipeline)).get_device().as_playback()
        playback.set_real_time(realtime)  # now: a pipeline starts in real time, and would drop the first frames
        # Reading begins with the first sensor that starts; what it finds for the others until they have started is
        # lost, so the first moment would be there or not by chance.
        playback.pause()
        profile = pipeline.start(config)
        playback.resume()
        return Running(pipeline, profile)
    except RuntimeError as error:
        raise CameraError(f"librealsense cannot play it ({error}); record it again") from None
