"""A table of scores by columns: who was presented how, in which split, and what the network said."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from edgefas.contracts import Label
from edgefas.errors import EdgefasError
from edgefas.evaluation.presentations import Presentations, by_code

SPLITS = ("train", "dev", "test")
NonResponse = Literal["reject", "exclude", "error"]


class ScoresError(EdgefasError):
    """A table of scores, or its file, does not hold what it must."""


@dataclass(frozen=True, eq=False)
class Words:
    """A column of words that come again and again."""

    codes: npt.NDArray[np.int32]
    """(N,) into `words`."""
    words: tuple[str, ...]

    @classmethod
    def of(cls, column: Iterable[str]) -> Words:
        """Words in the order of their first coming."""
        known: dict[str, int] = {}
        codes = np.fromiter((known.setdefault(word, len(known)) for word in column), np.int32)
        return cls(codes, tuple(known))

    def are(self, word: str) -> npt.NDArray[np.bool_]:
        """(N,) where the column holds this word."""
        return self.codes == (self.words.index(word) if word in self.words else -1)

    def __getitem__(self, row: int) -> str:
        return self.words[self.codes[row]]


@dataclass(frozen=True, eq=False)
class Scores:
    """N presentations: frames, or whole videos."""

    id: npt.NDArray[np.object_]
    """(N,) str, no two alike."""
    subject: Words
    """Empty where nobody knows who it is."""
    bona_fide: npt.NDArray[np.bool_]
    """(N,) bona fide, else an attack."""
    pai: Words
    """PAI species of an attack; empty for bona fide."""
    split: Words
    """train, dev or test."""
    score: npt.NDArray[np.float64]
    """(N,) log-odds of bona fide, NaN for a non-response: no face was found."""
    video: Words | None = None
    """That a frame is of."""

    def __len__(self) -> int:
        return len(self.id)

    @property
    def silent(self) -> npt.NDArray[np.bool_]:
        """(N,) non-responses."""
        return np.isnan(self.score)

    def take(self, rows: npt.NDArray[np.bool_] | npt.NDArray[np.integer]) -> Scores:
        """Some of the rows."""

        def some(column: Words) -> Words:
            return replace(column, codes=column.codes[rows])

        return Scores(
            self.id[rows],
            some(self.subject),
            self.bona_fide[rows],
            some(self.pai),
            some(self.split),
            self.score[rows],
            None if self.video is None else some(self.video),
        )

    def species(self) -> tuple[npt.NDArray[np.int32], list[str]]:
        """((N,) codes, words): the PAI species of attacks, `Label.BONA_FIDE.value` for bona fide."""
        words = [*self.pai.words, Label.BONA_FIDE.value]
        return np.where(self.bona_fide, np.int32(len(words) - 1), self.pai.codes), words


def with_rule(scores: Scores, rule: NonResponse) -> Scores:
    """Non-responses as they shall count.

    Args:
        scores: with NaN for non-responses.
        rule: `reject` makes them -inf, which is classified as an attack; `exclude` leaves them out.

    Raises:
        ScoresError: the rule is `error` and there are some.
    """
    silent = scores.silent
    if rule == "reject" or not silent.any():
        return replace(scores, score=np.where(silent, -np.inf, scores.score))
    if rule == "error":
        raise ScoresError(
            f"{int(silent.sum())} of {len(scores)} presentations have no score, the first is "
            f"{scores.id[silent.argmax()]}; count them: --nonresponse reject or exclude"
        )
    return scores.take(~silent)


def sorted_presentations(scores: Scores) -> Presentations:
    """Sorted by species, after `with_rule`.

    Raises:
        MetricError: a class is missing.
    """
    return by_code(scores.score, *scores.species())


def by_video(scores: Scores) -> Scores:
    """One row per video: the mean of the log-odds of its frames that have a score; NaN if none has.

    Means of log-odds, not of probabilities: those saturate, and one sure frame would be worth no more than others.

    Raises:
        ScoresError: no column video, or a video whose frames disagree about what they show.
    """
    if scores.video is None:
        raise ScoresError("videos need a column video that says which video a frame is of; or give --level frame")
    videos, first, codes = np.unique(scores.video.codes, return_index=True, return_inverse=True)
    for name, column in (
        ("subject", scores.subject.codes),
        ("label", scores.bona_fide),
        ("pai", scores.pai.codes),
        ("split", scores.split.codes),
    ):
        different = column != column[first][codes]
        if different.any():
            row = int(different.argmax())
            raise ScoresError(
                f"video {scores.video[row]} has more than one {name}: {scores.id[first[codes[row]]]} and "
                f"{scores.id[row]} differ; the frames of a video are one presentation"
            )
    heard = ~scores.silent
    frames = np.bincount(codes[heard], minlength=len(videos))
    sums = np.bincount(codes[heard], scores.score[heard], minlength=len(videos))
    with np.errstate(invalid="ignore"):
        means = sums / frames
    names = np.array([scores.video.words[video] for video in videos], dtype=object)
    return replace(scores.take(first), id=names, score=means, video=None)
