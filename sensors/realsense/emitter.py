"""The infrared projector: switching it, knowing which picture it lit, and whether two pictures may be subtracted."""

from __future__ import annotations

import itertools
import logging
from collections import deque
from typing import Any, Literal

import cv2
import numpy as np

from edgefas.sensors.frame import U8, Exposure
from edgefas.sensors.realsense.sdk import load

log = logging.getLogger(__name__)

Trust = Literal["undecided", "metadata", "inverted", "picture"]
"""Whom to ask whether the projector was on: nobody yet, the metadata, their contrary, or the picture alone."""

START_UP = 10
"""Framesets the first vote may take."""
_VOTES = 10
_SETTLE = 5
"""Framesets a switched projector may take to show."""
_SPECKS = 0.015
"""Share of specks that means dots, where there is no picture of the other kind to compare with."""
_NOISE = 0.35
"""No dot pattern is that dense (0.28 at most, on a bare wall in the dark): a picture of noise says nothing."""
_FLOOR, _STEP = 5e-4, 2.0
"""Two shares, each lifted by the floor, are of two kinds when one is this many times the other."""
_STEP_REACH, _LEVEL_REACH, _VETO_REACH = 4, 2, 120
"""Frame numbers over which a step is looked for, over which what it taught is evidence (dots may be gone for ever), and
over which it is still a reason to doubt metadata: they may turn over while framesets are lost."""

_BLOCK_PX = 4
_DARKER, _DARKER_SHARE = 8.0, 0.15
_MOVED_SHARE = 0.002


def switch_emitter(device: Any, on: bool) -> bool:
    """Switch the projector of a streaming camera; True when it took it.

    By `emitter_enabled`, else by `laser_power` (0, or back to its default). An alternating camera that is switched
    off gives unlit pictures only, and alternates again when it is switched on.
    """
    option = load().option
    try:
        if device.as_playback():  # its options are memories
            return False
        for sensor in device.query_sensors():
            for name, value in ((option.emitter_enabled, float(on)), (option.laser_power, None)):
                if not sensor.supports(name) or sensor.is_option_read_only(name):
                    continue
                if value is None:
                    value = sensor.get_option_range(name).default if on else 0.0
                sensor.set_option(name, value)
                return True
    except RuntimeError as error:  # unplugged, restarted, or busy: D400 options fail at random (librealsense 7586)
        log.warning("the emitter could not be switched %s: %s", "on" if on else "off", error)
    return False


class EmitterJudge:
    """Tells lit from unlit pictures by a vote between the metadata and the dots seen in the picture.

    The metadata are right, or inverted while the projector alternates (librealsense 14260, some firmware), or absent
    (a kernel without the metadata patch), or stuck. The picture is right wherever dots are seen, and silent where
    none are: nothing in range, sunlight. So every picture that is not silent votes, the last ten votes say whom to
    believe when it is, and where the two contradict each other beyond that, nobody knows.
    """

    def __init__(self, camera: str, *, alternating: bool, switchable: bool) -> None:
        """Start.

        Args:
            camera: what messages call it.
            alternating: whether the camera was told to alternate its projector.
            switchable: whether this program has it on and may switch it off; False for a recording.
        """
        self.trust: Trust = "undecided"
        self.alternating = alternating
        self._camera = camera
        self._switched_on: bool | None = True if switchable else None
        self._settled_in = _SETTLE
        self._votes: deque[tuple[bool, bool]] = deque(maxlen=_VOTES)
        self._flags: deque[bool] = deque(maxlen=_VOTES)
        self._share: tuple[int, float] | None = None
        """Number of the frameset before, and its share."""
        self._step: tuple[int, float] | None = None
        """Number of the last step, and the share between its two kinds."""
        self._hint: bool | None = None
        """What the last step says of this picture, where it is too old to be evidence."""
        self._doubt = False
        """The last picture that was not silent contradicted what is believed, and no dots have been seen since."""
        self._last: tuple[bool | None, bool | None] = (None, None)
        """Metadata and picture of the frameset before."""

    def switched(self, on: bool) -> None:
        """The projector has been switched, see `switch_emitter`."""
        self._switched_on, self._settled_in = on, _SETTLE

    def judge(self, number: int, specks: float, flag: bool | None) -> tuple[bool | None, bool | None]:
        """Whether the projector lit this frameset, and the one before it.

        Args:
            number: its frame number, higher than any before.
            specks: `speck_share` of its infrared picture.
            flag: what its metadata say; None where they are absent.

        Returns:
            Lit, unlit, or None where that is not known; the second is the frameset before as it is seen now: a step
            from unlit to lit explains both.
        """
        self._settled_in = max(0, self._settled_in - 1)
        if flag is not None:
            self._flags.append(flag)
        flag_before, seen_before = self._last
        seen, stepped = self._look(number, specks)
        if stepped and seen_before is None:
            seen_before = not seen
            self._vote(flag_before, seen_before)
        self._vote(flag, seen)
        self._last = (flag, seen)
        lit = self._decide(flag, seen)
        if flag is not None and seen is not None:
            self._doubt = lit is None or (self._doubt and not seen)
        return lit, self._decide(flag_before, seen_before)

    def told(self, flag: bool | None) -> bool | None:
        """Whether the projector is said to have lit a picture that is none; nothing is learned of it."""
        self._last, self._share = (None, None), None
        if flag is None:
            return self._decide_without_metadata(None)
        if self.trust in ("metadata", "inverted"):
            return flag == (self.trust == "metadata")
        return None if self.alternating else flag

    def why(self) -> str:
        """What is believed, in words."""
        agree = sum(flag == seen for flag, seen in self._votes)
        if self.trust == "undecided":
            return "no picture has shown dots yet that would tell lit from unlit"
        told = f"metadata agree with the dots in {agree} of the last {len(self._votes)} pictures that show any"
        return f"{told}: believing {_BELIEF[self.trust]}"

    def _look(self, number: int, specks: float) -> tuple[bool | None, bool]:
        """What the picture shows: dots, none where there were some, or nothing to go by; and whether just now."""
        if specks > _NOISE:
            self._share = self._hint = None
            return None, False
        self._hint = None
        lifted, before, stepped = specks + _FLOOR, self._share, False
        self._share = (number, lifted)
        if before is not None and number - before[0] <= _STEP_REACH:
            stepped = max(lifted, before[1]) >= _STEP * min(lifted, before[1])
            if stepped:
                self._step = (number, (lifted * before[1]) ** 0.5)
        if self._step is not None and number - self._step[0] <= _VETO_REACH:
            ratio = lifted / self._step[1]
            if ratio >= _STEP**0.5 or ratio <= _STEP**-0.5:
                self._hint = ratio > 1
            if number - self._step[0] <= _LEVEL_REACH:
                return self._hint, stepped
        return (True if specks >= _SPECKS else None), False

    def _vote(self, flag: bool | None, seen: bool | None) -> None:
        if flag is None or seen is None:
            return
        self._votes.append((flag, seen))
        agree = sum(flag == seen for flag, seen in self._votes)
        disagree = len(self._votes) - agree
        seen_kinds = [seen for _, seen in self._votes]
        alternates = sum(a != b for a, b in itertools.pairwise(seen_kinds)) >= 3
        trust = self.trust
        if agree >= 2 and disagree <= 1:
            trust = "metadata"
        elif alternates and disagree >= 3 and agree <= 1:
            trust = "inverted"
        elif alternates and agree >= 2 and disagree >= 2:
            trust = "picture"
        # else dots went, or came, against the metadata: a covered lens, a dead projector. Nobody knows.
        if trust != self.trust:
            self.trust = trust
            log.log(
                logging.INFO if trust == "metadata" else logging.WARNING, "%s: emitter %s", self._camera, self.why()
            )

    def _decide(self, flag: bool | None, seen: bool | None) -> bool | None:
        if flag is None:
            return self._decide_without_metadata(seen)
        if seen is None:
            return self._decide_blind(flag)
        expected = {"metadata": flag, "undecided": flag, "inverted": not flag, "picture": seen}[self.trust]
        return seen if seen == expected else None

    def _decide_without_metadata(self, seen: bool | None) -> bool | None:
        known = self._switched_on is not None and self._settled_in == 0
        told = self._switched_on if known and not (self.alternating and self._switched_on) else None
        if seen is None:
            return told
        return None if told and not seen else seen  # a covered lens, a dead projector

    def _decide_blind(self, flag: bool) -> bool | None:
        """The picture shows nothing to go by."""
        if self._switched_on is False and self._settled_in == 0:
            return False
        if self._doubt:
            return None
        if self.trust in ("metadata", "inverted"):
            believed = flag == (self.trust == "metadata")
            return believed if self._hint in (None, believed) else None
        if self.trust == "picture" or self.alternating:
            return None
        steady = len(self._flags) >= 2 and len(set(self._flags)) == 1
        return flag if steady else None  # inverted metadata are of alternating projectors only


_BELIEF = {"metadata": "the metadata", "inverted": "the contrary of the metadata", "picture": "the picture alone"}


def moved_between(lit: U8, unlit: U8, exposures: tuple[Exposure | None, Exposure | None]) -> bool:
    """Whether the scene moved between two infrared pictures, so that their difference would show edges, not light.

    The projector only adds light: where blocks of the lit picture are darker than the unlit one at the same exposure,
    by more than noise and the flicker of lamps, something else is there now. In the dark there is nothing to see
    moving, and nothing to subtract.

    Args:
        lit, unlit: (h, w) uint8.
        exposures: of lit and of unlit; where one is unknown both are taken as equal.
    """
    size = (max(1, lit.shape[1] // _BLOCK_PX), max(1, lit.shape[0] // _BLOCK_PX))
    now, before = (cv2.resize(ir, size, interpolation=cv2.INTER_AREA).astype(np.float32) for ir in (lit, unlit))
    before *= exposure_ratio(exposures)
    darker = now < before * (1 - _DARKER_SHARE) - _DARKER
    return bool(darker[now < 250].sum() > _MOVED_SHARE * darker.size)


def exposure_ratio(exposures: tuple[Exposure | None, Exposure | None]) -> float:
    """By which the unlit picture is multiplied to match the lit one; 1 where one of (lit, unlit) is unknown."""
    lit, unlit = exposures
    if lit is None or unlit is None or min(lit.time_us, lit.gain, unlit.time_us, unlit.gain) <= 0:
        return 1.0
    return lit.time_us * lit.gain / (unlit.time_us * unlit.gain)
