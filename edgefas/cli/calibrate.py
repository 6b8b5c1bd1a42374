"""`edgefas calibrate`: a policy for a site from labelled recordings, or from tables of scores."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgefas.cli.console import errors, print_json, results
from edgefas.contracts import Label
from edgefas.errors import MissingExtra, UsageError

if TYPE_CHECKING:
    from edgefas.calibration.episodes import Presented
    from edgefas.calibration.findings import Findings
    from edgefas.calibration.material import Material
    from edgefas.calibration.threshold import Targets
    from edgefas.contracts import Policy
    from edgefas.live.model import LiveModel

FORMS = "FILE.db3, FILE.bag, dir:PATH or simulated:OPTIONS; repeatable."


def command(
    recordings: Annotated[
        list[str] | None, typer.Argument(help="Recordings with a label in a JSON file beside them.", show_default=False)
    ] = None,
    out: Annotated[Path, typer.Option("-o", "--out", help="The policy to write.")] = Path("policy.json"),
    bona_fide: Annotated[list[str] | None, typer.Option(help=f"Live faces: {FORMS}")] = None,
    attack: Annotated[list[str] | None, typer.Option(help=f"Attacks: {FORMS}")] = None,
    scores: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE.csv", help="In place of recordings: split dev of edgefas evaluate; needs --model."),
    ] = None,
    model: Annotated[Path | None, typer.Option(help="A bundle (.efas) or network file; default: the demo.")] = None,
    allow_unsigned: Annotated[bool, typer.Option(help="Take a model that nobody signed.")] = False,
    max_apcer: Annotated[float, typer.Option(help="Share of attacks that may be accepted.", min=1e-9, max=0.5)] = 0.01,
    max_bpcer: Annotated[
        float, typer.Option(help="Share of bona fide that may be called attacks.", min=1e-9, max=0.5)
    ] = 0.05,
    target_bpcer: Annotated[
        float | None,
        typer.Option(help="Of single frames: sets the threshold, in place of both above.", min=1e-6, max=0.5),
    ] = None,
    target_apcer: Annotated[
        float | None,
        typer.Option(help="As --target-bpcer, of every species; with both, it is checked.", min=1e-6, max=0.5),
    ] = None,
    report: Annotated[Path | None, typer.Option(metavar="FILE.html", help="A page of what was found.")] = None,
    threads: Annotated[int, typer.Option(min=0, help="Threads of the engine; 0: all cores.")] = 0,
    json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
) -> None:
    """Fit threshold, score calibration and error targets to recordings of your site; one recording, one person.

    Says how sure the threshold is, and how many recordings would make it surer. The bundle is not changed: give the
    policy to `edgefas live --policy`.
    """
    from edgefas.calibration.episodes import Presented, shown_in
    from edgefas.calibration.findings import findings
    from edgefas.calibration.policy import fit_policy, require_enough
    from edgefas.calibration.threshold import Targets
    from edgefas.files import write_atomically
    from edgefas.live.model import open_model

    targets = Targets(max_apcer, max_bpcer, target_apcer, target_bpcer)
    asked = [(source, shown_in(source)) for source in recordings or ()]
    asked += [(source, Presented(Label.BONA_FIDE)) for source in bona_fide or ()]
    asked += [(source, Presented(Label.ATTACK)) for source in attack or ()]
    tables = scores or []
    _refuse(asked, tables, model, targets)
    live_model = open_model(model, allow_unsigned=allow_unsigned, threads=threads)
    with live_model.engine:
        material = _material(asked, tables, live_model)
    _warn(*material.notes)
    require_enough(material.episodes)
    policy = fit_policy(
        material.episodes, live_model.policy, live_model.name, live_model.network_sha256, targets, material.data_sha256
    )
    with errors.status("judging"):
        found = findings(material.episodes, policy, targets)
    write_atomically(out, policy.to_json(indent=1).encode() + b"\n")
    if json:
        print_json(_document(out, policy, found, material))
    else:
        _print(out, policy, found)
    if report is not None:
        _report(report, [*tables, *(source for source, _ in asked)], policy, found, material)


def _refuse(
    asked: Sequence[tuple[str, Presented]], tables: Sequence[Path], model: Path | None, targets: Targets
) -> None:
    """What can be told before anything is read.

    Raises:
        UsageError: nothing to read, both kinds, one class only, one source twice, scores of no network, or targets that
            ask for no test.
    """
    if asked and tables:
        raise UsageError("recordings and --scores in one calibration: a table tells no times; give one of them")
    if not asked and not tables:
        raise UsageError("no recordings; name them, or give --bona-fide and --attack, or --scores")
    if tables and model is None:
        raise UsageError(
            "--scores needs --model, the network that gave them, as the policy is for its scores alone: edgefas "
            "calibrate --scores FILE.csv --model NETWORK"
        )
    sources = [*map(str, tables), *(source for source, _ in asked)]
    twice = next((source for source in sources if sources.count(source) > 1), None)
    if twice is not None:
        raise UsageError(f"{twice} is given twice; one recording counts once")
    missing = set(Label) - {shown.label for _, shown in asked}
    if asked and missing:
        raise UsageError(
            f"no recording is {missing.pop().value}; scores of one class say nothing: give --bona-fide and --attack"
        )
    if targets.max_apcer + targets.max_bpcer > 0.9:
        raise UsageError(
            f"--max-apcer {targets.max_apcer:g} and --max-bpcer {targets.max_bpcer:g} ask for nothing; e.g. 0.01 and "
            "0.05"
        )


def _material(asked: Sequence[tuple[str, Presented]], tables: Sequence[Path], model: LiveModel) -> Material:
    from edgefas.calibration.material import of_recordings, of_tables

    with errors.status("reading") as status:
        if tables:
            return of_tables(tables, model)
        return of_recordings(asked, model, lambda source, done: status.update(f"{source}: {done}"))


def _document(out: Path, policy: Policy, found: Findings, material: Material) -> dict[str, object]:
    from edgefas.calibration.findings import document
    from edgefas.calibration.words import warnings

    return {
        "policy": str(out),
        **policy.model_dump(mode="json", include={"threshold", "calibration"}),
        "accept_evidence": policy.temporal.sprt.accept_evidence,
        "reject_evidence": policy.temporal.sprt.reject_evidence,
        **document(found),
        "notes": [*material.notes, *warnings(found, policy)],
        "left_out": material.left_out,
    }


def _print(out: Path, policy: Policy, found: Findings) -> None:
    from rich.table import Table

    from edgefas.calibration.words import RATE_HEADINGS, rate_rows, summary, warnings

    assert policy.calibration is not None
    table = Table(RATE_HEADINGS[0], title=f"{policy.calibration.model}: {policy.calibration.frames} frames")
    for name in RATE_HEADINGS[1:]:
        table.add_column(name, justify="right", no_wrap=True)
    for row in rate_rows(found):
        table.add_row(*row)
    results.print(table, markup=False)
    lines = [*summary(found, policy), f"next: edgefas live --policy {out}"]
    results.print(*lines, sep="\n", highlight=False, markup=False, soft_wrap=True)
    _warn(*warnings(found, policy))


def _report(path: Path, sources: Sequence[Path | str], policy: Policy, found: Findings, material: Material) -> None:
    """The page, where it can be made; the policy is written whatever becomes of it."""
    from edgefas.calibration.page import render
    from edgefas.calibration.words import facts
    from edgefas.files import write_atomically

    try:
        with errors.status("drawing"):
            page = render(facts(policy, sources), material.episodes, policy, found, material.notes)
    except MissingExtra as error:
        _warn(f"no {path.name}: {error}")
        return
    write_atomically(path, page.encode())


def _warn(*notes: str) -> None:
    for note in notes:
        errors.print(note, style="yellow", highlight=False, markup=False, soft_wrap=True)
