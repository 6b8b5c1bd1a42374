"""kill -9 in the middle of a flash, of the controller or of everything on the board: nothing is lost.

    python -m tests.campaigns.killed_flashes --count 120 -o tests/campaigns/results/killed_flashes.json

Even cases kill the controller (`edgefas flash`, a process of its own), odd ones every process that the board runs for
it, as a reboot does. The moment is drawn over the whole time that a flash takes, and a tenth beyond. Then the release
that was good must be in service, or be the fallback of the new one, and the same command must put the new one on trial.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal
from unittest import mock

import numpy as np
import psutil
import typer
import yaml
from rich.progress import track

from edgefas.demo.loopback import LoopbackBoard, loopback_boards
from edgefas.deploy.trust import FOLDER_VARIABLE
from tests.campaigns.cut_flashes import CARD_BYTES, end_trial, fresh_board, problem_of, wait_for_the_board
from tests.campaigns.report import finish
from tests.deploy.releases import open_office

BEYOND = 1.1
OVER = "over"


@dataclass(frozen=True)
class Outcome:
    """One case; `stage` is the last that the controller spoke of before, OVER where the flash had ended by itself."""

    case: int
    victim: Literal["controller", "board"]
    at_s: float
    stage: str
    problem: str | None


def run_campaign(first: int, count: int) -> Iterator[Outcome]:
    """Cases `first` to `first + count - 1`, on one board that is emptied between them."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        office = open_office(folder)
        office.trusted_in(folder / "trust")
        old, new = office.release(1), office.release(2, card=np.random.default_rng(2).bytes(CARD_BYTES))
        with (
            mock.patch.dict(os.environ, {FOLDER_VARIABLE: str(folder / "trust")}),
            loopback_boards(folder, ["door"]) as boards,
        ):
            office.trusted_in(boards["door"].trust)
            begin = time.monotonic()
            _finish(_flash(folder, fresh_board(folder, boards["door"], "whole", old), new))
            whole_s = time.monotonic() - begin
            for case in range(first, first + count):
                at_s = float(np.random.default_rng([163, case]).uniform(0, BEYOND * whole_s))
                board = fresh_board(folder, boards["door"], f"case-{case}", old)
                yield _run_case(case, at_s, folder, board, new)


def _run_case(case: int, at_s: float, folder: Path, board: LoopbackBoard, new: Path) -> Outcome:
    first = _flash(folder, board, new)
    time.sleep(at_s)
    if case % 2 == 0:
        first.send_signal(signal.SIGKILL)
    else:
        _kill_all_of(folder / "door" / "pid")
    told, said = first.communicate(timeout=120)
    stages = [line.split(" ")[1] for line in said.splitlines() if line.startswith("door: ")]
    stage = OVER if '"installed"' in told else _stage_of_death(stages)
    wait_for_the_board(board.slots)
    problem = problem_of(board.slots)
    end_trial(board.slots)
    status, detail = _finish(_flash(folder, board, new))
    if status != "installed":
        problem = problem or f"the second flash is {status}: {detail}"
    problem = problem or problem_of(board.slots)
    return Outcome(case, "controller" if case % 2 == 0 else "board", round(at_s, 2), stage, problem)


def _stage_of_death(stages: list[str]) -> str:
    """The last one that is work: not what a controller says of a board that has died."""
    return next((stage for stage in reversed(stages) if stage not in ("done", "failed")), "before the first word")


def _flash(folder: Path, board: LoopbackBoard, bundle: Path) -> subprocess.Popen[str]:
    fleet = folder / "fleet.yaml"
    fleet.write_text(yaml.safe_dump({"boards": {"door": json.loads(board.board.to_json())}}))
    command = [sys.executable, "-m", "edgefas", "flash", "--inventory", str(fleet), "--bundle", str(bundle), "--json"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def _finish(process: subprocess.Popen[str]) -> tuple[str, str]:
    out, err = process.communicate(timeout=300)
    try:
        board = json.loads(out)["boards"][0]
    except (ValueError, KeyError, IndexError):
        return "silent", err[-500:]
    return board["status"], board["detail"]


def _kill_all_of(pid_file: Path) -> None:
    """What the server started, but not the server: it is back after a reboot."""
    server = psutil.Process(int(pid_file.read_text()))
    for process in server.children(recursive=True):
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue


def main(
    count: Annotated[int, typer.Option(min=1)] = 120,
    first: Annotated[int, typer.Option(min=0)] = 0,
    out: Annotated[Path | None, typer.Option("-o", "--out")] = None,
) -> None:
    """Run the campaign; exits 1 if a case failed."""
    outcomes = list(track(run_campaign(first, count), "kills", count))
    failed = [vars(outcome) for outcome in outcomes if outcome.problem]
    stages = dict(Counter(f"{outcome.victim}: {outcome.stage}" for outcome in outcomes))
    killed = sum(outcome.stage != OVER for outcome in outcomes)
    finish("killed_flashes", out, failed, cases=count, killed=killed, killed_in=stages)


if __name__ == "__main__":
    typer.run(main)
