"""Intervals of shares and of means, 95 % all of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

Z95 = 1.959963984540054
TAIL = 0.025
_TINY = 1e-300


@dataclass(frozen=True)
class Share:
    """A share with its 95 % interval."""

    count: int
    total: int
    share: float
    low: float
    high: float


@dataclass(frozen=True)
class Mean:
    """A mean over runs with its 95 % interval; None where one run tells nothing of the next."""

    runs: int
    mean: float
    std: float | None
    """Of the runs, with n - 1."""
    low: float | None
    high: float | None


def wilson(count: int, total: int) -> Share:
    """Of a share (E. B. Wilson, 1927): sensible also where nothing, or everything, was counted."""
    share, spread = count / total, Z95**2 / total
    middle = (share + spread / 2) / (1 + spread)
    reach = Z95 * math.sqrt(share * (1 - share) / total + spread / (4 * total)) / (1 + spread)
    low = middle - reach if count else 0.0  # exactly, not but for a rounding
    return Share(count, total, share, low, middle + reach if count < total else 1.0)


def clopper_pearson(count: int, total: int) -> Share:
    """Of a share (C. J. Clopper, E. S. Pearson, 1934): covers at least 95 %, if the counted things are independent.

    With no error in n it ends at 1 - 0.025^(1/n), about 3.7 / n.
    """
    low = beta_quantile(TAIL, count, total - count + 1) if count else 0.0
    high = beta_quantile(1 - TAIL, count + 1, total - count) if count < total else 1.0
    return Share(count, total, count / total, low, high)


def binomial_at_most(count: int, total: int, share: float) -> float:
    """The chance that at most `count` of `total` are counted, each with the chance `share`, above 0 and below 1."""
    return 1.0 if count >= total else 1 - _beta_below(share, count + 1, total - count)


def mean_over_runs(values: Sequence[float]) -> Mean:
    """Student's t interval of the mean of independent runs (seeds, sub-protocols)."""
    runs, mean = len(values), math.fsum(values) / len(values)
    if runs < 2:
        return Mean(runs, mean, None, None, None)
    std = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (runs - 1))
    # the t distribution through the beta distribution: Abramowitz and Stegun, 26.5.27
    x = beta_quantile(2 * TAIL, (runs - 1) / 2, 0.5)
    reach = math.sqrt((runs - 1) * (1 - x) / x) * std / math.sqrt(runs)
    return Mean(runs, mean, std, mean - reach, mean + reach)


def beta_quantile(share: float, a: float, b: float) -> float:
    """The x in (0, 1) below which a beta distribution has `share` of its mass."""
    low, high = 0.0, 1.0
    while high - low > 1e-13 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if _beta_below(middle, a, b) < share else (low, middle)
    return (low + high) / 2


def _beta_below(x: float, a: float, b: float) -> float:
    """The regularised incomplete beta function I_x(a, b): the continued fraction of Abramowitz and Stegun, 26.5.8."""
    if x > (a + 1) / (a + b + 2):
        return 1 - _beta_below(1 - x, b, a)
    log_front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    if log_front < math.log(_TINY):
        return 0.0
    # W. J. Lentz's way to sum it
    c, d = 1.0, 1 / _away_from_zero(1 - (a + b) * x / (a + 1))
    total, m, change = d, 1, 0.0
    while abs(change - 1) > 1e-15:
        change = 1.0
        for term in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1 / _away_from_zero(1 + term * d)
            c = _away_from_zero(1 + term / c)
            change = c * d
            total *= change
        m += 1
    return math.exp(log_front) * total / a


def _away_from_zero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY
