"""Flashing many boards at once on one machine: how long each stage takes, and what the controller needs.

    python -m tests.campaigns.many_boards --boards 50 -o tests/campaigns/results/many_boards.json

The boards are OpenSSH servers on loopback and share this machine's cores, so stages that compute on the board (install:
the check of the engine) say little about real boards; connect, upload and the controller's memory do.
"""

from __future__ import annotations

import asyncio
import os
import resource
import tempfile
import time
from pathlib import Path
from typing import Annotated
from unittest import mock

import numpy as np
import typer
from rich.progress import Progress

from edgefas.demo.loopback import loopback_boards
from edgefas.deploy.flash import Plan, flash
from edgefas.deploy.trust import FOLDER_VARIABLE
from tests.campaigns.report import finish
from tests.deploy.releases import open_office

CARD_BYTES = 4_000_000


def main(
    boards: Annotated[int, typer.Option(min=2)] = 50,
    batch: Annotated[int, typer.Option(min=1, max=64)] = 16,
    out: Annotated[Path | None, typer.Option("-o", "--out")] = None,
) -> None:
    """Flash them; exits 1 if one failed."""
    failed, facts = measure(boards, batch)
    finish("many_boards", out, failed, **facts)


def measure(count: int, batch: int) -> tuple[list[str], dict[str, object]]:
    """Start the boards, flash all; what failed, and times and memory of this process."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        office = open_office(folder)
        office.trusted_in(folder / "trust")
        bundle = office.release(1, card=np.random.default_rng(1).bytes(CARD_BYTES))
        names = [f"board-{number:02}" for number in range(count)]
        with (
            mock.patch.dict(os.environ, {FOLDER_VARIABLE: str(folder / "trust")}),
            loopback_boards(folder, names) as boards,
            Progress() as progress,
        ):
            for board in boards.values():
                office.trusted_in(board.trust)
            task = progress.add_task("boards", total=count)
            before_mb, begin = _peak_mb(), time.monotonic()

            def report(_name: str, stage: str, _detail: str) -> None:
                if stage == "done":
                    progress.advance(task)

            known = {name: board.board for name, board in boards.items()}
            done = asyncio.run(flash(known, bundle, Plan(batch=batch), report=report))
            seconds = time.monotonic() - begin
        stages = {
            stage: {
                "median_s": round(float(np.median([result.seconds[stage] for result in done])), 2),
                "max_s": round(max(result.seconds[stage] for result in done), 2),
            }
            for stage in ("connect", "preflight", "upload", "install")
            if all(stage in result.seconds for result in done)
        }
        failed = [f"{result.name}: {result.detail}" for result in done if result.status != "installed"]
        return failed, {
            "boards": count,
            "batch": batch,
            "bundle_bytes": bundle.stat().st_size,
            "seconds": round(seconds, 1),
            "boards_per_minute": round(60 * count / seconds, 1),
            "stages": stages,
            "controller_peak_mb": round(_peak_mb(), 1),
            "controller_grew_mb": round(_peak_mb() - before_mb, 1),
        }


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    typer.run(main)
