"""Processes that share work hear no signal that is for their parent, and end with it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from edgefas.errors import EdgefasError
from edgefas.processes import DeafContext, worker_pool

PARENT = """
import multiprocessing, time
from edgefas.processes import worker_pool

if __name__ == "__main__":
    with worker_pool(2) as pool:
        [pool.submit(time.sleep, 0.1) for _ in range(2)][1].result()
        print(*(child.pid for child in multiprocessing.active_children()), flush=True)
        pool.submit(time.sleep, 1000).result()
"""


def runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_they_end_with_their_parent_and_of_no_signal_for_it(tmp_path: Path) -> None:
    (tmp_path / "parent.py").write_text(PARENT)
    with subprocess.Popen(
        [sys.executable, tmp_path / "parent.py"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as parent:
        assert parent.stdout is not None
        pids = [int(word) for word in parent.stdout.readline().split()]
        for number in (signal.SIGINT, signal.SIGTERM):
            for pid in pids:
                os.kill(pid, number)
        time.sleep(0.2)
        deaf = [runs(pid) for pid in pids]
        parent.kill()
    assert deaf == [True, True]
    deadline_s = time.monotonic() + 20
    while any(runs(pid) for pid in pids):
        assert time.monotonic() < deadline_s, "a process outlived its parent"
        time.sleep(0.05)


def test_one_that_was_killed_is_told() -> None:
    with (
        pytest.raises(EdgefasError, match="a process was ended from outside, maybe for want of memory"),
        worker_pool(1) as pool,
    ):
        pool.submit(os.kill, pool.submit(os.getpid).result(), signal.SIGKILL).result()


def test_they_end_whole_and_by_terminate_though_they_do_not_hear_it() -> None:
    deaf = DeafContext()
    done, failed, endless = deaf.Process(target=int), deaf.Process(target=int, args=("x",)), deaf.Process(target=hang)
    for process in (done, failed, endless):
        process.start()
    endless.terminate()
    for process in (done, failed, endless):
        process.join(30)
    assert (done.exitcode, failed.exitcode, endless.exitcode) == (0, 1, -signal.SIGKILL)


def hang() -> None:
    time.sleep(1000)
