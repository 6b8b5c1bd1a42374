"""The injection list: what the tamper checks find, how soon, and what they cry wolf about.

    python -m edgefas.benchmarks.injection [--repeats 3] [--honest 5100]

Every stream goes through librealsense, `RealSenseSource` and `decide_stream`, as with `edgefas live`; the network is
one that calls everybody bona fide, so nothing but the checks stands between an impostor and the door. What a stream is
never reaches the pipeline. The cameras are software: no figure here says what a real projector's latency does.
"""

from __future__ import annotations

import json
import random
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from edgefas.benchmarks import impostors
from edgefas.benchmarks.guesses import guess_odds
from edgefas.benchmarks.impostors import FPS, Stream, pushed
from edgefas.cli.guard import run_script
from edgefas.contracts import (
    DepthInput,
    FaceBox,
    InputSpec,
    IRInput,
    MetricCrop,
    Policy,
    Reason,
    RGBInput,
    TamperRule,
    Verdict,
)
from edgefas.engines.runtime.engine import Engine
from edgefas.environment import environment
from edgefas.faces import Detector, detect_faces
from edgefas.files import write_atomically
from edgefas.live.line import DecisionLine
from edgefas.live.loop import decide_stream
from edgefas.live.tamper.challenge import draw_lengths
from edgefas.sensors.frame import Frame
from edgefas.sensors.realsense.software import SoftwareModel
from edgefas.sensors.simulator.episode import parse_options
from edgefas.sensors.simulator.render import render
from edgefas.sensors.source import CameraLost

START = 45
"""Moments of honest camera before the impostor takes over, unless a loop needs more to repeat."""
SOON = FPS // 2
UNLISTED = "/sys/devices/virtual/video4linux/video97"
PLAIN, CHALLENGED = Policy(), Policy(tamper=TamperRule(challenge="required", challenge_every_s=5))
FOUND = frozenset(
    {
        Reason.CAMERA_CHANGED,
        Reason.CAMERA_UNTRUSTED,
        Reason.CHALLENGE_FAILED,
        Reason.CLOCK_JUMPED,
        Reason.FRAME_FROZEN,
        Reason.FRAME_LOOPED,
    }
)
WAITING = frozenset({Reason.CHALLENGE_PENDING, Reason.MODALITY_MISSING})


class EverybodyIsBonaFide(Engine):
    """The worst network there is."""

    backend, outputs = "constant", ("score",)

    def __init__(self) -> None:
        self.spec = InputSpec(
            crop=MetricCrop(width_mm=280, height_mm=280),
            rgb=RGBInput(height_px=112, width_px=112),
            ir=IRInput(height_px=112, width_px=112),
            depth=DepthInput(height_px=112, width_px=112),
        )

    def _run(self, inputs: dict[str, Any], outputs: tuple[str, ...]) -> dict[str, Any]:
        return {"score": np.full(len(inputs["depth"]), 5.0, np.float32)}


@dataclass(frozen=True)
class Attack:
    """One way to inject; `make(clip, seed)` gives its stream."""

    name: str
    make: Callable[[list[Frame], int], Stream]
    policy: Policy
    expected: tuple[str, ...]
    start: int = START
    seconds: float = 6.0
    """Watched after the impostor took over."""
    port: str = ""
    """What the camera says it hangs on."""


@dataclass(frozen=True)
class Run:
    """What one run gave."""

    found_after: int | None
    """Frames from the take-over to the first line that names tampering; silence counts as frames at the pace."""
    reasons: dict[str, int] = field(default_factory=dict)
    bona_fide_before: int = 0
    """Lines in state bona fide from the take-over until found."""
    bona_fide_after: int = 0
    """In the half second after: a clock that leapt once is then believed again."""


def attacks(recorded: Callable[[int], tuple[int, ...]]) -> list[Attack]:
    """The list; `recorded(seed)` is the challenge that a replayed session was asked itself."""
    other = SoftwareModel(firmware="5.12.7.100")
    listed = [
        Attack(
            f"loop of {length} frames",
            partial(_looped, length=length),
            PLAIN,
            ("frame_looped",),
            start=max(START, length),
            seconds=3,
        )
        for length in (10, 30, 90, 300)
    ]
    return [
        *listed,
        Attack("frozen picture", lambda c, s: impostors.frozen(c, s, START), PLAIN, ("frame_frozen",), seconds=3),
        Attack(
            "camera swapped, same serial",
            lambda c, s: impostors.swapped(c, s, START, other),
            PLAIN,
            ("camera_changed",),
            seconds=12,
        ),
        Attack(
            "replay, re-encoded, new noise",
            lambda c, s: impostors.replayed(c, s, START),
            CHALLENGED,
            ("challenge_failed",),
            seconds=20,
        ),
        Attack(
            "replay of a challenged session",
            lambda c, s: impostors.replayed(c, s, START, recorded_ns=recorded(s)),
            CHALLENGED,
            ("challenge_failed",),
            seconds=20,
        ),
        Attack("clock 5 s ahead", lambda c, s: impostors.leaping(c, s, START, 5 * 10**9), PLAIN, ("clock_jumped",)),
        Attack("clock 1 s back", lambda c, s: impostors.leaping(c, s, START, -(10**9)), PLAIN, ("clock_jumped",)),
        Attack("numbers begin anew", lambda c, s: impostors.recounted(c, s, START), PLAIN, ("frame_stale",)),
        Attack("virtual video device", impostors.honest, PLAIN, ("camera_untrusted",), start=0, port=UNLISTED),
    ]


def _looped(clip: list[Frame], seed: int, length: int) -> Stream:
    return impostors.looped(clip, seed, max(START, length), length)


def found_once() -> Detector:
    """The detector of `edgefas live`, asked until it has found a face that then stays: the checks are what is tried."""
    kept: list[FaceBox] = []

    def detect(frame: Frame, near: Sequence[FaceBox]) -> list[FaceBox]:
        if not kept:
            kept.extend(detect_faces(frame, near))
        return kept

    return detect


def watch(stream: Stream, first: Frame, policy: Policy, moments: int, port: str = "") -> Iterator[DecisionLine]:
    """The lines of `edgefas live` until `moments` have passed at the camera's pace."""
    silent, frames = 0.0, 0
    with pushed(stream, first, SoftwareModel(port=port)) as source:
        try:
            for frame, line in decide_stream(source, EverybodyIsBonaFide(), policy, "unsigned", found_once()):
                frames = max(frames, 0 if frame is None else frame.number)
                silent += 0.5 * FPS * (frame is None)
                yield line
                if frames + silent >= moments:
                    return
        except CameraLost:
            return


def run_attack(attack: Attack, clip: list[Frame], seed: int) -> Run:
    """Play it once."""
    total = attack.start + round(attack.seconds * FPS)
    counts: Counter[str] = Counter()
    found, before, after, place = None, 0, 0, 0.0
    for line in watch(attack.make(clip, seed), clip[0], attack.policy, total, attack.port):
        place = place + 0.5 * FPS if line.frame is None else max(place + 1, line.frame)
        if place <= attack.start:
            continue
        counts[line.reason.value] += 1
        if found is None and line.reason.value in attack.expected:
            found = round(place - attack.start)
        trusted = line.state.decision is Verdict.BONA_FIDE
        before += trusted and found is None
        after += trusted and found is not None
        if found is not None and place >= attack.start + found + SOON:
            break
    return Run(found, dict(counts), before, after)


def run_honest(clip: list[Frame], seed: int, moments: int) -> dict[str, Any]:
    """How often an honest camera is suspected, challenged all the while."""
    stream = impostors.honest(clip, seed)
    lines: list[DecisionLine] = []
    for line in watch(stream, clip[0], CHALLENGED, 100 * moments):
        if line.frame is not None:
            lines.append(line)
        if len(lines) >= moments:
            break
    reasons = Counter(line.reason for line in lines)
    states = [line.state.decision is Verdict.BONA_FIDE for line in lines]
    first = states.index(True) if True in states else None
    return {
        "frames": len(lines),
        "false_alarms": sum(reasons[reason] for reason in FOUND),
        "unlit_for_a_challenge": reasons[Reason.MODALITY_MISSING],
        "until_first_pass": None if first is None else first,
        "bona_fide_share_after": None if first is None else round(sum(states[first:]) / len(states[first:]), 4),
        "reasons": {reason.value: count for reason, count in sorted(reasons.items())},
    }


def clips(frames: int) -> dict[str, list[Frame]]:
    """Rendered scenes: somebody who moves, somebody who does not, and a dark room."""
    moving = parse_options("subject=300,seed=3,distance_mm=500")
    dark = parse_options("subject=301,seed=4,distance_mm=500,illuminance_lx=5")
    first = [render(moving, index) for index in range(frames)]
    return {"moving": first, "still": first[:1], "dark": [render(dark, index) for index in range(max(2, frames // 2))]}


def to_markdown(document: dict[str, Any]) -> str:
    """The tables."""
    lines = [
        f"{document['what']}.",
        "",
        f"`{document['command']}` on {document['cpu']}, seed {document['seed']}, {document['date']}.",
        "",
    ]
    lines += [
        "| injected | challenge | found | by | frames until found | bona fide in the half second after |",
        "|---|---|---|---|---|---|",
    ]
    for row in document["attacks"]:
        after = "-" if row["found"] == 0 else f"{row['median_frames']:.0f} (at most {row['max_frames']})"
        lines.append(
            f"| {row['name']} | {row['challenge']} | {row['found']}/{row['runs']} | {', '.join(row['expected'])} "
            f"| {after} | {row['bona_fide_after']} |"
        )
    lines += ["", "| honest stream, challenged all the while | frames | false alarms | unlit for a challenge |"]
    lines += ["|---|---|---|---|"]
    for name, row in document["honest"].items():
        lines.append(f"| {name} | {row['frames']} | {row['false_alarms']} | {row['unlit_for_a_challenge']} |")
    lines += ["", "| who guesses a challenge | chance | bits |", "|---|---|---|"]
    lines += [f"| {row['who']} | {row['hits']} of {row['draws']} | {row['bits']} |" for row in document["guesses"]]
    return "\n".join(lines) + "\n"


def main(
    repeats: Annotated[int, typer.Option(min=1, help="Runs of each attack.")] = 3,
    honest: Annotated[int, typer.Option(min=300, help="Honest frames in all.")] = 5100,
    frames: Annotated[int, typer.Option(min=2, help="Rendered per scene, then played to and fro.")] = 6,
    seed: Annotated[int, typer.Option(min=0)] = 1,
    guesses: Annotated[int, typer.Option(min=100, help="Draws per kind of guess.")] = 5000,
    out: Annotated[Path, typer.Option("-o", "--out", help="A .md with the tables is written beside it.")] = Path(
        "benchmarks/results/injection.json"
    ),
) -> None:
    """Play the list."""
    scenes = clips(frames)
    rule = CHALLENGED.tamper
    rows = []
    for attack in attacks(lambda s: draw_lengths(rule, random.Random(s))):  # noqa: S311 - a recording, not a secret
        runs = [run_attack(attack, scenes["moving"], 100 * seed + number) for number in range(repeats)]
        found = [run.found_after for run in runs if run.found_after is not None]
        rows.append(
            {
                "name": attack.name,
                "challenge": attack.policy.tamper.challenge,
                "expected": attack.expected,
                "runs": repeats,
                "found": len(found),
                "median_frames": float(np.median(found)) if found else None,
                "max_frames": max(found, default=None),
                "bona_fide_before": sum(run.bona_fide_before for run in runs),
                "bona_fide_after": sum(run.bona_fide_after for run in runs),
                "each": [asdict(run) for run in runs],
            }
        )
        sys.stderr.write(f"{attack.name}: {len(found)}/{repeats}\n")
    document = {
        "what": "Injected and honest streams through librealsense and the live loop; every camera is software",
        "command": "python -m edgefas.benchmarks.injection " + " ".join(sys.argv[1:]).strip(),
        "seed": seed,
        **environment(),
        "attacks": rows,
        "honest": {name: run_honest(clip, seed, honest // len(scenes)) for name, clip in scenes.items()},
        "guesses": guess_odds(rule, guesses, seed),
    }
    write_atomically(out, json.dumps(document, indent=1).encode() + b"\n")
    write_atomically(out.with_suffix(".md"), to_markdown(document).encode())
    sys.stdout.write(to_markdown(document))


if __name__ == "__main__":
    run_script(main)
