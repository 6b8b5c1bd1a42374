"""Pictures that come again: a frozen input repeats the last one, a looped input an older one.

The noise of a real sensor never repeats, so the same bytes twice are proof. Pictures that were re-encoded or have
new noise are not found here: that is what the challenge is for.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

import numpy as np
import numpy.typing as npt

from edgefas.contracts import Reason, TamperRule
from edgefas.sensors.frame import U8, U16, Frame

STEP_PX = 8
"""Every eighth row and column: 4800 of 640x480, hashed in tens of microseconds."""
LIVELY_PX = 256
"""So many samples must be able to show noise: a black or burnt-out picture repeats itself honestly."""
DARK, BRIGHT = 8, 247
SLOTS = 1 << 17
"""Of the table of pictures seen, 1 MiB. With three streams at 30 frames a second half of what was seen is still known
after 17 minutes."""
COLOR_MAY_REPEAT = 1
"""At half the rate of depth (dim light) one colour picture honestly belongs to two frames."""


class Seen:
    """A bounded memory of 64-bit fingerprints, each in the slot its value names: newer ones replace older ones."""

    def __init__(self, slots: int = SLOTS) -> None:
        self._table = array("Q", bytes(8 * slots))

    def __contains__(self, fingerprint: int) -> bool:
        return self._table[fingerprint % len(self._table)] == fingerprint

    def add(self, fingerprint: int) -> None:
        """Remember it."""
        self._table[fingerprint % len(self._table)] = fingerprint


@dataclass(frozen=True)
class Repeats:
    """The last picture of each stream, and how often it has come again."""

    last: Mapping[str, int] = field(default_factory=dict)
    times: Mapping[str, int] = field(default_factory=dict)
    doubt: int = 0
    """Clean frames still wanted: of a loop some pictures are new to us, those that were lost the first time."""
    reason: Reason | None = None


def check_repeats(memory: Repeats, rule: TamperRule, seen: Seen, frame: Frame) -> tuple[Repeats, Reason | None]:
    """Take in one frame; its fingerprints are added to `seen`. A reason stays until `settle_frames` were clean.

    Each stream is a witness of its own: whoever replaces the infrared picture alone is found by it.
    """
    prints = fingerprints(frame)
    times = {name: memory.times.get(name, 0) + 1 if memory.last.get(name) == value else 0 for name, value in prints}
    reason = None
    if any(count > (COLOR_MAY_REPEAT if name == "color" else 0) for name, count in times.items()):
        reason = Reason.FRAME_FROZEN
    elif any(value in seen for name, value in prints if times[name] == 0):
        reason = Reason.FRAME_LOOPED
    for _, value in prints:
        seen.add(value)
    doubt = rule.settle_frames if reason is not None else max(0, memory.doubt - 1)
    if reason is None and memory.doubt:
        reason = memory.reason
    return Repeats(dict(prints), times, doubt, reason), reason


def fingerprints(frame: Frame) -> list[tuple[str, int]]:
    """(stream, 64 bits) of each stream that shows enough noise to be told from any other moment."""
    found = []
    for name in ("ir_lit", "ir_unlit", "color", "depth"):
        picture: U8 | U16 | None = getattr(frame, name)
        if picture is None:
            continue
        sample = np.ascontiguousarray(picture[::STEP_PX, ::STEP_PX])
        if np.count_nonzero(_lively(sample)) >= LIVELY_PX:
            # the stream is no part of it: the lit picture of one frame must not come back as another's unlit one
            found.append((name, int.from_bytes(blake2b(sample.tobytes(), digest_size=8).digest(), "big")))
    return found


def _lively(sample: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Where a picture can show noise: depth has a return, or grey is neither black nor burnt out."""
    if sample.dtype == np.uint16:
        return np.asarray(sample != 0)
    return np.asarray(np.greater_equal(sample, DARK) & np.less_equal(sample, BRIGHT))
