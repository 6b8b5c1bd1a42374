"""Shares of counted things with their intervals."""

from __future__ import annotations

import math
from dataclasses import dataclass

Z95 = 1.959963984540054


@dataclass(frozen=True)
class Share:
    """A share with its 95 % Wilson interval."""

    count: int
    total: int
    share: float
    low: float
    high: float


def wilson(count: int, total: int) -> Share:
    """95 % interval of a share (E. B. Wilson, 1927): sensible also where nothing, or everything, was counted."""
    share, spread = count / total, Z95**2 / total
    middle = (share + spread / 2) / (1 + spread)
    reach = Z95 * math.sqrt(share * (1 - share) / total + spread / (4 * total)) / (1 + spread)
    low = middle - reach if count else 0.0  # exactly, not but for a rounding
    return Share(count, total, share, low, middle + reach if count < total else 1.0)
