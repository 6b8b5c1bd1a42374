"""Two processes that torchrun started: they train one network, and stop and go on together."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

TRAIN = """
import os, signal, sys
from pathlib import Path
from tests.training.test_interruptions import relief, tiny
from edgefas.training import samples
from edgefas.training.loop import train
samples.samples_for = lambda data, split, *rest: relief(split.first_subject)

def report(what, done, total, note=""):
    print(what, done, total, flush=True)
    if sys.argv[3:] == ["stop"] and (what, done) == ("epoch 1", 3):
        os.kill(os.getpid(), signal.SIGTERM)  # one of the two alone hears it

best = train(tiny(batch_size=4), Path(sys.argv[1]), Path(sys.argv[1]), resume=sys.argv[2] == "resume", report=report)
print("best", best is not None)
"""


def torchrun(script: Path, *words: object, ranks: int = 2) -> subprocess.CompletedProcess[str]:
    root = Path(__file__).resolve().parents[2]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(root)}
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={ranks}", script]
    return subprocess.run(
        [*map(str, command), *map(str, words)], env=environment, capture_output=True, text=True, timeout=300
    )


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "train.py"
    path.write_text(TRAIN)
    return path


def test_two_processes_train_one_network(script: Path, tmp_path: Path) -> None:
    done = torchrun(script, tmp_path / "run", "anew")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines.count("epoch 1 6 6") == 1, "48 samples are six steps of twice four, and one process tells"
    assert (lines.count("best True"), lines.count("best False")) == (1, 1)


@pytest.mark.slow
def test_two_processes_stop_together_and_go_on(script: Path, tmp_path: Path) -> None:
    assert torchrun(script, tmp_path / "whole", "anew").returncode == 0
    stopped = torchrun(script, tmp_path / "broken", "anew", "stop")
    assert stopped.returncode != 0
    assert stopped.stderr.count("stopped after step 4 of epoch 1") == 2
    alone = torchrun(script, tmp_path / "broken", "resume", ranks=1)
    assert "was stopped within an epoch on 2 processes; resume it on as many" in alone.stderr
    resumed = torchrun(script, tmp_path / "broken", "resume")
    assert resumed.returncode == 0, resumed.stderr
    whole, broken = (
        [json.loads(line) for line in (tmp_path / name / "metrics.jsonl").read_text().splitlines()]
        for name in ("whole", "broken")
    )
    for one, other in zip(whole, broken, strict=True):
        assert one["loss"] == pytest.approx(other["loss"], rel=1e-6)
        assert one["validation_loss"] == pytest.approx(other["validation_loss"], rel=1e-6)
