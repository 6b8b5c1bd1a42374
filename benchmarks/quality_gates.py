"""What the quality gates let through and what they stop, on simulated faces and attacks.

    python -m edgefas.benchmarks.quality_gates [-o benchmarks/results/quality_gates.json]

Good bona fide pictures (all skin groups, distances, lights, within 11 degrees) should pass; turned, blurred and
wrongly exposed ones should not; attacks should pass as bona fide do: a gate is no attack detector. A face is where
the pipeline's own detector finds it. Times are CPU times of one thread.
"""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, fields, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated, Any

import cv2
import numpy as np
import typer
from rich.progress import track

from edgefas.cli.console import errors
from edgefas.cli.guard import run_script
from edgefas.contracts import DepthInput, FaceBox, InputSpec, IREncoding, IRInput, MetricCrop, QualityGates, RGBInput
from edgefas.environment import environment
from edgefas.faces import detect_faces
from edgefas.files import write_atomically
from edgefas.live.gates import Quality, failed, measure
from edgefas.sensors.frame import U8, Frame
from edgefas.sensors.simulator import Episode, Presentation, render, sample_episode, subject_skin_group
from edgefas.sensors.simulator.episode import SKIN_GROUPS
from edgefas.sensors.simulator.motion import pose

FIRST_GOOD, FIRST_TURNED, FIRST_ATTACK = 1000, 2000, 3000
"""Subjects of no training, validation or demonstration split."""
NEAR_MM, FAR_MM = 320.0, 1080.0
MOST_TURN_DEG = 50.0
BLUR_MM = (2.0, 4.0, 8.0, 12.0)
"""Width at half height of a Gaussian, on the face."""
GAINS = (0.02, 0.05, 10.0, 20.0)
"""What infrared is multiplied with, clipped at 255."""
ATTACKS = (Presentation.FLAT_PRINT, Presentation.PHONE_REPLAY, Presentation.RIGID_MASK)
REPEATS = 20
GATES = QualityGates()
Job = tuple[str, Episode]


@dataclass(frozen=True)
class Row:
    """One picture."""

    kind: str
    episode: Episode
    yaw_deg: float
    quality: Quality | None
    """For lit infrared; None: the detector found no face."""
    refused: dict[str, str]
    """By infrared encoding, and by what was done to the picture: the reason, or "" where it passes."""
    gates_ms: float


def jobs(good: int, turned: int, attacks: int) -> Iterator[Job]:
    """Episodes by kind; sites take turns after each round of skin groups."""
    for n in range(good):
        distance_mm = float(np.random.default_rng([7, n]).uniform(NEAR_MM, FAR_MM))
        kind = Presentation.BONA_FIDE
        yield kind.value, sample_episode(kind, FIRST_GOOD + n, n // 6 % 2, n, distance_mm=distance_mm)
    for n in range(turned):
        yaw_deg = float(np.random.default_rng([8, n]).uniform(-MOST_TURN_DEG, MOST_TURN_DEG))
        yield "turned", sample_episode(Presentation.BONA_FIDE, FIRST_TURNED + n, n // 6 % 2, n, yaw_deg=yaw_deg)
    for kind in ATTACKS:
        for n in range(attacks):
            yield kind.value, sample_episode(kind, FIRST_ATTACK + n, n // 6 % 2, n)


def look(job: Job) -> Row:
    """Render one picture and ask the gates."""
    cv2.setNumThreads(1)
    kind, episode = job
    frame = render(episode, 0)
    rotation = pose(episode, 0).rotation
    yaw_deg = float(np.degrees(np.arctan2(rotation[0, 2], rotation[2, 2])))
    faces = detect_faces(frame)
    if not faces:
        return Row(kind, episode, yaw_deg, None, {}, 0.0)
    face = faces[0]
    refused = {encoding.value: _reason(frame, face, _spec(encoding)) for encoding in IREncoding}
    if kind == Presentation.BONA_FIDE.value:
        lit = _spec(IREncoding.LIT)
        refused |= {name: _reason(spoilt, face, lit) for name, spoilt in _spoilt(frame, face)}
    quality = measure(frame, face, _spec(IREncoding.LIT))
    begin = time.thread_time()
    for _ in range(REPEATS):
        measure(frame, face, _spec(IREncoding.LIT))
    return Row(kind, episode, yaw_deg, quality, refused, (time.thread_time() - begin) / REPEATS * 1e3)


def _spec(encoding: IREncoding) -> InputSpec:
    size = {"height_px": 112, "width_px": 112}
    return InputSpec(
        crop=MetricCrop(width_mm=280, height_mm=280),
        rgb=RGBInput(**size),
        ir=IRInput(**size, encoding=encoding),
        depth=DepthInput(**size),
    )


def _reason(frame: Frame, face: FaceBox, spec: InputSpec) -> str:
    reason = failed(measure(frame, face, spec), GATES)
    return "" if reason is None else reason.value


def _spoilt(frame: Frame, face: FaceBox) -> Iterator[tuple[str, Frame]]:
    """The picture blurred, too dark, too bright."""
    assert frame.color is not None
    assert frame.ir_lit is not None
    for width_mm in BLUR_MM:
        sigma_px = width_mm / 2.355 * frame.calibration.color.fx_px / face.median_z_mm
        blurred: U8 = cv2.GaussianBlur(frame.color, (0, 0), sigma_px).astype(np.uint8)
        yield f"blurred by {width_mm:g} mm", replace(frame, color=blurred)
    for gain in GAINS:
        yield f"infrared x {gain:g}", replace(frame, ir_lit=cv2.convertScaleAbs(frame.ir_lit, alpha=gain))


def summary(rows: list[Row]) -> dict[str, Any]:
    """Shares and extremes, as JSON."""
    good = [row for row in rows if row.kind == Presentation.BONA_FIDE.value]
    turned = [row for row in rows if row.kind == "turned"]
    attacks = [row for row in rows if row.kind in {kind.value for kind in ATTACKS}]
    encodings = [encoding.value for encoding in IREncoding]
    parts: dict[str, Callable[[Row], str]] = {
        "skin group": lambda row: subject_skin_group(row.episode.subject),
        "distance": lambda row: _bin(row.episode.distance_mm, 200, "mm"),
        "light": lambda row: row.episode.light,
    }
    found = [row for row in good if row.quality is not None]
    spoils = [name for name in found[0].refused if name not in encodings]
    values = {field.name: [getattr(row.quality, field.name) for row in found] for field in fields(Quality)}
    return {
        "bona_fide": {name: _by(good, key, encodings) for name, key in parts.items()},
        "attacks": _by(attacks, lambda row: row.kind, encodings),
        "turned": _by(turned, lambda row: _bin(abs(row.yaw_deg), 10, "degrees"), ["lit"]),
        "spoilt": {name: _shares(found, name) for name in spoils},
        "good_faces": {
            name: {"lowest": min(v), "median": float(np.median(v)), "highest": max(v)}
            for name, all_v in values.items()
            if (v := [value for value in all_v if value is not None])
        },
        "turn_over_yaw": _turn_over_yaw(turned),
        "gates_cpu_ms_median": float(np.median([row.gates_ms for row in found])),
    }


def _by(rows: Iterable[Row], key: Callable[[Row], str], names: list[str]) -> dict[str, Any]:
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(key(row), []).append(row)
    table = {}
    order = {group: place for place, group in enumerate(SKIN_GROUPS)}
    for name in sorted(groups, key=lambda name: (order.get(name, -1), len(name), name)):  # type: ignore[call-overload]
        found = [row for row in groups[name] if row.quality is not None]
        table[name] = {"pictures": len(groups[name]), "found": len(found), **{n: _shares(found, n) for n in names}}
    return table


def _bin(value: float, width: int, unit: str) -> str:
    low = int(value // width) * width
    return f"{low} to {low + width} {unit}"


def _shares(rows: list[Row], name: str) -> dict[str, Any]:
    reasons = Counter(row.refused[name] for row in rows)
    passed = reasons.pop("", 0)
    return {"passed": passed / len(rows) if rows else None, "refused": dict(reasons)}


def _turn_over_yaw(rows: list[Row]) -> float:
    """Least squares through zero, for heads turned by 10 degrees or more."""
    pairs = [
        (abs(row.yaw_deg), row.quality.turn_deg)
        for row in rows
        if row.quality is not None and row.quality.turn_deg is not None and abs(row.yaw_deg) >= 10
    ]
    yaw, turn = np.array(pairs).T if pairs else (np.ones(1), np.zeros(1))
    return float(yaw @ turn / (yaw @ yaw))


def _page(document: dict[str, Any]) -> str:
    """The tables as Markdown."""
    lines = [
        "What the quality gates pass and refuse, on simulated pictures (default thresholds).",
        "",
        f"`{document['command']}` on {document['cpu']}, {document['date']}.",
    ]

    def cell(entry: dict[str, Any]) -> str:
        if entry["passed"] is None:
            return "-"
        why = ", ".join(f"{count} {reason}" for reason, count in entry["refused"].items())
        return f"{entry['passed']:.1%}" + (f" ({why})" if why else "")

    def table(title: str, groups: dict[str, Any], names: list[str]) -> None:
        lines.extend(["", f"| {title} | pictures | face found | " + " | ".join(f"passed, {n}" for n in names) + " |"])
        lines.append("|---" * (3 + len(names)) + "|")
        for group, entry in groups.items():
            cells = [str(entry["pictures"]), str(entry["found"]), *(cell(entry[n]) for n in names)]
            lines.append(f"| {group} | " + " | ".join(cells) + " |")

    encodings = [encoding.value for encoding in IREncoding]
    for part, groups in document["bona_fide"].items():
        table(f"bona fide by {part}", groups, encodings)
    table("attack", document["attacks"], encodings)
    table("head turned by", document["turned"], ["lit"])
    lines += ["", "| bona fide picture made worse | passed |", "|---|---|"]
    lines += [f"| {name} | {cell(entry)} |" for name, entry in document["spoilt"].items()]
    lines += ["", "| good bona fide faces | lowest | median | highest |", "|---|---|---|---|"]
    lines += [
        f"| `{name}` | {v['lowest']:.3g} | {v['median']:.3g} | {v['highest']:.3g} |"
        for name, v in document["good_faces"].items()
    ]
    lines += [
        "",
        f"Slope of the relief over the head's yaw: {document['turn_over_yaw']:.2f}. "
        f"All gates of one face: {document['gates_cpu_ms_median']:.2f} ms of one core (median).",
    ]
    return "\n".join(lines) + "\n"


def main(
    good: Annotated[int, typer.Option(min=6, help="Bona fide pictures within 11 degrees.")] = 120,
    turned: Annotated[int, typer.Option(min=1, help="Bona fide pictures of turned heads.")] = 36,
    attacks: Annotated[int, typer.Option(min=1, help="Pictures per attack.")] = 18,
    out: Annotated[Path, typer.Option("-o", "--out", help="A .md with the tables is written beside it.")] = Path(
        "benchmarks/results/quality_gates.json"
    ),
) -> None:
    """Measure the quality gates on simulated pictures."""
    todo = list(jobs(good, turned, attacks))
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        rows = list(track(pool.map(look, todo, chunksize=4), "pictures", len(todo), console=errors))
    document = {
        "command": " ".join(["python -m edgefas.benchmarks.quality_gates", *sys.argv[1:]]),
        **environment(),
        "seeds": "subject and seed count up from 1000/0 (good), 2000/0 (turned), 3000/0 (attacks)",
        "gates": GATES.model_dump(),
        **summary(rows),
        "refused": [
            {"kind": row.kind, "episode": asdict(row.episode), "reasons": row.refused}
            for row in rows
            if row.kind != "turned" and row.refused.get("lit")
        ],
    }
    write_atomically(out, json.dumps(document, indent=1, default=str).encode() + b"\n")
    page = _page(document)
    write_atomically(out.with_suffix(".md"), page.encode())
    sys.stdout.write(page)


if __name__ == "__main__":
    run_script(main)
