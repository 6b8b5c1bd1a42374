"""Guard: asks every check about every frame, and remembers what must not be forgotten until a restart."""

from __future__ import annotations

import logging
import random
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass

from edgefas.contracts import CameraPin, Decision, Reason, TamperRule, Verdict
from edgefas.live.tamper.camera import is_other, origin, pin, why_untrusted
from edgefas.live.tamper.challenger import Challenger
from edgefas.live.tamper.clock import ClockMemory, check_clock
from edgefas.live.tamper.repeats import Repeats, Seen, check_repeats
from edgefas.sensors.frame import Flaw, Frame
from edgefas.sensors.source import CameraSource

log = logging.getLogger(__name__)

_HARMLESS = (Reason.FRAME_STALE, Reason.MODALITY_MISSING)
"""Nothing is decided about the frame, but what was believed before stays."""

_FLAWS = {Flaw.FROZEN: Reason.FRAME_FROZEN, Flaw.CLOCK_JUMP: Reason.CLOCK_JUMPED}
CALM_FRAMES = 30


@dataclass(frozen=True)
class Alarm:
    """Why nothing may be decided about a frame."""

    reason: Reason
    breaks: bool
    """What was believed of the frames before must be forgotten, too."""


class Guard:
    """The tamper checks of one opened source."""

    def __init__(
        self,
        source: CameraSource,
        rule: TamperRule,
        rng: random.Random | None = None,
        now: Callable[[], int] = time.monotonic_ns,
        wall: Callable[[], int] = time.time_ns,
    ) -> None:
        """Look at the source; a projector is left on.

        Args:
            rng: None draws from the system's secrets.
            now: host monotonic time, in nanoseconds; the clock of `Frame.host_ns`.
            wall: the host's wall clock; only asked whether somebody has set it.
        """
        self._source, self._rule, self._now, self._wall = source, rule, now, wall
        self._identity = source.identity()
        self.origin = origin(self._identity)
        self._repeats_matter = rule.repeats == "on" or (rule.repeats == "auto" and self.origin == "camera")
        self._pin: CameraPin | None = rule.camera
        self._final: Reason | None = None  # until the program is started again
        self._restarts = source.stats().restarts
        self._clock, self._repeats, self._seen = ClockMemory(), Repeats(), Seen()
        self._challenger = Challenger(source, rule, rng or secrets.SystemRandom(), now)
        self._logged: Reason | None = None
        self._calm = 0
        self._check_devices()

    def look(self, frame: Frame) -> Alarm | None:
        """What is wrong with a frame, before anybody judges it."""
        reason = self._tampered(frame)
        if reason is not None and reason not in _HARMLESS:
            self._challenger.disturb()
        if reason is None:
            reason = self._challenger.see(frame)
        self._log(frame, reason)
        return None if reason is None else Alarm(reason, reason not in _HARMLESS)

    def judged(self, decision: Decision, *, face: bool) -> Decision:
        """The decision of a frame that was clean, withheld where it must wait for a passed challenge."""
        self._challenger.met(face=face)
        if decision.verdict is Verdict.BONA_FIDE and self._challenger.pending:
            return Decision.none(Reason.CHALLENGE_PENDING)
        return decision

    def silence(self) -> None:
        """No frame came."""
        self._challenger.disturb()

    def close(self) -> None:
        """Leave the camera as it was found."""
        self._challenger.close()

    def _tampered(self, frame: Frame) -> Reason | None:
        restarts = self._source.stats().restarts
        if restarts != self._restarts:
            self._restarts, self._clock = restarts, ClockMemory()
            self._identity = self._source.identity()
            self._challenger.disturb()
            self._check_devices()
        if self._pin is None:
            self._pin = pin(self._identity, frame)
        if self._final is None and is_other(self._pin, self._identity, frame):
            self._final = Reason.CAMERA_CHANGED
            log.error(
                "camera %s is not the camera %s: nothing is decided until edgefas is started again",
                frame.camera,
                self._pin.serial,
            )
        if self._final is not None:
            return self._final
        live = self._source.live
        wall_ns = self._wall() - self._now()
        self._clock, reason = check_clock(self._clock, self._rule, frame, live=live, wall_ns=wall_ns)
        if self._repeats_matter:
            self._repeats, repeated = check_repeats(self._repeats, self._rule, self._seen, frame)
            reason = repeated or reason
        if reason is None:  # of pictures that were never handed on, too
            reason = next((_FLAWS[flaw] for flaw in frame.flaws if flaw in _FLAWS), None)
        return reason

    def _log(self, frame: Frame, reason: Reason | None) -> None:
        """Once per event, which ends after as many frames without one."""
        if reason is None or reason is Reason.MODALITY_MISSING:
            self._calm += 1
            if self._calm > CALM_FRAMES:
                self._logged = None
            return
        self._calm = 0
        if reason is not self._logged:
            self._logged = reason
            log.warning("frame %d of camera %s: %s: no decision", frame.number, frame.camera, reason.value)

    def _check_devices(self) -> None:
        why = why_untrusted(self._source)
        if why is not None and self._final is None:
            self._final = Reason.CAMERA_UNTRUSTED
            log.error("%s; nothing is decided until edgefas is started again with a real camera", why)
