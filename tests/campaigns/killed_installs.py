"""`edgefas slot install` killed at every step it takes on the disk: what was good stays, and a second run completes.

    python -m tests.campaigns.killed_installs --count 240 -o tests/campaigns/results/killed_installs.json

Case n kills the installation (SIGKILL, from within, so that the place is exact) just before its n-th step under the
board's folder: an open, a rename, a removal, a new folder, a child. A step more than there are is the whole run. Three
boards take turns: an empty one, one with a release in service, and one with a fallback, too.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import track

from edgefas.deploy.bundle import BundleError, open_bundle
from edgefas.deploy.install import install
from edgefas.deploy.slots import Slots, commit, rollback
from edgefas.deploy.trust import FOLDER_VARIABLE, load_trust
from tests.campaigns.report import finish
from tests.deploy.releases import open_office

BOARDS = 3
KILLER = """
import os, signal, sys
from edgefas.cli.main import run
root, left = os.environ["EDGEFAS_ROOT"], int(sys.argv[1])
WATCHED = {"open", "os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.chmod", "os.link", "subprocess.Popen"}

def hook(event, arguments):
    global left
    if event in WATCHED and (event == "subprocess.Popen" or str(arguments[0]).startswith(root)):
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(hook)
sys.exit(run(["slot", "install", sys.argv[2]]))
"""


@dataclass(frozen=True)
class Outcome:
    """One case; `killed` False: the installation was over before its n-th step."""

    case: int
    board: int
    step: int
    killed: bool
    problem: str | None


def run_campaign(first: int, count: int) -> Iterator[Outcome]:
    """Cases `first` to `first + count - 1`: each board in turn, one step further each round."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        office = open_office(folder)
        office.trusted_in(folder / "trust")
        bundles = [office.release(number) for number in range(1, BOARDS + 1)]
        for case in range(first, first + count):
            yield run_case(case, bundles, folder / f"root-{case}", folder / "trust")


def run_case(case: int, bundles: list[Path], root: Path, trust: Path) -> Outcome:
    """Prepare a board, kill an installation, look, run it again."""
    board, step = case % BOARDS, case // BOARDS + 1
    slots, before = Slots(root), os.environ.get(FOLDER_VARIABLE)
    os.environ[FOLDER_VARIABLE] = str(trust)
    try:
        prepared = Slots(root.with_name(f"prepared-{board}"))
        if not prepared.root.exists():
            prepared.root.mkdir()
            for bundle in bundles[:board]:
                install(bundle, prepared)
                prepared.change(commit)
        shutil.copytree(prepared.root, root)
        command = [sys.executable, "-c", KILLER, str(step), str(bundles[board])]
        env = {**os.environ, "EDGEFAS_ROOT": str(root)}
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120, check=False)
        killed = done.returncode == -9
        problem = None if killed or done.returncode == 0 else f"ended with {done.returncode}: {done.stderr[-300:]}"
        return Outcome(case, board, step, killed, problem or _look(slots, board, bundles[board], trust))
    finally:
        if before is None:
            del os.environ[FOLDER_VARIABLE]
        else:
            os.environ[FOLDER_VARIABLE] = before


def _look(slots: Slots, good: int, bundle: Path, trust: Path) -> str | None:
    """What is wrong with the board now, or after a second run; None if nothing."""
    state = slots.read()
    here = state.fallback if state.on_trial else state.active
    if (here.number if here else 0) != good:
        return f"release {good} was good, and now {here} is"
    for release in (state.active, state.fallback):
        if release is not None:
            try:
                opened = open_bundle(slots.bundle(release), trust=load_trust([trust]))
            except BundleError as error:
                return f"{release}: {error}"
            if opened.sha256 != release.bundle_sha256:
                return f"{release}: other content in its slot"
    if state.on_trial:
        slots.change(lambda now: rollback(now, "the board was killed"))
    again = install(bundle, slots).state
    if not again.on_trial or again.active is None or again.active.number != good + 1:
        return f"a second run gave {again}"
    rubbish = [path.name for path in (slots.root / "slots").iterdir() if path.name not in ("a", "b")]
    return f"left behind: {rubbish}" if rubbish else None


def main(
    count: Annotated[int, typer.Option(min=1)] = 240,
    first: Annotated[int, typer.Option(min=0)] = 0,
    out: Annotated[Path | None, typer.Option("-o", "--out")] = None,
) -> None:
    """Run the campaign; exits 1 if a case failed."""
    outcomes = list(track(run_campaign(first, count), "installations", count))
    failed = [vars(outcome) for outcome in outcomes if outcome.problem]
    steps = dict(Counter(outcome.board for outcome in outcomes if outcome.killed))
    finish("killed_installs", out, failed, cases=count, killed=sum(steps.values()), steps_by_board=steps)


if __name__ == "__main__":
    typer.run(main)
