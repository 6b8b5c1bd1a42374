"""The faults, and what must come of each. The table in the results is this one, with what came of it beside it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Outcome = Literal["no decision", "goes on", "nothing old"]
"""`no decision`: undecided within 0.3 s, and for as long as it lasts. `goes on`: bona fide frames keep coming.
`nothing old`: no decision from a frame older than 300 ms."""

NO_DECISION_WITHIN_S = 0.3
RECOVERED_WITHIN_S = 3.0
LONGEST_GAP_S = 1.0
"""Between two accepted frames while decisions go on."""
OLDEST_FRAME_MS = 300.0


@dataclass(frozen=True)
class Fault:
    """One kind of bad luck."""

    name: str
    outcome: Outcome
    seconds: float
    momentary: bool = False
    """It is over as soon as it has begun: only its first effect is `no decision`."""


FAULTS = (
    Fault("unplug", "no decision", 4.0),
    Fault("USB reset", "no decision", 1.0),
    Fault("stall", "no decision", 3.0),
    Fault("swapped camera", "no decision", 3.0),
    Fault("frozen frames", "no decision", 2.0),
    Fault("all-zero infrared", "no decision", 1.5),
    Fault("depth loss", "no decision", 1.5),
    Fault("timestamp jump", "no decision", 1.0, momentary=True),
    Fault("engine crash", "no decision", 1.0),
    Fault("NaN scores", "no decision", 1.0),
    Fault("slow engine", "no decision", 2.0),
    Fault("inverted emitter metadata", "goes on", 3.0),
    Fault("absent emitter metadata", "goes on", 3.0),
    Fault("half frame rate", "goes on", 2.0),
    Fault("out-of-order and duplicate framesets", "goes on", 2.0),
    Fault("full disk", "goes on", 2.0),
    Fault("dead webhook", "goes on", 3.0),
    Fault("slow viewer", "goes on", 3.0),
    Fault("wall-clock change", "goes on", 1.0),
    Fault("SIGSTOP, SIGCONT", "nothing old", 1.5),
)
