"""Peak memory of one form of a network: a process of its own loads it, runs it, and reads what the kernel noted.

python -m edgefas.benchmarks.memory '{"model": …, "backend": …, "precision": …, "file": …}' THREADS
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

from edgefas.benchmarks.forms import Form, open_form
from edgefas.errors import EdgefasError

RUNS = 5
LIMIT_S = 300


def peak_mb(form: Form, threads: int) -> float:
    """Peak resident memory of a fresh process, in 10^6 bytes; the interpreter and its libraries count.

    Raises:
        EdgefasError: the process failed.
    """
    command = [sys.executable, "-m", "edgefas.benchmarks.memory", json.dumps(asdict(form)), str(threads)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, check=True)
    except subprocess.TimeoutExpired:
        raise EdgefasError(f"{form.model} on {form.backend} took more than {LIMIT_S} s to load and run") from None
    except subprocess.CalledProcessError as error:
        last = (error.stderr.strip().splitlines() or ["no text"])[-1]
        raise EdgefasError(f"{form.model} on {form.backend} failed in a process of its own: {last}") from None
    return float(done.stdout.splitlines()[-1])


def high_water_mb(status: str) -> float:
    """VmHWM of the text of /proc/PID/status."""
    line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024 / 1e6


if __name__ == "__main__":
    subject = open_form(Form(**json.loads(sys.argv[1])), int(sys.argv[2]))
    for _ in range(RUNS):
        subject.run()
    sys.stdout.write(f"\n{high_water_mb(Path('/proc/self/status').read_text())}\n")
