"""Challenger: when a challenge runs, what it found, and the commands to the camera's projector."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from dataclasses import replace

from edgefas.contracts import Reason, TamperRule
from edgefas.live.tamper import challenge
from edgefas.live.tamper.challenge import REFERENCE, Run, Sight, Switch
from edgefas.sensors.frame import Frame
from edgefas.sensors.source import CameraSource
from edgefas.sensors.specks import speck_share

log = logging.getLogger(__name__)

SOON_S = (0.2, 1.5)
"""After a face has come, or a challenge that proved nothing."""
RETRY_S = (1.0, 4.0)
"""After a challenge that was not answered."""
PASSES_AFTER_FAILURE = 2
"""In a row: whoever guesses must guess twice."""
MAX_INCONCLUSIVE = 3
"""In a row; more count as not answered."""
FACE_GONE_NS = 1_000_000_000
WARM_UP_NS = 500_000_000
"""Pictures are looked at from so long before a challenge on."""
NANOSECONDS = 1_000_000_000


class Challenger:
    """Runs challenges while a face is there; owns the projector's switch while it runs."""

    def __init__(
        self,
        source: CameraSource,
        rule: TamperRule,
        rng: random.Random,
        now: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        """Ask the camera whether it can.

        Args:
            rng: unpredictable, `secrets.SystemRandom()`.
            now: host monotonic time, that of `Frame.host_ns`.
        """
        self._source, self._rule, self._rng, self._now = source, rule, rng, now
        self.active = rule.challenge != "off" and source.live and source.set_emitter(True)
        if rule.challenge == "required" and not self.active:
            log.error("the policy requires the projector challenge, and this source has no projector to switch")
        self.failed = False
        self._wanted = 1  # passes in a row until believed
        self._inconclusive = 0
        self._passed_ns: int | None = None
        self._face_ns: int | None = None
        self._due_ns: int | None = None
        self._sights: tuple[Sight, ...] = ()
        self._offsets_ns: tuple[int, ...] = ()
        self._run: Run | None = None
        self._dark = False  # the projector is off, or may be

    @property
    def pending(self) -> bool:
        """Bona fide must not be said yet: a pass is required, and there is none, or an old one."""
        if self._rule.challenge != "required":
            return False
        valid_ns = self._rule.challenge_valid_s * NANOSECONDS
        return self.failed or self._passed_ns is None or self._now() - self._passed_ns > valid_ns

    def see(self, frame: Frame) -> Reason | None:
        """Take in a frame: why nothing may be decided about it, `MODALITY_MISSING` where the projector was off."""
        if not self.active:
            return Reason.CHALLENGE_FAILED if self._rule.challenge == "required" else None
        if self._dark and self._run is None:
            self._light()
        sight = self._look(frame)
        if self._run is not None:
            if sight is not None:
                self._run = replace(self._run, sights=(*self._run.sights, sight))
            self._proceed(self._run)
        elif self._is_due() and challenge.can_start(self._sights):
            lengths = challenge.draw_lengths(self._rule, self._rng)
            self._run = Run(lengths, self._sights[-REFERENCE:], offset_ns=min(self._offsets_ns))
            self._proceed(self._run)
        if self.failed:
            return Reason.CHALLENGE_FAILED
        if self._run is not None and (sight is None or challenge.is_lit(self._run, sight) is not True):
            return Reason.MODALITY_MISSING
        return None

    def met(self, *, face: bool) -> None:
        """Whether the frame just judged showed a face."""
        now_ns = self._now()
        if not (face and self.active):
            return
        came = self._face_ns is None or now_ns - self._face_ns > FACE_GONE_NS
        self._face_ns = now_ns
        if self._due_ns is None or (came and self._passed_ns is None) or (came and self._due_ns < now_ns):
            self._schedule(SOON_S)

    def disturb(self) -> None:
        """The stream broke, or is not to be believed: what was proven is proven no more."""
        self._passed_ns = None
        self._end_run()

    def close(self) -> None:
        """Leave the projector on."""
        self._end_run()

    def _look(self, frame: Frame) -> Sight | None:
        """The specks of the picture that the projector should have lit; metadata is not asked."""
        picture = frame.ir_lit if frame.ir_lit is not None else frame.ir_unlit
        soon = self._due_ns is not None and self._now() > self._due_ns - WARM_UP_NS
        if picture is None or not (soon or self._run is not None):
            return None
        sight = Sight(frame.device_ns, speck_share(picture))
        self._sights = (*self._sights, sight)[-REFERENCE:]
        self._offsets_ns = (*self._offsets_ns, frame.host_ns - frame.device_ns)[-REFERENCE:]
        return sight

    def _is_due(self) -> bool:
        now_ns = self._now()
        watched = self._face_ns is not None and now_ns - self._face_ns <= FACE_GONE_NS
        return self._due_ns is not None and now_ns >= self._due_ns and (watched or self.failed)

    def _proceed(self, run: Run) -> None:
        on = challenge.next_switch(run, self._now())
        if on is not None:
            before_ns = self._now()
            self._dark = True
            if not self._source.set_emitter(on):
                self._conclude(None)
                return
            self._dark = not on
            self._run = replace(run, switches=(*run.switches, Switch(on, before_ns, self._now())))
        elif challenge.is_over(run, self._rule, self._now()):
            self._conclude(challenge.verify(run, self._rule))

    def _conclude(self, answered: bool | None) -> None:
        gone = self._face_ns is None or self._now() - self._face_ns > FACE_GONE_NS
        if answered is None or (not answered and gone and not self.failed):  # who walks away takes his dots along
            self._inconclusive += not gone
            answered = False if self._inconclusive >= MAX_INCONCLUSIVE else None
        if answered is None:
            log.info("the projector challenge proved nothing; another follows")
            self._schedule(SOON_S)
        elif answered:
            self._pass()
        else:
            self._fail()
        self._end_run()

    def _pass(self) -> None:
        self._inconclusive, self._wanted = 0, max(0, self._wanted - 1)
        if self._wanted:
            self._schedule(SOON_S)
            return
        if self.failed:
            log.warning("the projector challenge is answered again")
        self.failed, self._passed_ns = False, self._now()
        self._schedule((SOON_S[0], self._rule.challenge_every_s))

    def _fail(self) -> None:
        if not self.failed:
            log.warning("the projector challenge was not answered: these pictures are not of this camera, now")
        self.failed, self._passed_ns = True, None
        self._inconclusive, self._wanted = 0, PASSES_AFTER_FAILURE
        self._schedule(RETRY_S)

    def _schedule(self, seconds: tuple[float, float]) -> None:
        self._due_ns = self._now() + round(self._rng.uniform(*seconds) * NANOSECONDS)

    def _end_run(self) -> None:
        self._run, self._sights, self._offsets_ns = None, (), ()
        if self._dark:
            self._light()

    def _light(self) -> None:
        self._dark = not self._source.set_emitter(True)
