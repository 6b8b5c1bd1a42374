"""Stands in for `edgefas live`: behaves as the name of the bundle says, and gives lines as fast as a camera would."""

from __future__ import annotations

import io
import json
import signal
import sys
import time
import zipfile
from pathlib import Path

HEADER_BYTES = 86
LINE = {
    "schema": "edgefas.decision/1", "frame": 0, "device_ns": 0, "decision": "no_decision", "reason": "no_face",
    "score": None, "state": {"decision": "no_decision", "since_ns": None, "rule": "vote", "evidence": None},
    "face": None, "median_z_mm": None, "faces": 0, "each": [], "modalities": [], "trust": "signed",
    "source": "simulated", "timing": {},
}  # fmt: skip


def main() -> None:
    """Run until SIGTERM, or as long as the behaviour lets it."""
    path = Path(sys.argv[sys.argv.index("--model") + 1])
    with zipfile.ZipFile(io.BytesIO(path.read_bytes()[HEADER_BYTES:])) as archive:
        name = json.loads(archive.read("manifest.json"))["name"]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    if name == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    frame = 0
    while True:
        frame += 1
        if name == "crashes" and frame > 5:
            sys.exit("error: the network has eaten itself")
        reason = {"faulty": "engine_failed", "late": "engine_late"}.get(name, "no_face")
        number = None if name == "blind" else frame
        if name != "mute":
            print(json.dumps(LINE | {"frame": number, "reason": reason}), flush=True)
        time.sleep(0.02)


if __name__ == "__main__":
    main()
