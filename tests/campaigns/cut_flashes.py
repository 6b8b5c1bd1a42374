"""Flashing over a link that is cut at a random byte, again and again, until it is through: nothing is lost.

    python -m tests.campaigns.cut_flashes --count 120 -o tests/campaigns/results/cut_flashes.json

Case n draws the byte at which the connection to the board (a real OpenSSH server) ends, both ways at once, anywhere
from the first of the handshake to beyond the last. After the cut, and after what still runs on the board has ended, the
release that was good must be in service or be the fallback of the new one; and the same command over a whole link must
put the new one on trial.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated
from unittest import mock

import numpy as np
import typer
from rich.progress import track

from edgefas.demo.loopback import LoopbackBoard, loopback_boards
from edgefas.deploy.bundle import open_bundle
from edgefas.deploy.flash import Plan, Result, flash
from edgefas.deploy.install import install
from edgefas.deploy.slots import SlotError, Slots, commit, rollback
from edgefas.deploy.trust import FOLDER_VARIABLE
from tests.campaigns.report import finish
from tests.deploy.releases import open_office
from tests.deploy.slow_link import SlowLink

CARD_BYTES = 400_000
BEYOND = 1.1
"""The last tenth of the cases is not cut."""


@dataclass(frozen=True)
class Outcome:
    """One case: what the cut flash ended with, and how many bytes the second one sent."""

    case: int
    cut_at: int
    first: str
    sent_again: int
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
            whole = _bytes_of_a_whole_flash(folder, boards["door"], old, new)
            for case in range(first, first + count):
                rng = np.random.default_rng([161, case])
                yield _run_case(case, int(rng.uniform(1, BEYOND * whole)), folder, boards["door"], old, new)


def _bytes_of_a_whole_flash(folder: Path, board: LoopbackBoard, old: Path, new: Path) -> int:
    fresh = fresh_board(folder, board, "whole", old)
    with SlowLink(board.board.port) as link:
        result = _flash(folder, fresh, link, new)
        if result.status != "installed":
            raise RuntimeError(f"a whole flash is {result.status}: {result.detail}")
        return link.sent


def _run_case(case: int, cut_at: int, folder: Path, board: LoopbackBoard, old: Path, new: Path) -> Outcome:
    fresh = fresh_board(folder, board, f"case-{case}", old)
    with SlowLink(board.board.port, cut_at=cut_at) as link:
        first = _flash(folder, fresh, link, new)
        wait_for_the_board(fresh.slots)
        problem = problem_of(fresh.slots)
        link.cut_at, before = None, link.sent
        end_trial(fresh.slots)
        second = _flash(folder, fresh, link, new)
        if second.status != "installed":
            problem = problem or f"the second flash is {second.status}: {second.detail}"
        problem = problem or problem_of(fresh.slots)
        return Outcome(case, cut_at, first.status, link.sent - before, problem)


def fresh_board(folder: Path, board: LoopbackBoard, name: str, old: Path) -> LoopbackBoard:
    """The board with a root of its own, where release 1 is good."""
    prepared = Slots(folder / "prepared")
    if not prepared.root.exists():
        install(old, prepared)
        prepared.change(commit)
    root = folder / "roots" / name
    shutil.copytree(prepared.root, root)
    slots = Slots(root)
    return LoopbackBoard(board.board.model_copy(update={"root": str(root)}), slots, board.trust)


def _flash(folder: Path, board: LoopbackBoard, link: SlowLink, bundle: Path) -> Result:
    known = folder / "known_hosts_of_the_link"
    assert board.board.known_hosts is not None
    known.write_text(board.board.known_hosts.read_text().replace(f":{board.board.port} ", f":{link.port} "))
    through = board.board.model_copy(update={"port": link.port, "known_hosts": known})
    return asyncio.run(flash({"door": through}, bundle, Plan()))[0]


def wait_for_the_board(slots: Slots) -> None:
    """An installation whose controller is gone goes on until it has something to say, or to its end."""
    for _ in range(300):
        with contextlib.suppress(SlotError), slots.installing():
            return
        time.sleep(0.1)


def end_trial(slots: Slots) -> None:
    """As the service of a board whose controller is gone would, in the case that costs most: back to the old one."""
    slots.change(lambda state: rollback(state, "the link was cut") if state.on_trial else state)


def problem_of(slots: Slots) -> str | None:
    state = slots.read()
    good = state.fallback if state.on_trial else state.active
    if good is None or good.number != 1:
        return f"release 1 was good, and now {good} is"
    for release in (state.active, state.fallback):
        if release is not None and open_bundle(slots.bundle(release)).sha256 != release.bundle_sha256:
            return f"{release}: other content in its slot"
    return None


def main(
    count: Annotated[int, typer.Option(min=1)] = 120,
    first: Annotated[int, typer.Option(min=0)] = 0,
    out: Annotated[Path | None, typer.Option("-o", "--out")] = None,
) -> None:
    """Run the campaign; exits 1 if a case failed."""
    outcomes = list(track(run_campaign(first, count), "cuts", count))
    failed = [vars(outcome) for outcome in outcomes if outcome.problem]
    ended = dict(Counter(outcome.first for outcome in outcomes))
    finish("cut_flashes", out, failed, cases=count, first_ended=ended)


if __name__ == "__main__":
    typer.run(main)
