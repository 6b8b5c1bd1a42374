"""The JSON line: one per frame, the interface of `edgefas live --json` to whatever opens the door."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import Field

from edgefas.contracts import Contract, Modality, Reason, Verdict

SCHEMA: Final = "edgefas.decision/1"


class State(Contract):
    """What the temporal rule believes, and since when (device time)."""

    decision: Verdict
    since_ns: int | None
    rule: Literal["sprt", "vote"] = "vote"
    evidence: float | None = Field(None, description="log-likelihood ratio of bona fide so far; None where frames vote")


class Face(Contract):
    """The face box on the depth/IR grid, in pixels."""

    id: int
    """The same while one face is followed; a face that was away for half a second gets a new one."""
    x_px: float
    y_px: float
    width_px: float
    height_px: float


class FaceDecision(Contract):
    """One face of several and its own decision; `score` as in the line."""

    decision: Verdict
    reason: Reason
    score: float | None
    face: Face
    median_z_mm: float


class Timing(Contract):
    """Host milliseconds; the only fields that differ between two plays of one recording."""

    detect_ms: float = 0.0
    gates_ms: float = 0.0
    preprocess_ms: float = 0.0
    engine_ms: float = 0.0
    total_ms: float = 0.0
    age_ms: float | None = Field(None, description="from the frame's arrival at the host to this line; live sources")


class DecisionLine(Contract):
    """`decision` is the frame's, `state` the temporal rule's: a door uses `state`.

    `frame` and `device_ns` are None on a line that says that no frame came. `faces` counts those seen; `each` is filled
    when the policy judges all of them: `decision` and `score` are then the worst of it.
    """

    schema_: Literal["edgefas.decision/1"] = Field(SCHEMA, alias="schema")
    frame: int | None
    device_ns: int | None
    decision: Verdict
    reason: Reason
    score: float | None
    state: State
    face: Face | None
    median_z_mm: float | None
    faces: int
    each: tuple[FaceDecision, ...]
    modalities: tuple[Modality, ...]
    trust: Literal["signed", "unsigned"]
    source: Literal["camera", "recording", "simulated", "folder"] = "recording"
    timing: Timing

    model_config = Contract.model_config | {"populate_by_name": True, "serialize_by_alias": True}
