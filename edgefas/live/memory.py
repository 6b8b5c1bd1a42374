"""What the temporal rules remember between frames; frozen, all times are device times."""

from __future__ import annotations

from dataclasses import dataclass

from edgefas.contracts import FaceBox, Verdict


@dataclass(frozen=True)
class Memory:
    """Of the vote and of the sequential test; each uses its own part."""

    votes: tuple[tuple[int, Verdict], ...] = ()
    """(device_ns, verdict) of the scored frames within the window; vote."""
    evidence: float = 0.0
    """Log-likelihood ratio of bona fide against attack, in nats, at `scored_ns`; test."""
    frames: int = 0
    """Frames that gave the evidence; test."""
    scored_ns: int | None = None
    """The last frame that gave evidence; test."""
    refused_ns: int | None = None
    """The last frame that spoke for the state attack; test."""
    state: Verdict = Verdict.NO_DECISION
    since_ns: int | None = None
    supported_ns: int = 0
    """The last frame that spoke for the state."""
    last_ns: int | None = None
    face: FaceBox | None = None
