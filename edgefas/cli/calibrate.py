"""`edgefas calibrate`: a policy for a site from labelled recordings."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgefas.cli.console import errors, print_json, results
from edgefas.contracts import Label
from edgefas.errors import UsageError

if TYPE_CHECKING:
    from edgefas.calibration.policy import FrameErrors, Reached
    from edgefas.contracts import Policy
    from edgefas.evaluation.intervals import Share

FORMS = "FILE.db3, FILE.bag, dir:PATH or simulated:OPTIONS; repeatable."


def command(
    recordings: Annotated[
        list[str] | None, typer.Argument(help="Recordings with a label in a JSON file beside them.", show_default=False)
    ] = None,
    out: Annotated[Path, typer.Option("-o", "--out", help="The policy to write.")] = Path("policy.json"),
    bona_fide: Annotated[list[str] | None, typer.Option(help=f"Live faces: {FORMS}")] = None,
    attack: Annotated[list[str] | None, typer.Option(help=f"Attacks: {FORMS}")] = None,
    model: Annotated[Path | None, typer.Option(help="A bundle (.efas) or network file; default: the demo.")] = None,
    allow_unsigned: Annotated[bool, typer.Option(help="Take a model that nobody signed.")] = False,
    max_apcer: Annotated[float, typer.Option(help="Share of attacks that may be accepted.", min=1e-9, max=0.5)] = 0.01,
    max_bpcer: Annotated[
        float, typer.Option(help="Share of bona fide that may be called attacks.", min=1e-9, max=0.5)
    ] = 0.05,
    threads: Annotated[int, typer.Option(min=0, help="Threads of the engine; 0: all cores.")] = 0,
    json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
) -> None:
    """Fit threshold, score calibration and error targets to recordings of your site; one recording, one person.

    The bundle is not changed: give the policy to `edgefas live --policy`.
    """
    from edgefas.calibration.episodes import enough, label_of, score_source
    from edgefas.calibration.policy import fit_policy, frame_errors, reached, require_enough
    from edgefas.calibration.scores import MIN_FRAMES
    from edgefas.files import write_atomically
    from edgefas.live.model import open_model

    asked = [(source, label_of(source)) for source in recordings or ()]
    asked += [(source, Label.BONA_FIDE) for source in bona_fide or ()]
    asked += [(source, Label.ATTACK) for source in attack or ()]
    _refuse(asked, max_apcer, max_bpcer)
    live_model = open_model(model, allow_unsigned=allow_unsigned, threads=threads)
    with live_model.engine, errors.status("reading") as status:

        def show(source: str, done: int) -> None:
            status.update(f"{source}: {done}")

        found = [score_source(source, label, live_model, show) for source, label in asked]
    episodes, short = enough(found, MIN_FRAMES)
    if short:
        errors.print(
            f"left out, fewer than {MIN_FRAMES} frames with a score: {'; '.join(short)}", markup=False, highlight=False,
            soft_wrap=True,
        )  # fmt: skip
    require_enough(episodes)
    policy = fit_policy(episodes, live_model.policy, live_model.name, live_model.network_sha256, max_apcer, max_bpcer)
    frames, held_out = frame_errors(episodes, policy.threshold), reached(episodes, policy)
    write_atomically(out, policy.to_json(indent=1).encode() + b"\n")
    if json:
        print_json(
            {
                "policy": str(out),
                **policy.model_dump(mode="json", include={"threshold", "calibration"}),
                "accept_evidence": policy.temporal.sprt.accept_evidence,
                "reject_evidence": policy.temporal.sprt.reject_evidence,
                "frames": asdict(frames),
                "recordings": asdict(held_out),
                "left_out": short,
            }
        )
        return
    _print(out, policy, frames, held_out)


def _refuse(asked: list[tuple[str, Label]], max_apcer: float, max_bpcer: float) -> None:
    """What can be told before anything is read.

    Raises:
        UsageError: nothing to read, one class only, one recording twice, or targets that ask for no test.
    """
    if not asked:
        raise UsageError("no recordings; name them, or give --bona-fide and --attack")
    sources = [source for source, _ in asked]
    twice = next((source for source in sources if sources.count(source) > 1), None)
    if twice is not None:
        raise UsageError(f"{twice} is given twice; one recording counts once")
    missing = set(Label) - {label for _, label in asked}
    if missing:
        raise UsageError(
            f"no recording is {missing.pop().value}; scores of one class say nothing: give --bona-fide and --attack"
        )
    if max_apcer + max_bpcer > 0.9:
        raise UsageError(f"--max-apcer {max_apcer:g} and --max-bpcer {max_bpcer:g} ask for nothing; e.g. 0.01 and 0.05")


def _print(out: Path, policy: Policy, frames: FrameErrors, held_out: Reached) -> None:
    from rich.table import Table

    calibration, test = policy.calibration, policy.temporal.sprt
    assert calibration is not None
    table = Table("", title=f"{calibration.model}: {calibration.frames} frames")
    for name in ("target", "count", "share", "95 % interval"):
        table.add_column(name, justify="right")

    def row(name: str, target: float | None, share: Share) -> None:
        table.add_row(
            name, "" if target is None else f"{target:.2%}", f"{share.count} of {share.total}", f"{share.share:.1%}",
            f"{share.low:.1%} to {share.high:.1%}",
        )  # fmt: skip

    row("recordings: attacks accepted", test.max_apcer, held_out.attacks_accepted)
    row("recordings: bona fide refused", test.max_bpcer, held_out.bona_fide_rejected)
    row("recordings: bona fide undecided", None, held_out.bona_fide_undecided)
    row("frames: attacks accepted", test.max_apcer, frames.attacks_accepted)
    row("frames: bona fide rejected", None, frames.bona_fide_rejected)
    results.print(table)
    median = "none" if held_out.accept_ms is None else f"{held_out.accept_ms:.0f} ms after the first frame"
    results.print(
        "recordings: each decided by a policy fitted without its fold; frames: those the threshold was fitted to",
        f"threshold {policy.threshold:.3f}; log-likelihood ratio = {calibration.slope:.3f} * score "
        f"{calibration.offset:+.3f}; frames correlated over {calibration.correlation_ms:.0f} ms",
        f"opens at evidence {test.accept_evidence:.2f}, attack at {test.reject_evidence:.2f}; accepted after {median}",
        f"next: edgefas live --policy {out}",
        sep="\n", highlight=False, markup=False, soft_wrap=True,
    )  # fmt: skip
    if held_out.attacks_accepted.high > test.max_apcer:
        errors.print(
            f"{held_out.attacks_accepted.total} attack recordings cannot show {test.max_apcer:.2%}: up to "
            f"{held_out.attacks_accepted.high:.1%} remains possible; record more",
            style="yellow", highlight=False, soft_wrap=True,
        )  # fmt: skip
    if held_out.bona_fide_undecided.share > 0.5:
        errors.print(
            f"most bona fide are never decided: {calibration.bona_fide_episodes} recordings of them do not give the "
            f"evidence that --max-apcer {test.max_apcer:g} asks for within their length; record more, longer, or ask "
            "for less", style="yellow", highlight=False, soft_wrap=True,
        )  # fmt: skip
