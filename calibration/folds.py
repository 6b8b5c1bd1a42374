"""Who is held out together: what all recordings of one person share must not be on both sides."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from edgefas.calibration.episodes import ScoredEpisode
from edgefas.calibration.scores import MIN_EPISODES
from edgefas.contracts import Label

Ints = npt.NDArray[np.int64]
FOLDS = 10


def by_subject(episodes: Sequence[ScoredEpisode]) -> bool:
    """Whether every recording says who is seen, and `MIN_EPISODES` people of each class are."""
    people = [{e.subject for e in episodes if e.label is label} for label in Label]
    return all(e.subject for e in episodes) and min(map(len, people)) >= MIN_EPISODES


def units(episodes: Sequence[ScoredEpisode]) -> Ints:
    """(M,) codes from 0 of what counts as independent: subjects where `by_subject`, else recordings."""
    if not by_subject(episodes):
        return np.arange(len(episodes))
    codes: dict[str, int] = {}
    return np.array([codes.setdefault(e.subject, len(codes)) for e in episodes])


def folds(episodes: Sequence[ScoredEpisode]) -> Ints:
    """(M,) number of the fold of each recording: a unit is in one, and every fold holds some of each class.

    At most `FOLDS`, and as many as the class of fewer units has.
    """
    who = units(episodes)
    alive = np.array([e.label is Label.BONA_FIDE for e in episodes])
    people, imitated = np.unique(who[alive]), np.unique(who[~alive])
    shared = np.intersect1d(people, imitated)
    number = np.zeros(who.max() + 1, np.int64)
    number[shared] = np.arange(shared.size)
    for others in (np.setdiff1d(people, shared), np.setdiff1d(imitated, shared)):
        number[others] = shared.size + np.arange(others.size)  # each class dealt out one by one
    return (number % min(FOLDS, people.size, imitated.size))[who]
