"""The demo's episodes: who stands before the simulated camera, and what must come of it."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources

import yaml
from pydantic import Field

from edgefas.contracts import Contract, Label, Verdict
from edgefas.live.line import DecisionLine

EMPTY = "empty"


class EpisodeGroup(Contract):
    """Subjects shown as one species, with consecutive seeds."""

    species: str
    subjects: tuple[int, ...] = Field(min_length=1)
    first_seed: int = Field(ge=0)


class DemoPlan(Contract):
    """The file episodes.yaml."""

    seconds: float = Field(gt=0)
    accept_within_s: float = Field(gt=0)
    min_bona_fide_share: float = Field(ge=0, le=1)
    site: int
    episodes: tuple[EpisodeGroup, ...]


@dataclass(frozen=True)
class DemoEpisode:
    """One showing; `source` is what `open_source` takes."""

    species: str
    subject: int
    seed: int
    source: str


@dataclass(frozen=True)
class Outcome:
    """What the temporal rule said during an episode."""

    episode: DemoEpisode
    verdict: Verdict
    """Bona fide if the door would ever have opened, else attack if one was ever seen, else no decision."""
    accepted_after_s: float | None
    score: float | None
    """Median log-odds of the scored frames."""

    def as_wanted(self, accept_within_s: float) -> bool:
        """Bona fide accepted in time; attacks never accepted; nobody there: undecided."""
        if self.episode.species == Label.BONA_FIDE.value:
            return self.accepted_after_s is not None and self.accepted_after_s <= accept_within_s
        if self.episode.species == EMPTY:
            return self.verdict is Verdict.NO_DECISION
        return self.verdict is not Verdict.BONA_FIDE


def load_plan() -> DemoPlan:
    """The shipped plan."""
    return DemoPlan.from_dict(yaml.safe_load(resources.files("edgefas.demo").joinpath("episodes.yaml").read_text()))


def demo_episodes(plan: DemoPlan) -> list[DemoEpisode]:
    """Every episode in order; seeds are consecutive over the whole plan."""
    episodes = []
    for group in plan.episodes:
        for offset, subject in enumerate(group.subjects):
            seed = group.first_seed + offset
            source = f"simulated:species={group.species},subject={subject},site={plan.site},seed={seed}"
            episodes.append(DemoEpisode(group.species, subject, seed, source))
    return episodes


def outcome(episode: DemoEpisode, lines: list[DecisionLine]) -> Outcome:
    """Sum an episode up."""
    times = [line.device_ns for line in lines if line.device_ns is not None]
    accepted = [line.device_ns for line in lines if line.state.decision is Verdict.BONA_FIDE and line.device_ns]
    rejected = any(line.state.decision is Verdict.ATTACK for line in lines)
    scores = sorted(line.score for line in lines if line.score is not None)
    verdict = Verdict.BONA_FIDE if accepted else Verdict.ATTACK if rejected else Verdict.NO_DECISION
    after = (accepted[0] - times[0]) / 1e9 if accepted else None
    return Outcome(episode, verdict, after, scores[len(scores) // 2] if scores else None)
