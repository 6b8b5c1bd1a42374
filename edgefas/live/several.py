"""Of several faces: which are judged, and what their decisions say together."""

from __future__ import annotations

from dataclasses import dataclass

from edgefas.contracts import Decision, FaceBox, Policy, Reason, Verdict
from edgefas.faces import Track, Tracks

EQUALLY_NEAR_MM = 40.0
"""Two faces this close in distance: noise would choose between them."""
EQUALLY_LARGE = 0.9
"""The same for the share of areas."""


@dataclass(frozen=True)
class Judged:
    """One face and its own decision."""

    id: int
    face: FaceBox
    decision: Decision


def chosen(tracks: Tracks, policy: Policy) -> tuple[tuple[Track, ...], Reason | None]:
    """The faces to judge, and why they cannot be told apart where they cannot.

    `nearest` and `largest` judge one; two that are equally near or large are `several_faces`. `all` judges everyone up
    to `max_distance_mm` (those behind are passers-by); more than `max_faces` are `several_faces`.
    """
    faces = tracks.visible
    if policy.faces == "all":
        near = tuple(t for t in faces if t.face.median_z_mm <= policy.gates.max_distance_mm) or faces[:1]
        return near, Reason.SEVERAL_FACES if len(near) > policy.max_faces else None
    if policy.faces == "largest":
        faces = tuple(sorted(faces, key=lambda track: -_area(track)))
        alike = len(faces) > 1 and _area(faces[1]) >= EQUALLY_LARGE * _area(faces[0])
    else:
        alike = len(faces) > 1 and faces[1].face.median_z_mm - faces[0].face.median_z_mm <= EQUALLY_NEAR_MM
    return faces[:1], Reason.SEVERAL_FACES if alike else None


def together(judged: tuple[Judged, ...]) -> Decision:
    """One decision for the frame: the worst. An attack by anyone, else anyone's doubt, else bona fide.

    The score is the lowest, so that `score >= threshold` still says what was decided.
    """
    decisions = [each.decision for each in judged]
    scored = [decision for decision in decisions if decision.score is not None]
    undecided = [decision for decision in decisions if decision.verdict is Verdict.NO_DECISION]
    if undecided and not any(decision.verdict is Verdict.ATTACK for decision in decisions):
        return undecided[0]
    return min(scored, key=lambda decision: decision.score or 0.0)


def subjects(before: frozenset[int], judged: tuple[Judged, ...], tracks: Tracks, policy: Policy) -> frozenset[int]:
    """Whose decisions the temporal rule may add up, after this frame.

    An id that was not `before` among them is a newcomer: what was proven of others says nothing of it. With `all`, who
    is out of sight for a moment still belongs.
    """
    now = frozenset(each.id for each in judged)
    if not now:
        return before
    if policy.faces == "all":
        return now | (before & {track.id for track in tracks.known})
    return now


def _area(track: Track) -> float:
    return track.face.width_px * track.face.height_px
