"""The two classes of presentation attack detection (ISO/IEC 30107-3)."""

from __future__ import annotations

from enum import Enum


class Label(str, Enum):
    """Never a bare int: public lists disagree about which class is 1, so each list format declares its own polarity.

    A score is the float32 log-odds of `BONA_FIDE`: higher is more alive, accepted when score >= threshold.
    """

    BONA_FIDE = "bona_fide"
    ATTACK = "attack"
