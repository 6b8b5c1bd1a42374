"""SimulatedSource: a child process renders, librealsense carries, and nothing outlives its parent."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import psutil
import pytest

from edgefas.sensors.open import open_source
from edgefas.sensors.simulated import SimulatedSource
from edgefas.sensors.source import CameraError, CameraLost, CameraTimeout
from tests.sensors.scenes import render_moment
from tests.sensors.soft_camera import wait_until


def _expected_index(number: int, frames: int) -> int:
    """To and fro: 0 1 2 3 2 1 0 1 ... for four frames."""
    turn = (number - 1) % max(1, 2 * frames - 2)
    return min(turn, 2 * frames - 2 - turn)


def test_frames_are_the_rendered_ones_to_and_fro():
    with SimulatedSource("noise", render=render_moment, frames=4) as source:
        got = [source.read(20) for _ in range(14)]
    assert source.live
    for frame in got:
        rendered = render_moment("noise", _expected_index(frame.number, 4))
        assert np.array_equal(frame.color, rendered.color)
        assert np.array_equal(frame.ir_lit, rendered.ir_lit)
        assert np.array_equal(frame.depth, rendered.depth)
        assert frame.ir_unlit is None
        assert frame.ir_lit_exposure == rendered.ir_lit_exposure
        assert frame.device_ns == pytest.approx(frame.number * 1e9 / 30, abs=1000)
        assert frame.camera == "TEST"


def test_alternating_gives_both_infrared_pictures_of_one_rendered_frame():
    with SimulatedSource("noise", render=render_moment, frames=3, emitter="alternate") as source:
        got = [source.read(20) for _ in range(8)]
    complete = [frame for frame in got if frame.ir_unlit is not None]
    assert len(complete) >= 4  # the machine may be busy
    for frame in complete:
        rendered = render_moment("noise", _expected_index(frame.number // 2, 3))
        assert frame.number % 2 == 0
        assert np.array_equal(frame.ir_lit, rendered.ir_lit)
        assert np.array_equal(frame.ir_unlit, rendered.ir_unlit)
        assert np.array_equal(frame.color, rendered.color)


def test_one_frame_stands_still():
    seen = []
    with SimulatedSource("noise", render=render_moment, frames=1, progress=lambda *done: seen.append(done)) as source:
        a, b = source.read(20), source.read(20)
    assert seen == [(1, 1)]
    assert a.number < b.number
    assert np.array_equal(a.color, b.color)


def test_a_scene_that_cannot_be_rendered():
    with pytest.raises(CameraError, match="ValueError: this scene cannot be rendered"):
        SimulatedSource("broken", render=render_moment, frames=4)


def test_too_little_shared_memory(monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=300_000))
    with pytest.raises(CameraError, match="use fewer: --camera simulated:frames=2"):
        SimulatedSource("noise", render=render_moment, frames=30)


def test_a_dead_child_is_a_lost_camera():
    with SimulatedSource("noise", render=render_moment, frames=2) as source:
        source.read(20)
        source._child.kill()

        def lost() -> bool:
            with contextlib.suppress(CameraTimeout):
                source.read(0.1)
            return False

        with pytest.raises(CameraLost, match="process has ended"):
            wait_until(lost)


def shared_memory() -> set[str]:
    """Files of it that this process has mapped; other tests make theirs next to it."""
    return {one.path for one in psutil.Process().memory_maps() if one.path.startswith("/dev/shm/")}


def test_close_twice_leaves_no_process_and_no_memory():
    before = shared_memory()
    source = SimulatedSource("noise", render=render_moment, frames=2)
    child = source._child.pid
    shared = shared_memory() - before
    assert shared
    source.close()
    source.close()
    assert not psutil.pid_exists(child)
    assert not [path for path in shared if Path(path).exists()]
    assert shared_memory() <= before


def test_closed_before_its_first_frame_is_due(monkeypatch):
    push, ended = SimulatedSource._push, []

    def late(self: SimulatedSource) -> None:
        self._child.join()
        push(self)
        ended.append("well")

    monkeypatch.setattr(SimulatedSource, "_push", late)
    SimulatedSource("noise", render=render_moment, frames=2).close()
    assert ended == ["well"]


_PARENT = """
import sys, time
from edgefas.sensors.simulated import SimulatedSource
from tests.sensors.scenes import render_moment
if __name__ == "__main__":
    source = SimulatedSource("noise", render=render_moment, frames=2)
    print(source._child.pid, flush=True)
    time.sleep(600)
"""


def test_the_child_dies_with_a_killed_parent(tmp_path):
    script = tmp_path / "parent.py"
    script.write_text(_PARENT)
    root = Path(__file__).parents[2]
    with subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(root)}
    ) as parent:
        child = int(parent.stdout.readline())
        assert psutil.pid_exists(child)
        parent.send_signal(signal.SIGKILL)
    assert wait_until(lambda: not psutil.pid_exists(child) or psutil.Process(child).status() == "zombie")


def test_the_default_is_the_simulator():
    from edgefas.sensors.simulator.episode import parse_options
    from edgefas.sensors.simulator.render import render

    options = "species=flat_print,subject=3,seed=7"
    rendered = render(parse_options(options), 0)
    with open_source(f"simulated:{options},frames=1") as source:
        got = source.read(20)
    assert np.array_equal(got.color, rendered.color)
    assert np.array_equal(got.ir_lit, rendered.ir_lit)
    assert np.array_equal(got.depth, rendered.depth)
    assert got.camera == rendered.camera
    assert got.calibration.depth.fx_px == pytest.approx(rendered.calibration.depth.fx_px)


@pytest.mark.parametrize("emitter", ["on", "alternate"])
def test_a_switched_off_emitter_shows_in_the_frames_and_comes_back(emitter):
    with SimulatedSource("noise", render=render_moment, frames=3, emitter=emitter) as source:
        assert wait_until(lambda: source.read(20).ir_lit is not None)
        assert source.set_emitter(False)
        assert wait_until(lambda: source.read(20).ir_lit is None)
        dark = [source.read(20) for _ in range(4)]
        assert source.set_emitter(True)
        assert wait_until(lambda: source.read(20).ir_lit is not None)
    assert all(frame.ir_lit is None for frame in dark)
    per_frame = 2 if emitter == "alternate" else 1
    for frame in dark:
        index = _expected_index((frame.number + per_frame - 1) // per_frame, 3)
        assert np.array_equal(frame.ir_unlit, render_moment("noise", index).ir_unlit)
