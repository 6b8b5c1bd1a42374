"""Open a recording and nothing else: `python -m edgefas.sensors.realsense.probe FILE`, started by `playback`.

librealsense can crash or never come back from a damaged file (its index or its tables), so the first to open one is a
process that may be lost. Exit 0: it opens; 1: librealsense refuses it, and says why on stdout.
"""

from __future__ import annotations

import signal
import sys

from edgefas.sensors.realsense.sdk import load

LIMIT_S = 15
"""The one who asks waits less long; this ends the process even if he is gone."""


def main(path: str) -> int:
    """Exit code."""
    signal.alarm(LIMIT_S)  # its default action ends a process that is deep inside librealsense, too
    rs = load()
    config = rs.config()
    try:
        config.enable_device_from_file(path, repeat_playback=False)
        config.resolve(rs.pipeline_wrapper(rs.pipeline()))
    except RuntimeError as error:
        sys.stdout.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1]))
