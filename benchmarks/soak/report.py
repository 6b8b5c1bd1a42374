"""The table of a soak: fault, expected outcome, what came, how soon."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgefas.benchmarks.soak.faults import FAULTS, NO_DECISION_WITHIN_S, RECOVERED_WITHIN_S
from edgefas.benchmarks.soak.verdicts import (
    Event,
    EventResult,
    Heard,
    accepted_faulty,
    decided_old,
    result_of,
    when_heard,
)
from edgefas.benchmarks.soak.world import StagedCamera
from edgefas.environment import environment
from edgefas.files import write_atomically
from edgefas.sensors.source import SourceStats

SETTLE_S = 60.0
"""Sizes before this are start-up."""
MOST_GROWTH_MB = 10.0
LEAK = 2
"""Threads or open files more at the end than at the beginning: a restart may leave one of librealsense's own."""


@dataclass(frozen=True)
class Size:
    """Of this process."""

    at_s: float
    resident_mb: float
    threads: int
    files: int

    @classmethod
    def now(cls) -> Size:
        """Measure it."""
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        threads, files = (len(os.listdir(f"/proc/self/{kind}")) for kind in ("task", "fd"))
        return cls(time.monotonic(), pages * os.sysconf("SC_PAGE_SIZE") / 1e6, threads, files)


@dataclass(frozen=True)
class Soak:
    """All that a soak left behind."""

    command: str
    seed: int
    events: Sequence[Event]
    heard: Sequence[Heard]
    sizes: Sequence[Size]
    unhealthy: Sequence[str]
    captured_ms: Sequence[float]
    camera: StagedCamera
    stats: SourceStats
    sinks: Mapping[str, int]


def write_report(soak: Soak, out: Path | None) -> bool:
    """Print the table, write it; gives whether everything went as it should."""
    events, heard = soak.events, soak.heard
    results = [result_of(event, _until(events, number, heard)) for number, event in enumerate(events)]
    growth = _growth(soak.sizes)
    scored = [h.line.timing for h in heard if h.line.score is not None]
    rest = [timing.total_ms - timing.engine_ms for timing in scored]
    ages = [timing.age_ms for timing in scored if timing.age_ms is not None]
    accepted = accepted_faulty(heard, soak.camera.faulty, soak.camera.copies)
    document: dict[str, Any] = {
        "command": soak.command,
        "seed": soak.seed,
        **environment(),
        "what": "software camera, 640x480 depth, infrared and colour, interleaved at 60 framesets a second, through "
        "the real librealsense; no hardware",
        "minutes": round((heard[-1].at_s - heard[0].at_s) / 60, 2) if heard else 0,
        "faults": len(events),
        "lines": len(heard),
        "problems": [f"{r.fault}: {r.problem}" for r in results if r.problem],
        "door_not_open_before": list(soak.unhealthy),
        "accepted_faulty_frames": len(accepted.faulty),
        "accepted_faulty_when": [when_heard(line, events) for line in accepted.faulty],
        "accepted_first_copies": accepted.first_copies,
        "decisions_from_frames_older_than_300_ms": decided_old(heard),
        "growth": growth,
        "arrival_to_frame_ms": _quantiles(soak.captured_ms),
        "all_but_engine_ms": _quantiles(rest),
        "capture_to_decision_ms": _quantiles(ages),
        "stats": asdict(soak.stats),
        "sinks": dict(soak.sinks),
        "events": [asdict(result) for result in results],
    }
    text = _markdown(document, results)
    sys.stdout.write(text)
    if out is not None:
        write_atomically(out, json.dumps(document, indent=1).encode() + b"\n")
        write_atomically(out.with_suffix(".md"), text.encode())
    leak = max(growth["threads"], growth["files"]) > LEAK or growth["resident_mb"] > MOST_GROWTH_MB
    wrong = document["accepted_faulty_frames"] or document["decisions_from_frames_older_than_300_ms"]
    return not (document["problems"] or soak.unhealthy or wrong or leak)


def _until(events: Sequence[Event], number: int, heard: Sequence[Heard]) -> list[Heard]:
    """The lines from this event's begin to the next one's."""
    end_s = events[number + 1].begin_s if number + 1 < len(events) else float("inf")
    return [h for h in heard if events[number].begin_s <= h.at_s < end_s]


def _growth(sizes: Sequence[Size]) -> dict[str, float]:
    """Median of the last tenth less that of the first tenth after settling."""
    settled = [size for size in sizes if size.at_s - sizes[0].at_s >= SETTLE_S] or list(sizes)
    tenth = max(1, len(settled) // 10)
    first, last = settled[:tenth], settled[-tenth:]
    return {
        name: round(
            float(np.median([getattr(s, name) for s in last]) - np.median([getattr(s, name) for s in first])), 2
        )
        for name in ("resident_mb", "threads", "files")
    } | {"peak_resident_mb": round(max(size.resident_mb for size in sizes), 1)}


def _quantiles(values: Sequence[float]) -> dict[str, float]:
    if not values:
        return {}
    return {f"p{q}": round(float(np.percentile(values, q)), 2) for q in (50, 95, 99)}


def _markdown(document: dict[str, Any], results: Sequence[EventResult]) -> str:
    lines = [
        f"{document['faults']} faults in {document['minutes']} minutes, {document['what']}.",
        "",
        f"`{document['command']}` on {document['cpu']}, {document['cores']} cores, {document['date']}.",
        "",
        f"Expected: `no decision` within {NO_DECISION_WITHIN_S} s and for as long as the fault lasts; `goes on`: "
        "frames keep being accepted; `nothing old`: no decision from a frame older than 300 ms. Recovery: the door "
        f"opens again within {RECOVERED_WITHIN_S:g} s.",
        "",
        "| fault | expected | events | as expected | undecided after, worst s | recovered after, worst s | reasons |",
        "|---|---|---|---|---|---|---|",
    ]
    for fault in FAULTS:
        rows = [result for result in results if result.fault == fault.name]
        good = sum(result.problem is None for result in rows)
        undecided = _worst([r.no_decision_s for r in rows]) if fault.outcome == "no decision" else "-"
        reasons = ", ".join(sorted({reason for result in rows for reason in result.reasons}))
        lines.append(
            f"| {fault.name} | {fault.outcome} | {len(rows)} | {good} | {undecided} "
            f"| {_worst([r.recovery_s for r in rows])} | {reasons} |"
        )
    growth = document["growth"]
    lines += [
        "",
        f"Accepted frames that showed a fault: {document['accepted_faulty_frames']}. Decisions from frames older than "
        f"300 ms: {document['decisions_from_frames_older_than_300_ms']}. Memory grew by {growth['resident_mb']} MB "
        f"(peak {growth['peak_resident_mb']} MB), threads by {growth['threads']:g}, open files by "
        f"{growth['files']:g}. Time in the deciding thread without the engine, ms: {document['all_but_engine_ms']}; "
        f"from the Frame to its decision, ms: {document['capture_to_decision_ms']}; from a frameset's arrival in "
        f"librealsense to its Frame, which needs Python's lock, ms: {document['arrival_to_frame_ms']}.",
    ]
    if document["problems"] or document["door_not_open_before"]:
        lines += ["", "Not as expected:", "", *(f"- {text}" for text in document["problems"])]
        lines += [f"- the door did not open before: {name}" for name in document["door_not_open_before"]]
    return "\n".join(lines) + "\n"


def _worst(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{max(known):.2f}" if known else "-"
