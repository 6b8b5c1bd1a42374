"""Decision lines for views and sinks, without a camera or a network."""

from __future__ import annotations

from typing import Any

from edgefas.contracts import Modality, Reason, Verdict
from edgefas.live.line import DecisionLine, Face, State, Timing

REASONS = {
    Verdict.BONA_FIDE: Reason.SCORE_ABOVE_THRESHOLD,
    Verdict.ATTACK: Reason.SCORE_BELOW_THRESHOLD,
    Verdict.NO_DECISION: Reason.NO_FACE,
}
SCORES = {Verdict.BONA_FIDE: 3.25, Verdict.ATTACK: -2.5}


def line(
    number: int = 1, decision: Verdict = Verdict.BONA_FIDE, state: Verdict | None = None, **changes: Any
) -> DecisionLine:
    """A consistent line; the state is the decision unless told otherwise."""
    device_ns = number * 33_333_333
    fields: dict[str, Any] = {
        "frame": number,
        "device_ns": device_ns,
        "decision": decision,
        "reason": REASONS[decision],
        "score": SCORES.get(decision),
        "state": State(decision=decision if state is None else state, since_ns=0),
        "face": Face(x_px=250, y_px=170, width_px=140, height_px=140),
        "median_z_mm": 512.0,
        "modalities": tuple(Modality),
        "trust": "unsigned",
        "timing": Timing(detect_ms=4.5, preprocess_ms=1.5, engine_ms=5.0, total_ms=12.0, age_ms=20.0),
    }
    return DecisionLine(**(fields | changes))
