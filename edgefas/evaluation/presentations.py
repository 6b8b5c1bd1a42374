"""The scores of one set, sorted once by class and species: what every metric is counted from."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from edgefas.contracts import Label
from edgefas.errors import EdgefasError

Floats = npt.NDArray[np.floating]


class MetricError(EdgefasError):
    """These scores do not give this figure."""


@dataclass(frozen=True, eq=False)
class Presentations:
    """Log-odds of bona fide, each array ascending. -inf is a presentation that no threshold accepts: no face found.

    Raises:
        MetricError: no bona fide, no attacks, no score at all, or one that is NaN or +inf.
    """

    bona_fide: Floats
    attacks: dict[str, Floats]
    """By PAI species."""

    def __post_init__(self) -> None:
        for name, scores in (("bona fide", self.bona_fide), *self.attacks.items()):
            if not scores.size:
                raise MetricError(f"no {name} presentations; error rates need some of both classes")
            if not scores[-1] < np.inf:  # NaN is sorted to the end
                raise MetricError(f"a score of {name} is {scores[-1]}; allowed are finite log-odds: see the model")
        if not self.attacks:
            raise MetricError("no attack presentations; error rates need some of both classes")
        if all(scores[-1] == -np.inf for scores in (self.bona_fide, *self.attacks.values())):
            raise MetricError("no presentation has a score; there is nothing to set a threshold by")

    @cached_property
    def pooled(self) -> Floats:
        """Attacks of all species, ascending."""
        return np.sort(np.concatenate(list(self.attacks.values())))

    @cached_property
    def cuts(self) -> Floats:
        """See `cuts`."""
        return cuts(np.concatenate([self.bona_fide, self.pooled]))


def presentations(scores: Floats, species: npt.NDArray[np.str_]) -> Presentations:
    """Sort scores by species.

    Args:
        scores: (N,) log-odds of bona fide.
        species: (N,) `Label.BONA_FIDE.value`, or the attack's PAI species.
    """
    words, codes = np.unique(species, return_inverse=True)
    return by_code(scores, codes, [str(word) for word in words])


def by_code(scores: Floats, codes: npt.NDArray[np.integer], words: list[str]) -> Presentations:
    """As `presentations`, with species as codes (N,) into `words`; quick for many rows."""
    groups = {word: np.sort(scores[codes == code]) for word, code in sorted(zip(words, range(len(words)), strict=True))}
    bona_fide = groups.pop(Label.BONA_FIDE.value, np.empty(0))
    return Presentations(bona_fide, {word: group for word, group in groups.items() if group.size})


def cuts(scores: Floats) -> Floats:
    """Every threshold that makes a difference, ascending: between neighbouring distinct scores and beyond both ends.

    Args:
        scores: (N,), in any order: -inf or finite, and one at least is finite.
    """
    levels = np.unique(scores)
    levels = levels[levels > -np.inf]
    middle = levels[1:] / 2 + levels[:-1] / 2
    # between neighbouring floats there is none, and half of the way may be the lower of them
    middle = np.where(middle > levels[:-1], middle, levels[1:])
    top = np.maximum(levels[-1:] + 1, np.nextafter(levels[-1:], np.inf, dtype=levels.dtype))
    return np.concatenate([levels[:1] - 1, middle, top])


def few_cuts(scores: Presentations, most: int) -> Floats:
    """All cuts if there are at most `most`, else about so many: where the curve is flat they are rare.

    Half are even shares of each class, half even in the logarithm of the rank from where the classes overlap: so error
    rates of every size lie beside one.
    """
    if scores.cuts.size <= most:
        return scores.cuts
    picked = []
    for ranked in (scores.bona_fide, scores.pooled[::-1]):
        even = np.linspace(0, ranked.size - 1, most // 4)
        log = np.geomspace(1, ranked.size, most // 4) - 1
        picked.append(ranked[np.concatenate([even, log]).astype(np.int64)])
    return cuts(np.concatenate(picked))
