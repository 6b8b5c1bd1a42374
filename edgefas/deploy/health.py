"""Whether a release on trial does its work, told from the lines of its own `edgefas live`."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from edgefas.contracts import Reason
from edgefas.live.line import DecisionLine

ENGINE_FAULTS = frozenset({Reason.ENGINE_FAILED, Reason.ENGINE_LATE, Reason.SCORE_NOT_FINITE})


@dataclass(frozen=True)
class Window:
    """What a release must show to become good."""

    seconds: float = 20.0
    """It must be healthy for so long without a break."""
    deadline_s: float = 120.0
    """From the start of the trial; a camera needs its time to open."""
    min_frames_per_s: float = 2.0
    max_silence_s: float = 2.0
    max_fault_share: float = 0.02
    """Of frames where the engine failed, was late, or gave no number."""
    max_crashes: int = 2


@dataclass
class Health:
    """Counts of one run of the service, by the host's monotonic clock."""

    since_s: float
    frames: int = 0
    last_frame_s: float | None = None
    reasons: Counter[Reason] = field(default_factory=Counter)

    def hear(self, line: DecisionLine, now_s: float) -> None:
        """Take in a line; those that say that the camera was silent count as no frame."""
        if line.frame is None:
            return
        self.frames += 1
        self.last_frame_s = now_s
        self.reasons[line.reason] += 1

    def trouble(self, window: Window, now_s: float) -> str | None:
        """Why this is not healthy; None if it is, and was for all of the window."""
        passed_s = now_s - self.since_s
        if self.last_frame_s is None:
            return "no frame came"
        if now_s - self.last_frame_s > window.max_silence_s:
            return f"no frame came for {now_s - self.last_frame_s:.1f} s"
        if self.frames < window.min_frames_per_s * min(passed_s, window.seconds):
            return f"{self.frames} frames came in {passed_s:.0f} s"
        faults = sum(self.reasons[reason] for reason in ENGINE_FAULTS)
        if faults > window.max_fault_share * self.frames:
            worst = max(ENGINE_FAULTS, key=lambda reason: self.reasons[reason])
            return f"{worst.value} in {faults} of {self.frames} frames"
        if passed_s < window.seconds:
            return f"healthy for {passed_s:.0f} of {window.seconds:g} s"
        return None
