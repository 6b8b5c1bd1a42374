"""`make demo`: held-out people and attacks before the simulated camera, through the whole live path.

Leaves in the output folder `decisions.jsonl`, `contact_sheet.png` and `table.txt`; ends with 3 if an attack was
accepted, too few bona fide were, or something was decided about nobody.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Annotated

import cv2
import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from edgefas.cli.console import errors, results
from edgefas.cli.guard import run_script
from edgefas.contracts import Label, Verdict
from edgefas.demo.episodes import DemoEpisode, DemoPlan, Outcome, demo_episodes, load_plan, outcome
from edgefas.demo.sheet import contact_sheet
from edgefas.errors import CheckFailed
from edgefas.files import folder_written_atomically
from edgefas.live.line import DecisionLine
from edgefas.live.loop import decide_stream
from edgefas.live.model import LiveModel, emitter_for, open_model
from edgefas.sensors.frame import Frame
from edgefas.sensors.open import open_source
from edgefas.sensors.realsense.camera import Emitter
from edgefas.sensors.source import CameraSource

Shown = tuple[Frame, DecisionLine, Outcome]
_Opened = Generator[tuple[DemoEpisode, CameraSource], None, None]


def main(out: Annotated[Path, typer.Option(help="Output folder; replaced.")] = Path("demo_out")) -> None:
    """Play the demo and judge it."""
    play(out)


def play(out: Path) -> None:
    """Play every episode, write the three files, and check.

    Raises:
        CheckFailed: an outcome that the plan does not allow; every miss is named.
    """
    plan = load_plan()
    model = open_model(None, threads=1)  # the other core renders the next episode
    errors.print(f"warning: {model.warning}", style="yellow", highlight=False)
    with folder_written_atomically(out) as folder:
        outcomes = _play_all(plan, model, folder)
    results.print(f"decisions, contact sheet and table: {out}/", highlight=False)
    check(plan, outcomes)


def _play_all(plan: DemoPlan, model: LiveModel, folder: Path) -> list[Outcome]:
    """Play, and write the three files."""
    shown: list[Shown] = []
    episodes = demo_episodes(plan)
    with (
        model.engine,
        (folder / "decisions.jsonl").open("w") as file,
        Progress(console=errors) as progress,
        closing(_opened_ahead(episodes, emitter_for(model.engine.spec))) as opened,
    ):
        for episode, source in progress.track(opened, len(episodes), description="episodes"):
            frame, picked, lines = _play_episode(episode, source, model, plan)
            for line in lines:
                row = {"episode": vars(episode), **json.loads(line.to_json())}
                file.write(json.dumps(row) + "\n")
            shown.append((frame, picked, outcome(episode, lines)))
    cv2.imwrite(str(folder / "contact_sheet.png"), contact_sheet(shown, plan.accept_within_s))
    outcomes = [found for _, _, found in shown]
    table = _table(outcomes)
    results.print(table)
    with (folder / "table.txt").open("w") as file:
        Console(file=file, width=100).print(table)
    return outcomes


def check(plan: DemoPlan, outcomes: list[Outcome]) -> None:
    """Hold the outcomes against the plan; prints each miss.

    Raises:
        CheckFailed: an attack accepted, too few bona fide accepted in time, or an empty scene decided.
    """
    misses = [found for found in outcomes if not found.as_wanted(plan.accept_within_s)]
    for miss in misses:
        episode = miss.episode
        errors.print(f"miss: {episode.species} subject {episode.subject}: {miss.verdict.value} ({episode.source})")
    alive = [found for found in outcomes if found.episode.species == Label.BONA_FIDE.value]
    accepted = sum(found.as_wanted(plan.accept_within_s) for found in alive)
    wrong = [miss for miss in misses if miss not in alive]
    if wrong or accepted < plan.min_bona_fide_share * len(alive):
        raise CheckFailed(
            f"{accepted} of {len(alive)} bona fide episodes accepted within {plan.accept_within_s:g} s (wanted "
            f"{plan.min_bona_fide_share:.0%}), {len(wrong)} attacks or empty scenes not as wanted"
        )


def _opened_ahead(episodes: list[DemoEpisode], emitter: Emitter) -> _Opened:
    """Every episode with its source, open; the next one is rendered while this one plays."""
    with ThreadPoolExecutor(max_workers=1) as pool:
        coming = pool.submit(open_source, episodes[0].source, emitter=emitter)
        try:
            for episode, following in zip(episodes, [*episodes[1:], None], strict=True):
                with coming.result() as source:
                    if following is not None:
                        coming = pool.submit(open_source, following.source, emitter=emitter)
                    yield episode, source
        finally:
            coming.result().close()


def _play_episode(
    episode: DemoEpisode, source: CameraSource, model: LiveModel, plan: DemoPlan
) -> tuple[Frame, DecisionLine, list[DecisionLine]]:
    """All lines of an episode, and the scored frame nearest its middle to show."""
    lines: list[DecisionLine] = []
    picked: tuple[Frame, DecisionLine] | None = None
    first_ns: int | None = None
    for frame, line in decide_stream(source, model.engine, model.policy, model.trust):
        lines.append(line)
        if frame is None:
            continue
        first_ns = frame.device_ns if first_ns is None else first_ns
        passed_s = (frame.device_ns - first_ns) / 1e9
        if picked is None or (passed_s < plan.seconds / 2 and (line.score is not None or picked[1].score is None)):
            picked = frame, line
        if passed_s >= plan.seconds:
            break
    if picked is None:
        raise CheckFailed(f"{episode.source} gave no frame")
    return *picked, lines


def _table(outcomes: list[Outcome]) -> Table:
    counts = Counter((found.episode.species, found.verdict) for found in outcomes)
    table = Table(title="simulated presentations of held-out subjects at a held-out site: truth x decision")
    table.add_column("truth")
    for verdict in Verdict:
        table.add_column(verdict.value, justify="right")
    for species in dict.fromkeys(found.episode.species for found in outcomes):
        table.add_row(species, *(str(counts[species, verdict]) for verdict in Verdict))
    return table


if __name__ == "__main__":
    run_script(main)
