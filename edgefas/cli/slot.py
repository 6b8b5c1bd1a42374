"""`edgefas slot`: what is in service on this board, and how it changes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from edgefas.cli.console import errors, print_json, results
from edgefas.errors import EdgefasError

if TYPE_CHECKING:
    from edgefas.deploy.slots import Slots, State

app = typer.Typer(no_args_is_help=True, help="What is in service on this board, and how it changes.")

Root = Annotated[
    Path | None,
    typer.Option(help="Folder of the slots; default: EDGEFAS_ROOT, else /var/lib/edgefas.", show_default=False),
]
Json = Annotated[bool, typer.Option("--json", help="One JSON document.")]
Budget = Annotated[
    float | None,
    typer.Option(
        min=0.001, help="The engine's 99th percentile; default: the policy's max_engine_ms.", show_default=False
    ),
]


class RolledBack(EdgefasError):
    """The release on trial was taken back."""

    exit_code = 4


@app.command("status")
def status(root: Root = None, json: Json = False) -> None:
    """What is in service, what is on trial, what there is to go back to."""
    slots = _slots(root)
    _say(slots, slots.read(), json)


@app.command("install")
def install(
    bundle: Annotated[Path, typer.Argument(help="A signed bundle (.efas).", show_default=False)],
    root: Root = None,
    budget_ms: Budget = None,
    allow_downgrade: Annotated[bool, typer.Option(help="Take a lower release than one that was good here.")] = False,
    check_minutes: Annotated[float, typer.Option(min=0.1, help="The check on this board may take so long.")] = 60.0,
    check_mb: Annotated[int, typer.Option(min=64, help="And so much memory.")] = 6000,
    verdict_s: Annotated[float, typer.Option(min=0, help="Wait so long for the service's verdict.")] = 180.0,
    json: Json = False,
) -> None:
    """Check a bundle on this board, put it on trial, and wait until the service has decided about it.

    Exit code 4: it was taken back, and what was good before is in service.
    """
    from edgefas.deploy.install import Limits, wait_for_verdict
    from edgefas.deploy.install import install as install_bundle

    slots = _slots(root)
    limits = Limits(seconds=60 * check_minutes, memory_mb=check_mb)

    def stage(name: str) -> None:
        errors.print(f"{name} …", highlight=False)

    done = install_bundle(
        bundle, slots, limits=limits, budget_ms=budget_ms, allow_downgrade=allow_downgrade, stage=stage
    )
    if done.report is None:
        errors.print(f"{done.release} is in service already", highlight=False, soft_wrap=True)
    state = done.state
    if state.on_trial and slots.is_served():
        stage("trial")
        state = wait_for_verdict(slots, done.release, verdict_s)
    _say(slots, state, json)
    if state.active != done.release:
        raise RolledBack(state.last)
    if state.on_trial:
        errors.print(
            "still on trial; the service decides (edgefas slot serve), or you: edgefas slot commit, or rollback",
            highlight=False,
            soft_wrap=True,
        )


@app.command("commit")
def commit_trial(root: Root = None, json: Json = False) -> None:
    """Call the release on trial good."""
    from edgefas.deploy.slots import commit

    slots = _slots(root)
    _say(slots, slots.change(commit), json)


@app.command("rollback")
def roll_back(
    why: Annotated[str, typer.Option(help="Kept in the state.")] = "asked for",
    root: Root = None,
    json: Json = False,
) -> None:
    """Take back the release on trial; without a trial, go back to the release before."""
    from edgefas.deploy.slots import rollback

    slots = _slots(root)
    _say(slots, slots.change(lambda state: rollback(state, why)), json)


@app.command("boot-check")
def boot_check(root: Root = None, json: Json = False) -> None:
    """A while after a boot: take back a release on trial if no service runs that could judge it.

    For a timer (edgefas/deploy/systemd). While the service runs, it decides by itself, and nothing is changed here.
    """
    from edgefas.deploy.slots import booted

    slots = _slots(root)
    before = slots.read()
    state = before if slots.is_served() else slots.change(booted)
    _say(slots, state, json)
    if state.active != before.active:
        raise RolledBack(state.last)


@app.command("serve", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def serve(
    context: typer.Context,
    root: Root = None,
    window_s: Annotated[float, typer.Option(min=1, help="A release on trial must be healthy for so long.")] = 20.0,
    deadline_s: Annotated[float, typer.Option(min=1, help="And become so within.")] = 120.0,
    lines: Annotated[bool, typer.Option("--lines", help="Pass the JSON lines on to stdout.")] = False,
) -> None:
    """The service: run `edgefas live` on the release in service, and decide about one on trial.

    Options after -- are those of `edgefas live`: edgefas slot serve -- --camera realsense --log decisions.jsonl
    """
    from edgefas.deploy.health import Window
    from edgefas.deploy.serve import Service
    from edgefas.signals import stop_signals

    def tee(text: str) -> None:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()

    service = Service(
        _slots(root), context.args, Window(seconds=window_s, deadline_s=deadline_s), tee if lines else None
    )
    with stop_signals() as stopped:
        service.run(stopped)


@app.command("check", hidden=True)
def check_here(
    bundle: Path,
    budget_ms: Budget = None,
    recording: Annotated[list[str] | None, typer.Option()] = None,
    json: Json = False,
) -> None:
    """Try a bundle on this board without installing it; the engines built stay beside it."""
    from edgefas.deploy.check import check

    report = check(bundle, budget_ms=budget_ms, recordings=tuple(recording or ()))
    if json:
        print_json(report.model_dump(mode="json"))
        return
    results.print(
        f"{bundle}: {report.backend}, golden scores within {report.golden_max_abs:.3g} log-odds, "
        f"{report.median_ms:.1f} ms (99 of 100 calls: {report.p99_ms:.1f} ms)",
        highlight=False,
        soft_wrap=True,
    )


def _slots(root: Path | None) -> Slots:
    from edgefas.deploy.slots import Slots, slots_root

    return Slots(root or slots_root())


def _say(slots: Slots, state: State, json: bool) -> None:
    if json:
        print_json({"schema": 1, "root": str(slots.root), "state": state.model_dump(mode="json")})
        return
    table = Table("", "release", "slot", "signed by", "backend", "ms", box=None, pad_edge=False)
    for what, release in (("on trial" if state.on_trial else "in service", state.active), ("fallback", state.fallback)):
        if release is None:
            table.add_row(what, "-", "", "", "", "")
        else:
            number = f"{release.name} {release.number}"
            table.add_row(what, number, release.slot, release.signer, release.backend, f"{release.median_ms:.1f}")
    results.print(table)
    results.print(state.last, highlight=False, soft_wrap=True)
